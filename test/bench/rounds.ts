/**
 * Rounds: which phases run in which order. Every phase of Godwit follows one of the bare side and is compared with that one alone,
 * because the machine's speed changes from one second to the next.
 */
import type { BareConsumer } from "./bare-consume.ts";
import { guarded } from "./guarded.ts";
import type { BenchOptions } from "./options.ts";
import type { Measure, RemoteSide } from "./side.ts";

/** What Godwit does in a pair: how it sends, and who then takes. */
export const variants = [
  { publish: "no schema", consume: "concurrency 500" },
  { publish: "zod schema", consume: "zod schema, concurrency 500" },
  { publish: "no schema", consume: "concurrency 5000" },
  { publish: "no schema", consume: "concurrency 10" },
] as const;

export interface Pair {
  bare: Measure;
  godwit: Measure;
}

/** The pairs of each variant, in the order in which they ran. */
export interface Runs {
  bareConsumer: BareConsumer;
  publish: Map<string, Pair[]>;
  consume: Map<string, Pair[]>;
  /** The actor that does nothing without and with a guard, by the guard. */
  guards: Map<string, GuardPair[]>;
  /** Round trips in ms. */
  trips: { bare: number[]; godwit: number[] };
}

export interface GuardPair {
  without: Measure;
  with: Measure;
}

export interface Sides {
  bare: RemoteSide;
  godwit: RemoteSide;
}

/** @param say is told what is about to run. */
export async function runAll(sides: Sides, options: BenchOptions, say: (what: string) => void): Promise<Runs> {
  const { bare, godwit } = sides;
  say(`warming up with ${options.warmUp} messages a phase`);
  const bareConsumer = await warmUp(sides, options);
  const runs: Runs = {
    bareConsumer,
    publish: new Map(),
    consume: new Map(),
    guards: new Map(),
    trips: { bare: [], godwit: [] },
  };
  for (let round = 1; round <= options.rounds; round++) {
    say(`round ${round} of ${options.rounds}`);
    for (const variant of variants) await onePair(sides, runs, variant, options.messages);
  }
  for (let turn = 1; turn <= options.askTurns; turn++) {
    say(`round trips, turn ${turn} of ${options.askTurns}`);
    runs.trips.bare.push(...(await bare.ask(options.asks)));
    runs.trips.godwit.push(...(await godwit.ask(options.asks)));
  }
  for (let round = 1; round <= options.rounds; round++) {
    say(`guards, round ${round} of ${options.rounds}`);
    for (const [guard, { share }] of Object.entries(guarded)) {
      await guardPair(godwit, runs, guard, Math.round(options.guardMessages * share));
    }
  }
  return runs;
}

async function guardPair(godwit: RemoteSide, runs: Runs, guard: string, messages: number): Promise<void> {
  const measures: Measure[] = [];
  for (const actor of ["concurrency 500", guard]) {
    await godwit.publish("no schema", messages);
    measures.push(await godwit.consume(actor, messages));
  }
  const [without, withIt] = measures as [Measure, Measure];
  append(runs.guards, guard, { without, with: withIt });
}

/** Cold code is several times slower, so both sides run all of theirs unmeasured. @returns the faster bare consumer. */
async function warmUp({ bare, godwit }: Sides, { warmUp: messages, asks }: BenchOptions): Promise<BareConsumer> {
  const ms: Record<BareConsumer, number> = { "pull by hand": Infinity, "consume()": Infinity };
  for (const _turn of [1, 2]) {
    for (const way of ["pull by hand", "consume()"] as const) {
      await bare.publish("bare", messages);
      ms[way] = (await bare.consume(way, messages)).ms;
    }
    for (const variant of variants.slice(0, 2)) {
      await godwit.publish(variant.publish, messages);
      await godwit.consume(variant.consume, messages);
    }
  }
  await bare.ask(asks);
  await godwit.ask(asks);
  return ms["pull by hand"] <= ms["consume()"] ? "pull by hand" : "consume()";
}

async function onePair(
  { bare, godwit }: Sides,
  runs: Runs,
  variant: (typeof variants)[number],
  messages: number,
): Promise<void> {
  const published = {
    bare: await bare.publish("bare", messages),
    godwit: await godwit.publish(variant.publish, messages),
  };
  const consumed = {
    bare: await bare.consume(runs.bareConsumer, messages),
    godwit: await godwit.consume(variant.consume, messages),
  };
  append(runs.publish, variant.publish, published);
  append(runs.consume, variant.consume, consumed);
}

function append<P>(pairs: Map<string, P[]>, name: string, pair: P): void {
  const known = pairs.get(name);
  if (known) known.push(pair);
  else pairs.set(name, [pair]);
}
