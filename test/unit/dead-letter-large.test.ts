/** Dead letters whose body went through the object store, larger than what a receiver takes by default. */
import { expect, test } from "vitest";
import type { Objects } from "../../src/broker/objects.ts";
import type { OutgoingMessage, Publisher } from "../../src/broker/publisher.ts";
import type { StoredMessage } from "../../src/broker/stream-reader.ts";
import { PayloadTooLargeError } from "../../src/kernel/errors.ts";
import { DeadLetters } from "../../src/lifecycle/dead-letter.ts";
import { noHeaders } from "../../src/message/headers.ts";
import { defaultPayload } from "../../src/message/limits.ts";
import { Names } from "../../src/message/subjects.ts";

test("a letter with the largest body that is taken can be opened, its headers with it", async () => {
  const kept = new Map<string, Uint8Array>();
  const stored: OutgoingMessage[] = [];
  const publish = async (message: OutgoingMessage): Promise<void> => {
    if (message.body.length > 0) throw new PayloadTooLargeError(message.subject, message.body.length, 1);
    stored.push(message);
  };
  const objects = {
    put: async (name: string, bytes: Uint8Array) => void kept.set(name, bytes),
    get: async (name: string) => kept.get(name),
  };
  const letters = new DeadLetters(new Names("n"), { publish } as unknown as Publisher, objects as unknown as Objects);
  const body = new Uint8Array(defaultPayload.maxBytes);
  const origin = { actor: "a", id: "1", stream: "n_TASKS", sequence: 1, subject: "n.task.normal.a", storedAtMs: 0 };
  const fate = {
    deliveries: 1,
    attempts: 1,
    stalls: 0,
    history: [],
    reason: "terminal",
    error: new Error("no"),
  } as const;
  await letters.bury({ ...origin, ...fate, headers: noHeaders, body }, 1_000);
  const { headers: fields } = stored[0] as OutgoingMessage;
  const headers = { get: (name: string) => fields[name], entries: () => [] };
  const opened = await letters.open({ sequence: 1, headers, body: new Uint8Array() } as unknown as StoredMessage);
  expect(opened.body.length).toBe(body.length);
});
