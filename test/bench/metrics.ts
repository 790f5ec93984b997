/**
 * What metrics cost: processor time for a message of the actor that does nothing and of tellMany, with metrics on, scraped once a second
 * over HTTP, and with `metrics: false` and nobody scraping. Each has a process of its own in each round, in turns the first: two processes
 * with the same code differ by some percent for as long as they live.
 */
import { freePort } from "../support/free-port.ts";
import type { BenchOptions } from "./options.ts";
import { RemoteSide, type Measure } from "./side.ts";
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

interface Phases {
  publish: number;
  consume: number;
}

export const metricsGoal = 1.05;
const scrapeEveryMs = 1_000;
const warmScrapes = 100;
const variant = "concurrency 500";
/** Phases that are measured in each process; one is shorter than a second. */
const phases = 4;

export async function measureMetrics(
  url: string,
  { rounds, messages, warmUp }: BenchOptions,
  say: (what: string) => void,
): Promise<MetricsCost> {
  const on: Phases[] = [];
  const off: Phases[] = [];
  let scrapes = 0;
  for (let round = 0; round < rounds; round++) {
    say(`round ${round + 1} of ${rounds}`);
    for (const metrics of round % 2 === 0 ? [true, false] : [false, true]) {
      const one = await measureOne(url, metrics, messages, warmUp);
      (metrics ? on : off).push(one);
      scrapes += one.scrapes;
    }
  }
  const cost = (phase: keyof Phases): Cost => {
    const [offUs, onUs] = [off, on].map((all) =>
      percentile(
        all.map((one) => one[phase]),
        0.5,
      ),
    ) as [number, number];
    const ratios = on.map((one, round) => one[phase] / (off[round] as Phases)[phase]);
    return { offUs, onUs, ratio: onUs / offUs, rounds: spread(ratios) };
  };
  return { rounds, messages: messages * phases, scrapes, publish: cost("publish"), consume: cost("consume") };
}

async function measureOne(
  url: string,
  metrics: boolean,
  messages: number,
  warmUp: number,
): Promise<Phases & { scrapes: number }> {
  const side = new RemoteSide("./godwit-side.js");
  const metricsPort = await freePort();
  let scrapes = 0;
  let timer: NodeJS.Timeout | undefined;
  try {
    await side.open({ url, namespace: "bench", metrics, ...(metrics && { metricsPort }) });
    for (const _turn of [1, 2]) {
      await side.publish(variant, warmUp);
      await side.consume(variant, warmUp);
    }
    if (metrics) {
      const scrape = async (): Promise<void> => {
        const response = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
        await response.text();
        scrapes += 1;
      };
      // Cold, a scrape costs ten times as much.
      for (let warm = 0; warm < warmScrapes; warm++) await scrape();
      scrapes = 0;
      timer = setInterval(() => void scrape(), scrapeEveryMs);
    }
    const publish: Measure[] = [];
    const consume: Measure[] = [];
    for (let phase = 0; phase < phases; phase++) {
      publish.push(await side.publish(variant, messages));
      consume.push(await side.consume(variant, messages));
    }
    clearInterval(timer);
    await side.close();
    return { publish: cpuUs(publish), consume: cpuUs(consume), scrapes };
  } finally {
    clearInterval(timer);
    side.kill();
  }
}

function cpuUs(measures: readonly Measure[]): number {
  const sum = (read: (one: Measure) => number): number => measures.reduce((total, one) => total + read(one), 0);
  return (sum(({ cpuMs }) => cpuMs) / sum(({ messages }) => messages)) * 1_000;
}

export function formatMetricsCost({ rounds, messages, scrapes, publish, consume }: MetricsCost): string {
  const line = (what: string, { offUs, onUs, ratio, rounds: each }: Cost): string =>
    `  ${what.padEnd(24)} ${offUs.toFixed(2).padStart(6)} ${onUs.toFixed(2).padStart(6)}   ${ratio.toFixed(3)} (rounds: ${each.min.toFixed(2)} to ${each.max.toFixed(2)})`;
  return [
    `${rounds} rounds of ${messages} messages each, ${scrapes} scrapes`,
    "CPU µs a message, medians      off     on   ratio",
    line("tellMany", publish),
    line(`actor, ${variant}`, consume),
    "",
    `Goal: actor at most ${metricsGoal.toFixed(2)}: ${consume.ratio <= metricsGoal ? "met" : "missed"}`,
  ].join("\n");
}
