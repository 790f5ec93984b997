/** Logs: a line for each failure and no more, and what a line must not and what it must say. */
import { expect, test } from "vitest";
import { actorOf } from "../support/actors.ts";
import { Proxy } from "../support/faults/proxy.ts";
import { Plain } from "../support/isolation/actors.ts";
import { collectLogs, type LogLine } from "../support/logs.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const retry = { attempts: 2, base: 10, max: 10, jitter: "none" } as const;
const worth = ({ level }: LogLine): boolean => level === "warn" || level === "error";
const told = (lines: LogLine[]): string[] => lines.filter(worth).map(({ level, message }) => `${level}: ${message}`);

test("a failure is one line, with id, actor, attempt and the error with its causes", async () => {
  const { log, lines } = collectLogs();
  const system = await stage.connect({ log });
  const cause = new Error("the deeper reason");
  const Fails = actorOf({ name: "fails", retry }, () => {
    throw new RangeError("no luck", { cause });
  });
  const worker = await system.work([Fails]);
  const recorder = record(worker);
  const { id } = await system.tell(Fails, {});
  await recorder.until("dead");
  expect(told(lines)).toEqual(["warn: failed, will be tried again", "error: dead letter"]);
  expect(lines.filter(worth).map(({ fields }) => fields)).toMatchObject([
    { id, actor: "fails", attempt: 1, err: { message: "no luck", cause } },
    { id, actor: "fails", attempt: 2, err: { message: "no luck", cause }, reason: "exhausted" },
  ]);
});

test("so is the failure of one whose thread ended", async () => {
  const { log, lines } = collectLogs();
  const system = await stage.connect({ log });
  const worker = await system.work([Plain]);
  const recorder = record(worker);
  await system.tell(Plain, { do: "exit", code: 3 });
  await recorder.until("dead");
  await worker.stop();
  expect(told(lines)).toEqual(["warn: failed, will be tried again", "error: dead letter"]);
});

test("an open circuit says whose actors wait, until when, and for what", async () => {
  const { log, lines } = collectLogs();
  const system = await stage.connect({ log });
  const breaker = { name: "api", volume: 1, errorThreshold: 0.1, resetAfter: "1h" } as const;
  const fails = (): never => {
    throw new Error("503");
  };
  const Pays = actorOf({ name: "pays", breaker }, fails);
  const Refunds = actorOf({ name: "refunds", breaker }, fails);
  await system.work([Pays, Refunds, actorOf({ name: "other" }, fails)]);
  const beforeMs = Date.now();
  await system.tell(Pays, {});
  await expect.poll(() => lines.filter(({ fields }) => fields["breaker"] === "api"), patient).toHaveLength(1);
  const line = lines.find(({ fields }) => fields["breaker"] === "api");
  expect(line).toMatchObject({
    level: "warn",
    message: "the circuit is open; its actors wait for the next probe",
    fields: { state: "open", actors: ["pays", "refunds"], err: { message: "503" } },
  });
  const probeAtMs = Date.parse(String(line?.fields["probeAt"]));
  expect(probeAtMs - beforeMs).toBeGreaterThan(3_590_000);
  expect(probeAtMs - beforeMs).toBeLessThan(3_660_000);
});

test("no line shows the credentials of a server's address, also when that goes away", async () => {
  const { log, lines } = collectLogs();
  const proxy = await Proxy.start(stage.url);
  try {
    const system = await stage.connect({ log, servers: proxy.url.replace("nats://", "nats://me:s3cret@") });
    await system.work([actorOf({ name: "idle" }, () => undefined)]);
    proxy.cut();
    await expect.poll(() => told(lines).join(), patient).toContain("disconnected");
    proxy.mend();
    await expect.poll(() => lines.map(({ message }) => message), patient).toContain("connected again");
  } finally {
    await proxy.stop();
  }
  expect(lines.filter(({ fields }) => "servers" in fields).length).toBeGreaterThan(1);
  expect(JSON.stringify(lines)).not.toContain("s3cret");
});
