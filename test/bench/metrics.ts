/**
 * What metrics cost: processor time for a message of the actor that does nothing and of tellMany, with metrics on and scraped once a second,
 * and with `metrics: false` and nobody scraping. Both take turns in this one process, in short phases: two processes with the same code differ
 * by more than what is looked for, for as long as they live.
 */
import { ActorSystem, type Worker } from "godwit";
import { actorName, actors, onReceive } from "./actors.ts";
import { orders } from "./body.ts";
import type { BenchOptions } from "./options.ts";
import { percentile, spread, type Spread } from "./stats.ts";

export interface MetricsCost {
  rounds: number;
  messages: number;
  scrapes: number;
  publish: Cost;
  consume: Cost;
}

/** Processor time of a message, microseconds. */
interface Cost {
  offUs: number;
  onUs: number;
  /** On to off, of the medians. */
  ratio: number;
  /** The same within each round. */
  rounds: Spread;
}

type Phase = "publish" | "consume";

export const metricsGoal = 1.05;
const scrapeEveryMs = 1_000;
const warmScrapes = 100;
const actor = actors["concurrency 500"];
/** In each round, so that neither is always the first, nor pays for the other's garbage. */
const turns = [true, false, false, true];

export async function measureMetrics(
  url: string,
  { rounds, messages, warmUp }: BenchOptions,
  say: (what: string) => void,
): Promise<MetricsCost> {
  const on = await Party.open(url, true);
  const off = await Party.open(url, false);
  try {
    for (const party of [on, off, on, off]) await party.turn(warmUp);
    for (let warm = 0; warm < warmScrapes; warm++) await on.scrape();
    on.forget();
    off.forget();
    for (let round = 0; round < rounds; round++) {
      say(`round ${round + 1} of ${rounds}`);
      on.beginRound();
      off.beginRound();
      for (const isOn of round % 2 === 0 ? turns : turns.map((turn) => !turn)) {
        await (isOn ? on : off).turn(Math.ceil(messages / 2));
      }
    }
    const cost = (phase: Phase): Cost => {
      const [onUs, offUs] = [on.cpuUs(phase), off.cpuUs(phase)];
      const ratios = onUs.map((us, round) => us / (offUs[round] as number));
      const [onMedianUs, offMedianUs] = [percentile(onUs, 0.5), percentile(offUs, 0.5)];
      return { onUs: onMedianUs, offUs: offMedianUs, ratio: onMedianUs / offMedianUs, rounds: spread(ratios) };
    };
    return { rounds, messages, scrapes: on.scrapes, publish: cost("publish"), consume: cost("consume") };
  } finally {
    await on.close();
    await off.close();
  }
}

/** One of the two: a system, and what its phases cost. */
class Party {
  scrapes = 0;
  readonly #system: ActorSystem;
  readonly #scraped: boolean;
  #rounds: Record<Phase, { cpuUs: number; messages: number }>[] = [];
  #unscrapedMs = 0;

  private constructor(system: ActorSystem, scraped: boolean) {
    this.#system = system;
    this.#scraped = scraped;
  }

  static async open(url: string, metrics: boolean): Promise<Party> {
    const namespace = metrics ? "bench-on" : "bench-off";
    const party = new Party(await ActorSystem.connect({ servers: url, namespace, metrics, log: "error" }), metrics);
    party.beginRound();
    return party;
  }

  beginRound(): void {
    this.#rounds.push({ publish: { cpuUs: 0, messages: 0 }, consume: { cpuUs: 0, messages: 0 } });
  }

  forget(): void {
    this.#rounds = [];
    this.scrapes = 0;
  }

  async turn(messages: number): Promise<void> {
    await this.#measured("publish", messages, () => this.#system.tellMany(actor, orders(messages)));
    let left = messages;
    let finish: () => void = () => undefined;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    onReceive.call = () => {
      left -= 1;
      if (left === 0) finish();
    };
    let worker: Worker | undefined;
    await this.#measured("consume", messages, async () => {
      worker = await this.#system.work([actor]);
      await finished;
      while ((worker.stats.actors[actorName]?.completed ?? 0) < messages) await new Promise(setImmediate);
    });
    await worker?.stop();
  }

  async scrape(): Promise<void> {
    await this.#system.metrics();
    this.scrapes += 1;
  }

  /** Of each round. */
  cpuUs(phase: Phase): number[] {
    return this.#rounds.map((round) => round[phase].cpuUs / round[phase].messages);
  }

  close(): Promise<void> {
    return this.#system.close();
  }

  /** The scrapes that fall into the phase belong to it: one for each second in which this party was at work. */
  async #measured(phase: Phase, messages: number, work: () => Promise<unknown>): Promise<void> {
    const startedMs = performance.now();
    const before = process.cpuUsage();
    await work();
    this.#unscrapedMs += performance.now() - startedMs;
    for (; this.#scraped && this.#unscrapedMs >= scrapeEveryMs; this.#unscrapedMs -= scrapeEveryMs) await this.scrape();
    const { user, system } = process.cpuUsage(before);
    const round = this.#rounds.at(-1)?.[phase];
    if (round === undefined) return;
    round.cpuUs += user + system;
    round.messages += messages;
  }
}

export function formatMetricsCost({ rounds, messages, scrapes, publish, consume }: MetricsCost): string {
  const line = (what: string, { offUs, onUs, ratio, rounds: each }: Cost): string =>
    `  ${what.padEnd(24)} ${offUs.toFixed(2).padStart(6)} ${onUs.toFixed(2).padStart(6)}   ${ratio.toFixed(3)} (rounds: ${each.min.toFixed(2)} to ${each.max.toFixed(2)})`;
  return [
    `${rounds} rounds of ${messages} messages on and as many off, in turns; ${scrapes} scrapes`,
    "CPU µs a message, medians      off     on   ratio",
    line("tellMany", publish),
    line("actor, concurrency 500", consume),
    "",
    `Goal: actor at most ${metricsGoal.toFixed(2)}: ${consume.ratio <= metricsGoal ? "met" : "missed"}`,
  ].join("\n");
}
