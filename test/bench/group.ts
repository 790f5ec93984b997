/**
 * What a group of processes gives: two processes against one for a handler that takes a millisecond of the processor, and processes that
 * are replaced at 200 MB against ones that are not, for a handler that leaks 1 MB a message. Both take turns; rates are of whole backlogs.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ActorSystem } from "godwit";
import type { BenchOptions } from "./options.ts";
import { percentile, spread, type Spread } from "./stats.ts";

const program = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const actors = fileURLToPath(new URL("./group-actors.js", import.meta.url));

interface Pair {
  what: string;
  /** Messages a second, medians. */
  base: number;
  other: number;
  /** Other to base, in each round. */
  ratio: Spread;
  goal: number;
  met: boolean;
}

export type GroupGain = Pair[];

interface Setup {
  actor: "burn" | "leak";
  messages: number;
  args: string[];
}

export async function measureGroup(
  url: string,
  { rounds, messages }: BenchOptions,
  say: (what: string) => void,
): Promise<GroupGain> {
  const burn = { actor: "burn", messages } as const;
  const leak = { actor: "leak", messages: Math.ceil(messages / 5) } as const;
  const pair = async (what: string, goal: number, base: Setup, other: Setup): Promise<Pair> => {
    const rates: [number, number][] = [];
    for (let round = 0; round < rounds; round++) {
      say(`${what}: round ${round + 1} of ${rounds}`);
      rates.push([await rateOf(url, base), await rateOf(url, other)]);
    }
    const ratio = spread(rates.map(([one, two]) => two / one));
    const median = (side: 0 | 1): number =>
      percentile(
        rates.map((both) => both[side]),
        0.5,
      );
    return { what, base: median(0), other: median(1), ratio, goal, met: ratio.median >= goal };
  };
  return [
    await pair(
      "two processes to one",
      1.6,
      { ...burn, args: ["--processes", "1"] },
      { ...burn, args: ["--processes", "2"] },
    ),
    await pair(
      "replaced at 200 MB to never",
      0.8,
      { ...leak, args: ["--processes", "2"] },
      { ...leak, args: ["--processes", "2", "--max-memory", "200MB"] },
    ),
  ];
}

/** Messages a second of a group that works off a backlog, from its first tenth to its end. */
async function rateOf(url: string, { actor, messages, args }: Setup): Promise<number> {
  const namespace = `bench-${actor}`;
  const system = await ActorSystem.connect({ servers: url, namespace, log: "error" });
  const group = spawn(
    process.execPath,
    [program, "worker", actors, "--servers", url, "--namespace", namespace, "--log", "text", ...args],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const ended = once(group, "exit");
  try {
    await ready(group);
    const { names, reader } = system.parts;
    const left = async (): Promise<number> => (await reader.state(names.tasks))?.messages ?? 0;
    const { accepted } = await system.tellMany(
      actor,
      Array.from({ length: messages }, (_, n) => n),
    );
    const from = Math.ceil(accepted * 0.9);
    while ((await left()) > from) await wait(5);
    const began = { ms: performance.now(), left: await left() };
    while ((await left()) > 0) await wait(5);
    return (began.left / (performance.now() - began.ms)) * 1_000;
  } finally {
    group.kill("SIGTERM");
    await ended;
    await system.close();
  }
}

function ready({ stderr }: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (/ready: \d+ process/.test(said)) resolve();
    });
    stderr?.once("end", () => reject(new Error(`the group ended: ${said}`)));
  });
}

export function formatGroupGain(gain: GroupGain): string {
  return gain
    .map(
      ({ what, base, other, ratio, goal, met }) =>
        `${what.padEnd(28)} ${other.toFixed(0).padStart(6)}/s to ${base.toFixed(0).padStart(6)}/s   ` +
        `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)}), goal ${goal}: ${met ? "met" : "missed"}`,
    )
    .join("\n");
}
