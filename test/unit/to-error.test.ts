/** toError: whatever is thrown becomes an error that can be read, also what was made so that it cannot. */
import { expect, test } from "vitest";
import { toError } from "../../src/kernel/errors.ts";

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
