/** Logs: what a worker's events say. */
import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { logWorker } from "../../src/observe/log.ts";
import type { WorkerEvents } from "../../src/worker/events.ts";
import { collectLogs } from "../support/logs.ts";

test("a message that a guard puts back has a line with the reason, for those who ask for debug", () => {
  const worker = new EventEmitter<WorkerEvents>();
  const { log, lines } = collectLogs();
  logWorker(worker, log);
  const ref = { actor: "pay", id: "p1", stream: "S", sequence: 7, deliveries: 1, attempt: 1 };
  worker.emit("deferred", { ...ref, reason: "rate-limited", delayMs: 250 });
  expect(lines).toEqual([
    {
      level: "debug",
      fields: { actor: "pay", id: "p1", at: "S:7", attempt: 1, deliveries: 1, reason: "rate-limited", delayMs: 250 },
      message: "put back, will be tried again",
    },
  ]);
});
