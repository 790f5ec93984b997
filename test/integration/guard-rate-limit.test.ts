/** Rate limits in one or a few workers: the bound, bursts, keys, penalties, clashes, and a server that is away. */
import { describe, expect, test } from "vitest";
import { type ActorConfig } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { mostIn } from "../support/limits/starts.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** An actor that notes when its handlers start. */
function noting(config: ActorConfig, starts: number[] = []) {
  const NoteStart = actorOf<number>(config, () => void starts.push(performance.now()));
  return { NoteStart, starts };
}

describe("a rate limit", () => {
  test("is kept by three workers together, and nearly all of it is used", async () => {
    const system = await stage.connect();
    const starts: number[] = [];
    const limited: ActorConfig = { name: "limited", concurrency: 20, rateLimit: { name: "api", limit: 50, per: "1s" } };
    await system.tellMany("limited", upTo(250));
    for (const one of [system, await stage.connect(), await stage.connect()]) {
      await one.work([noting(limited, starts).NoteStart]);
    }
    await expect.poll(() => starts.length, { timeout: 30_000 }).toBe(250);
    expect(mostIn(starts, 1_000)).toBeLessThanOrEqual(50);
    expect((starts.at(-1) as number) - (starts[0] as number), "250 at 48 in a second").toBeLessThan(7_000);
  });
});
