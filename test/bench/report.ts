/** Report: what the runs gave, as data and as text. */
import { cpus } from "node:os";
import { bodyBytes } from "./body.ts";
import type { BenchOptions } from "./options.ts";
import type { GuardPair, Pair, Runs } from "./rounds.ts";
import type { Measure } from "./side.ts";
import { percentile, spread, type Spread } from "./stats.ts";

/** Figures of one variant: messages a second, and Godwit's rate as a share of the bare one of the same pair. */
export interface Comparison {
  variant: string;
  pairs: number;
  bare: Spread;
  godwit: Spread;
  ratio: Spread;
  /** Processor time of each side for one message, microseconds, the median; it changes less than rates do when the machine is busy. */
  bareCpuUs: number;
  godwitCpuUs: number;
}

/** What a guard costs: the rate with it as a share of that without, and processor time of a message, microseconds. */
export interface GuardCost {
  guard: string;
  pairs: number;
  ratio: Spread;
  withoutCpuUs: number;
  withCpuUs: number;
}

export interface RoundTrips {
  count: number;
  p50Ms: number;
  p99Ms: number;
}

export interface Memory {
  /** After the first measured round and after the last. */
  firstBytes: number;
  lastBytes: number;
  peakBytes: number;
}

export interface Goal {
  name: string;
  /** Share of the bare rate. */
  atLeast: number;
  measured: number;
  met: boolean;
}

export interface Report {
  machine: { cpu: string; cores: number; node: string; natsServer: string };
  settings: { messages: number; rounds: number; bodyBytes: number; bareConsumer: string };
  publish: Comparison[];
  consume: Comparison[];
  guards: GuardCost[];
  ask: { bare: RoundTrips; godwit: RoundTrips };
  memory: { bare: Memory; godwit: Memory };
  goals: Goal[];
}

export function makeReport(runs: Runs, options: BenchOptions, natsServer: string): Report {
  const publish = [...runs.publish].map(([variant, pairs]) => compare(variant, pairs));
  const consume = [...runs.consume].map(([variant, pairs]) => compare(variant, pairs));
  return {
    machine: { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, node: process.version, natsServer },
    settings: { messages: options.messages, rounds: options.rounds, bodyBytes, bareConsumer: runs.bareConsumer },
    publish,
    consume,
    guards: [...runs.guards].map(([guard, pairs]) => costOf(guard, pairs)),
    ask: { bare: trips(runs.trips.bare), godwit: trips(runs.trips.godwit) },
    memory: { bare: memory(runs, "bare"), godwit: memory(runs, "godwit") },
    goals: [
      goal("tellMany to the bare publisher", 0.6, publish, "no schema"),
      goal("no-op actor to the bare consumer", 0.5, consume, "concurrency 500"),
    ],
  };
}

function compare(variant: string, pairs: readonly Pair[]): Comparison {
  const rates = (side: keyof Pair): number[] => pairs.map((pair) => (pair[side].messages / pair[side].ms) * 1_000);
  const cpuUs = (side: keyof Pair): number => cpuUsOf(pairs.map((pair) => pair[side]));
  return {
    variant,
    pairs: pairs.length,
    bare: spread(rates("bare")),
    godwit: spread(rates("godwit")),
    ratio: spread(pairs.map((pair) => pair.bare.ms / pair.godwit.ms)),
    bareCpuUs: cpuUs("bare"),
    godwitCpuUs: cpuUs("godwit"),
  };
}

function costOf(guard: string, pairs: readonly GuardPair[]): GuardCost {
  return {
    guard,
    pairs: pairs.length,
    ratio: spread(pairs.map((pair) => pair.without.ms / pair.with.ms)),
    withoutCpuUs: cpuUsOf(pairs.map((pair) => pair.without)),
    withCpuUs: cpuUsOf(pairs.map((pair) => pair.with)),
  };
}

/** Processor time of one message, the median. */
function cpuUsOf(measures: readonly Measure[]): number {
  return percentile(
    measures.map(({ cpuMs, messages }) => (cpuMs / messages) * 1_000),
    0.5,
  );
}

function trips(ms: readonly number[]): RoundTrips {
  return { count: ms.length, p50Ms: percentile(ms, 0.5), p99Ms: percentile(ms, 0.99) };
}

function memory(runs: Runs, side: keyof Pair): Memory {
  const phases = [...runs.publish.values(), ...runs.consume.values()];
  const last = [...runs.consume.values()].at(-1) ?? [];
  return {
    firstBytes: last[0]?.[side].rssBytes ?? 0,
    lastBytes: last.at(-1)?.[side].rssBytes ?? 0,
    peakBytes: Math.max(...phases.flat().map((pair) => pair[side].rssBytes)),
  };
}

function goal(name: string, atLeast: number, comparisons: readonly Comparison[], variant: string): Goal {
  const measured = comparisons.find((one) => one.variant === variant)?.ratio.median ?? 0;
  return { name, atLeast, measured, met: measured >= atLeast };
}

export function formatReport(report: Report): string {
  const { machine, settings, ask, memory: rss } = report;
  const lines = [
    `Node ${machine.node}, nats-server ${machine.natsServer}, ${machine.cores} × ${machine.cpu}`,
    `${settings.rounds} rounds, ${settings.messages} messages a phase, ${settings.bodyBytes}-byte bodies, R1 file storage, one server`,
    "",
    ...table("Publishing", "tellMany", report.publish),
    "",
    ...table("Consuming", `bare: ${settings.bareConsumer}`, report.consume),
    "",
    "Guards, each to the actor without it   ratio (min to max)       CPU µs a message, without and with",
    ...report.guards.map(({ guard, ratio, withoutCpuUs, withCpuUs }) => {
      const range = `${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)}`;
      return `  ${guard.padEnd(36)} ${ratio.median.toFixed(2)} (${range})     ${withoutCpuUs.toFixed(1).padStart(5)} ${withCpuUs.toFixed(1).padStart(5)}`;
    }),
    "",
    `Round trips, one at a time    p50 ms  p99 ms   (${ask.godwit.count} each)`,
    `  bare publish → answer     ${ask.bare.p50Ms.toFixed(2).padStart(8)}${ask.bare.p99Ms.toFixed(2).padStart(8)}`,
    `  Godwit ask                ${ask.godwit.p50Ms.toFixed(2).padStart(8)}${ask.godwit.p99Ms.toFixed(2).padStart(8)}`,
    "",
    "Resident memory, MB          first round    last round     peak",
    ...(["bare", "godwit"] as const).map((side) => {
      const { firstBytes, lastBytes, peakBytes } = rss[side];
      return `  ${side.padEnd(24)}${megabytes(firstBytes).padStart(14)}${megabytes(lastBytes).padStart(14)}${megabytes(peakBytes).padStart(9)}`;
    }),
    "",
    ...report.goals.map(
      ({ name, atLeast, measured, met }) =>
        `goal ${met ? "met" : "missed"}: ${name}: ${measured.toFixed(2)} of at least ${atLeast.toFixed(2)}`,
    ),
  ];
  return lines.join("\n");
}

function table(title: string, note: string, comparisons: readonly Comparison[]): string[] {
  return [
    `${`${title} (${note})`.padEnd(34)}bare/s   Godwit/s    ratio (min to max)       CPU µs a message`,
    ...comparisons.map(({ variant, bare, godwit, ratio, bareCpuUs, godwitCpuUs }) => {
      const rate = (value: Spread): string => Math.round(value.median).toLocaleString("en").padStart(10);
      const range = `${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)}`;
      return `  ${variant.padEnd(28)}${rate(bare)} ${rate(godwit)}     ${ratio.median.toFixed(2)} (${range})     ${bareCpuUs.toFixed(1).padStart(5)} ${godwitCpuUs.toFixed(1).padStart(5)}`;
    }),
  ];
}

function megabytes(bytes: number): string {
  return (bytes / 1_048_576).toFixed(0);
}
