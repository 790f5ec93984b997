/** Compose: options of the message, then of the actor, then of the system, become one envelope. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defaultPayload } from "../../src/message/limits.ts";
import { Names } from "../../src/message/subjects.ts";
import { composeEvent, composeTask } from "../../src/producer/compose.ts";
import { resolved } from "../support/resolved.ts";

const names = new Names("ns");
const defaults = { codec: "msgpack", payload: defaultPayload } as const;
const sizes = { compressAboveBytes: 16_384, maxBytes: 67_108_864 };

describe("a task", () => {
  test("goes to the subject of its lane, with its id as the dedup key of its actor", () => {
    expect(composeTask(names, "pay.charge", undefined, { id: "a b" }, defaults)).toEqual({
      id: "a b",
      stream: "ns_TASKS",
      subject: "ns.task.normal.pay.charge",
      headers: { "Nats-Msg-Id": "pay.charge|a b", "Godwit-Id": "a b" },
      codec: "msgpack",
      ...sizes,
    });
    const { id, headers } = composeTask(names, "x", undefined, undefined, defaults);
    expect(headers).toEqual({ "Nats-Msg-Id": `x|${id}`, "Godwit-Id": id });
  });

  test("takes lane, codec and expiry from the message, else from the actor, else from the system", () => {
    const actor = resolved({ lane: "low", codec: "json", expiresIn: "1h" });
    const plain = composeTask(names, "x", actor, {}, defaults);
    expect(plain).toMatchObject({ subject: "ns.task.low.x", codec: "json" });
    expect(plain.headers["Godwit-Expires-In"]).toBe("3600000");
    const own = composeTask(names, "x", actor, { lane: "high", codec: "msgpack", expiresIn: "1m" }, defaults);
    expect(own).toMatchObject({ subject: "ns.task.high.x", codec: "msgpack" });
    expect(own.headers["Godwit-Expires-In"]).toBe("60000");
    expect(composeTask(names, "x", undefined, {}, { ...defaults, codec: "json" }).codec).toBe("json");
    expect(composeTask(names, "x", undefined, {}, defaults).headers["Godwit-Expires-In"]).toBeUndefined();
  });

  test("of a codec that its actor does not accept is refused", () => {
    const actor = resolved({ accept: ["application/json"] });
    expect(composeTask(names, "x", actor, {}, defaults).codec).toBe("json");
    expect(() => composeTask(names, "x", actor, { codec: "msgpack" }, defaults)).toThrow(
      'The actor x does not accept the codec msgpack; leave it out, or add it to "accept".',
    );
  });

  test("with a delay is a schedule of its id, which fires into what is due for its lane", () => {
    const beforeMs = Date.now();
    const task = composeTask(
      names,
      "x",
      undefined,
      { id: "a.b", delay: "1h", lane: "high", expiresIn: "1m" },
      defaults,
    );
    const afterMs = Date.now();
    expect(task).toMatchObject({ stream: "ns_SCHEDULE", subject: "ns.schedule.x.a=2Eb" });
    expect(task.headers["Nats-Schedule-Target"]).toBe("ns.due.high.x");
    const [, at = ""] = /^@at (.+)$/.exec(task.headers["Nats-Schedule"] ?? "") ?? [];
    expect(Date.parse(at)).toBeGreaterThanOrEqual(beforeMs + 3_600_000);
    expect(Date.parse(at)).toBeLessThanOrEqual(afterMs + 3_600_000);
    expect(task.headers["Godwit-Expires-In"], "its expiry begins when it is due").toBe("60000");
    const ahead = composeTask(names, "x", undefined, { delay: "1h" }, { ...defaults, nowMs: () => 0 });
    expect(ahead.headers["Nats-Schedule"], "the server's time is the one that counts").toBe(
      "@at 1970-01-01T01:00:00.000Z",
    );
  });

  test("with the same id and delay has the same dedup key, and with another delay another", () => {
    const keyOf = (id: string, delay: number): string | undefined =>
      composeTask(names, "x", undefined, { id, delay }, defaults).headers["Nats-Msg-Id"];
    const id = fc.string({ minLength: 1, maxLength: 8, unit: fc.constantFrom("a", "|", "5") });
    const delay = fc.integer({ min: 1, max: 600 });
    fc.assert(
      fc.property(id, delay, id, delay, (one, ms, other, otherMs) => {
        return (keyOf(one, ms) === keyOf(other, otherMs)) === (one === other && ms === otherMs);
      }),
    );
  });

  test("with a delay of nothing is sent at once", () => {
    expect(composeTask(names, "x", undefined, { delay: 0 }, defaults).stream).toBe("ns_TASKS");
    expect(composeTask(names, "x", undefined, { delay: "0s" }, defaults).stream).toBe("ns_TASKS");
    expect(composeTask(names, "x", undefined, { delay: 0.1 }, defaults).stream).toBe("ns_SCHEDULE");
  });

  test("carries the user's headers and cannot lose its own to them", () => {
    const { headers } = composeTask(names, "x", undefined, { id: "i", headers: { "X-A": "1" } }, defaults);
    expect(headers).toEqual({ "Nats-Msg-Id": "x|i", "Godwit-Id": "i", "X-A": "1" });
    expect(() => composeTask(names, "x", undefined, { headers: { "Godwit-Id": "other" } }, defaults)).toThrow(
      /not free/,
    );
  });

  test("with an option that does not exist is refused, even with no value", () => {
    for (const option of ["ID", "timeout", "priority", "__proto__x"]) {
      expect(() => composeTask(names, "x", undefined, { [option]: undefined }, defaults)).toThrow(
        `tell() has no option "${option}"`,
      );
    }
  });
});

describe("an event", () => {
  test("goes to its subject, with its id as the dedup key of that subject", () => {
    expect(composeEvent(names, "orders.placed", { id: "e", codec: "json", headers: { "X-A": "1" } }, defaults)).toEqual(
      {
        id: "e",
        stream: "ns_EVENTS",
        subject: "ns.event.orders.placed",
        headers: { "Nats-Msg-Id": "orders.placed|e", "Godwit-Id": "e", "X-A": "1" },
        codec: "json",
        ...sizes,
      },
    );
  });

  test("has no delay, lane or expiry", () => {
    for (const option of ["delay", "lane", "expiresIn"]) {
      expect(() => composeEvent(names, "x", { [option]: "1s" }, defaults)).toThrow(
        `publish() has no option "${option}"`,
      );
    }
  });
});
