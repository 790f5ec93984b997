/** toError: whatever is thrown becomes an error that can be read, also what was made so that it cannot. */
import { expect, test } from "vitest";
import { messageOf, stackOf, toError } from "../../src/kernel/errors.ts";

test("an error or a value that throws when it is looked at becomes an error that does not", () => {
  const recursive: Error = Object.defineProperty(new Error("x"), "message", {
    get() {
      throw recursive;
    },
  });
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  for (const thrown of [proxy, recursive]) expect(toError(thrown).message).toBe("what was thrown cannot be read");
});

test("causes that go round and round, or cannot be looked at, end the line", () => {
  const round: Error = new Error("outer");
  round.cause = new Error("inner", { cause: round });
  expect(messageOf(round)).toBe("outer: inner");
  expect(stackOf(round).split("caused by: ")).toHaveLength(6);
  const hidden = Object.defineProperty(new Error("outer"), "cause", {
    get() {
      throw new Error("no");
    },
  });
  expect(messageOf(hidden)).toBe("outer");
  expect(stackOf(hidden)).toMatch(/^Error: outer\n/);
});
