/** Which settles go out together, and whom an answer or a deadline ends. What the server makes of them the fault tests show. */
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Acknowledger, type PendingSettle } from "../../src/broker/acknowledger.ts";
import type { Pipeline, PipelineRequest } from "../../src/broker/pipeline.ts";
import { monotonicMs } from "../../src/kernel/clock.ts";

const connectedSinceMs = 10;
const body = Buffer.from("+ACK");

/** An acknowledger whose requests are kept here instead of sent. */
class Rig {
  readonly requests: PipelineRequest[] = [];
  readonly published: string[] = [];
  readonly ends: [replyTo: string, confirmed: boolean][] = [];
  readonly #acknowledger: Acknowledger;

  constructor() {
    const pipeline: Pick<Pipeline, "connectedSinceMs" | "send"> = {
      connectedSinceMs,
      send: (request) => {
        this.requests.push(request);
        request.transmit({ publish: (subject) => void this.published.push(subject) }, "reply");
      },
    };
    this.#acknowledger = new Acknowledger(pipeline as Pipeline);
  }

  settle(replyTo: string, settle: Partial<PendingSettle> = {}, consumer: object = this): void {
    const onEnd = (confirmed: boolean): void => void this.ends.push([replyTo, confirmed]);
    const usual = { body, deadlineMs: Infinity, heldSinceMs: connectedSinceMs, delayMs: undefined };
    this.#acknowledger.settle(consumer, { ...usual, replyTo, onEnd, ...settle });
  }
}

describe("what ends messages", () => {
  test("goes out together where one consumer's comes in one turn, 500 at most, and nothing is left out", async () => {
    const rig = new Rig();
    for (let at = 0; at < 501; at++) rig.settle(String(at));
    await turn();
    expect(rig.requests).toHaveLength(2);
    expect(rig.published).toEqual(Array.from({ length: 501 }, (_, at) => String(at)));
  });

  test("goes by itself where it was delivered over an older connection", async () => {
    const rig = new Rig();
    for (const replyTo of ["a", "b", "c"]) rig.settle(replyTo, { heldSinceMs: connectedSinceMs - 1 });
    await turn();
    expect(rig.requests).toHaveLength(3);
  });

  test("of two consumers goes in two requests: the order of one says nothing of the other", async () => {
    const rig = new Rig();
    rig.settle("a", {}, {});
    rig.settle("b", {}, {});
    await turn();
    expect(rig.requests).toHaveLength(2);
  });

  test("is sent again one by one", async () => {
    const rig = new Rig();
    for (const replyTo of ["a", "b", "c"]) rig.settle(replyTo);
    await turn();
    const parts = rig.requests[0]?.parts() ?? [];
    expect(parts.map((part) => part.subject)).toEqual(["a", "b", "c"]);
    expect(parts.every((part) => part.parts().length === 1)).toBe(true);
  });

  test("loses at the earliest deadline only what that is the deadline of; the rest goes on", async () => {
    const rig = new Rig();
    const pastMs = monotonicMs() - 1;
    rig.settle("late", { deadlineMs: pastMs });
    rig.settle("early", { deadlineMs: pastMs + 60_000 });
    await turn();
    expect(rig.requests.map(({ deadlineMs }) => deadlineMs)).toEqual([pastMs]);
    rig.requests[0]?.onDeadline();
    expect(rig.ends).toEqual([["late", false]]);
    expect(rig.requests.map(({ subject }) => subject)).toEqual(["early", "early"]);
  });
});

test("a nak goes at once and by itself, and may be repeated only until the message can have come back", () => {
  const rig = new Rig();
  rig.settle("a", { delayMs: 100 });
  rig.settle("b", { delayMs: 0 });
  expect(rig.requests).toHaveLength(2);
  for (const request of rig.requests) request.firstSentMs = 1_000;
  expect(rig.requests.map((request) => [request.mayRepeat(1_050), request.mayRepeat(1_100)])).toEqual([
    [true, false],
    [false, false],
  ]);
});
