/** Hostile payloads, sent by a client that knows nothing of Godwit to a worker in a process of its own, whose memory is watched. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { constants, crc32, deflateRawSync } from "node:zlib";
import { headers as newHeaders } from "@nats-io/transport-node";
import { afterEach, expect, test } from "vitest";
import { listDead, onlyDead } from "../support/dead.ts";
import { until } from "../support/embedded/until.ts";
import { hostileMessage, type HostileMessage } from "../support/payload/hostile.ts";
import type { Measured } from "../support/payload/worker.ts";
import { sized } from "../support/size.ts";
import { useStage, type PlainClient } from "../support/stage.ts";

const stage = useStage();
const script = fileURLToPath(new URL("../../dist/test/support/payload/worker.js", import.meta.url));
const children: ChildProcess[] = [];

afterEach(async () => {
  const exits = children
    .filter((child) => child.exitCode === null && child.signalCode === null)
    .map((child) => once(child, "exit"));
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await Promise.all(exits);
});

interface Target {
  measure(): Promise<Measured>;
  /** Resolves once so many messages have come to an end, and the worker is at rest. */
  handled(count: number): Promise<Measured>;
}

/** A worker with little memory, which dies where a body takes a lot. */
async function startTarget(...args: string[]): Promise<Target> {
  const child = fork(script, [stage.url, stage.namespace, ...args], {
    execArgv: ["--expose-gc", "--max-old-space-size=160"],
  });
  children.push(child);
  await once(child, "message");
  const measure = async (collect = true): Promise<Measured> => {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("the worker has crashed");
    child.send(collect ? "collect" : "look");
    const answer: unknown[] = await once(child, "message");
    return answer[0] as Measured;
  };
  const handled = async (count: number): Promise<Measured> => {
    await until(
      `${count} messages are handled`,
      async () => {
        const { completed, dead } = await measure(false);
        return completed + dead >= count;
      },
      150_000,
    );
    return measure();
  };
  return { measure, handled };
}

/** Messages `begin` to `end`, the last left out: many in flight at a time, in order. */
async function publishAll(
  client: PlainClient,
  begin: number,
  end: number,
  make: (n: number) => Omit<HostileMessage, "kind">,
): Promise<void> {
  const js = client.jsm.jetstream();
  const window = 500;
  for (let from = begin; from < end; from += window) {
    const acks = Array.from({ length: Math.min(window, end - from) }, (_, at) => {
      const { body, headers: fields } = make(from + at);
      const headers = newHeaders();
      for (const [name, value] of Object.entries(fields)) headers.set(name, value);
      return js.publish(stage.names.taskSubject("target"), body, { headers, timeout: 30_000 });
    });
    await Promise.all(acks);
  }
}

/** Zeros, compressed piece by piece: in one go they would take this process the memory that the worker is watched for. */
function zeros(megabytes: number): Buffer {
  const piece = Buffer.alloc(1_000_000);
  const packed = deflateRawSync(piece, { level: 9, finishFlush: constants.Z_FULL_FLUSH });
  const tail = Buffer.alloc(8);
  let sum = 0;
  for (let n = 0; n < megabytes; n++) sum = crc32(piece, sum);
  tail.writeUInt32LE(sum);
  tail.writeUInt32LE(megabytes * piece.length, 4);
  const head = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3]);
  const end = Buffer.from([3, 0]);
  return Buffer.concat([head, ...Array.from({ length: megabytes }, () => packed), end, tail]);
}

const mb = (bytes: number): number => Math.round(bytes / 1e5) / 10;

const count = sized({ full: 100_000, short: 20_000 });

test(`${count} hostile bodies: each completes or is a dead letter with its body, and memory stays flat`, async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const target = await startTarget();
  // Between two rests: what is in hand, up to 45 MB, says nothing of what is kept. A fifth has warmed it up.
  await publishAll(client, 0, count / 5, hostileMessage);
  const beganMs = performance.now();
  const early = await target.handled(count / 5);
  await publishAll(client, count / 5, count, hostileMessage);
  expect(await client.lastSequence(stage.names.tasks)).toBe(count);
  const end = await target.handled(count);
  const tookMs = performance.now() - beganMs;
  console.log(
    `${end.completed} completed, ${end.dead} dead in ${Math.round(tookMs)} ms; held ${mb(early.heldBytes)} → ${mb(end.heldBytes)} MB, RSS ${mb(early.rssBytes)} → ${mb(end.rssBytes)} MB, peak ${mb(end.peakRssBytes)} MB`,
  );
  expect(end.completed + end.dead).toBe(count);
  expect(end.completed).toBeGreaterThan(count / 10);
  expect(end.dead).toBeGreaterThan(count / 2);
  expect(end.other).toEqual([]);
  expect(end.polluted).toBe(false);
  expect(await client.count(stage.names.tasks)).toBe(0);
  expect(await client.count(stage.names.dead)).toBe(end.dead);
  // A leak of 250 bytes for each message would show.
  expect(end.heldBytes - early.heldBytes).toBeLessThan((count - count / 5) * 250);
  expect(mb(end.rssBytes - early.rssBytes)).toBeLessThan(120);

  // Some of each kind: a dead letter has the very bytes that were sent.
  const looked = new Map<string, number>();
  for (let n = 0; n < 1_000; n++) {
    const { kind, body } = hostileMessage(n);
    const letter = await client.last(stage.names.dead, stage.names.deadSubject("target", stage.names.tasks, n + 1));
    if (letter === undefined) continue;
    expect({ kind, same: Buffer.from(letter.data).equals(body) }).toEqual({ kind, same: true });
    looked.set(kind, (looked.get(kind) ?? 0) + 1);
  }
  expect([...looked.keys()].toSorted()).toEqual([
    "bomb",
    "broken gzip",
    "declared",
    "mutated",
    "nested",
    "odd encoding",
    "odd header",
    "odd json",
    "odd type",
    "random",
    "tags",
    "truncated",
  ]);
  // Each says why in one sentence.
  let seen = 0;
  for await (const { reason, error } of system.dead.list({ actor: "target" })) {
    expect(["undecodable", "expired"]).toContain(reason);
    expect(error.message).toMatch(/^[^\n]+$/);
    seen += 1;
    if (seen === 2_000) break;
  }
}, 400_000);

test("a bomb of 1 MB that expands to 1 GB is refused without expanding it, also where it lies about its size", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const bomb = zeros(1_000);
  expect(bomb.length).toBeGreaterThan(900_000);
  const liar = Buffer.from(bomb);
  liar.writeUInt32LE(1_000, liar.length - 4);
  const headers = { "Content-Encoding": "gzip" };
  const target = await startTarget();
  const before = await target.measure();

  await publishAll(client, 0, 1, () => ({ body: bomb, headers }));
  const honest = await target.handled(1);
  expect(mb(honest.peakRssBytes - before.peakRssBytes)).toBeLessThan(30);
  expect((await onlyDead(system)).error).toMatchObject({
    code: "UNDECODABLE",
    message: "The body expands to 1000000000 bytes and 67108864 are taken here; send less, or raise payload.maxBytes.",
  });

  await publishAll(client, 0, 1, () => ({ body: liar, headers }));
  const lied = await target.handled(2);
  // No more than payload.maxBytes, in the pieces that zlib gives it in, and put together.
  expect(mb(lied.peakRssBytes - before.peakRssBytes)).toBeLessThan(250);
  console.log(
    `peak RSS ${mb(before.peakRssBytes)} MB; with the bomb ${mb(honest.peakRssBytes)}, with the liar ${mb(lied.peakRssBytes)}`,
  );
  expect(lied.other).toEqual([]);
  const [, second] = await listDead(system);
  expect(second?.error.message).toMatch(/^The body expands to more than the 67108864 bytes/);
  const { body } = await system.dead.show(second?.sequence ?? 0);
  expect(liar.equals(body)).toBe(true);
}, 120_000);
