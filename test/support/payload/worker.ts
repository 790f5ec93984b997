/**
 * A worker in a process of its own that takes whatever comes, and says when it is asked what became of it and what memory it has.
 * Arguments: the server's address, the namespace, and `leak` to keep a thousand bytes for each dead letter. Run it with --expose-gc.
 */
import { setTimeout } from "node:timers/promises";
import { ActorSystem } from "../../../src/index.ts";
import { actorOf } from "../actors.ts";

export interface Measured {
  completed: number;
  dead: number;
  /** Whatever else was said: deferrals, losses, problems. */
  other: string[];
  polluted: boolean;
  /** After a full collection. */
  heldBytes: number;
  rssBytes: number;
  /** The most that the process ever had. */
  peakRssBytes: number;
}

const [servers = "", namespace = "", leak] = process.argv.slice(2);
const system = await ActorSystem.connect({ servers, namespace, log: "silent" });
const kept: Uint8Array[] = [];
const counts = { completed: 0, dead: 0, other: [] as string[] };
const worker = await system.work([actorOf({ name: "target", concurrency: 400 }, () => {})]);
worker.on("completed", () => (counts.completed += 1));
worker.on("dead", () => {
  counts.dead += 1;
  if (leak === "leak") kept.push(new Uint8Array(1_000));
});
worker.on("deferred", ({ reason }) => counts.other.push(`deferred ${reason}`));
worker.on("retry", ({ error }) => counts.other.push(`retry ${error.message}`));
worker.on("lost", ({ reason }) => counts.other.push(`lost ${reason}`));
worker.on("problem", ({ error }) => counts.other.push(`problem ${error.message}`));

/** Collects until that frees nothing more: buffers go a turn after what held them. */
async function collect(): Promise<void> {
  const held = (): number => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
  for (let last = Infinity, now = held(); now < last - 100_000;) {
    last = now;
    globalThis.gc?.();
    await setTimeout(50);
    now = held();
  }
}

function measure(): Measured {
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return {
    ...counts,
    polluted: "polluted" in {},
    heldBytes: heapUsed + arrayBuffers,
    rssBytes: rss,
    peakRssBytes: process.resourceUsage().maxRSS * 1_024,
  };
}

async function answer(question: unknown): Promise<void> {
  if (question === "collect") await collect();
  process.send?.(measure());
}

process.on("message", (question) => void answer(question));
process.once("disconnect", () => process.exit(0));
process.send?.("ready");
