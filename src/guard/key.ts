/** Keys of guards: what counts by itself under one name, and how it is written in a KV key. */
import { createHash } from "node:crypto";
import { InvalidMessageError, toError } from "../kernel/errors.ts";
import { isPromise } from "../kernel/options.ts";
import { key as keyText } from "../message/names.ts";
import type { GuardedRun } from "./guard.ts";

const maxTokenLength = 64;

/**
 * The key that a message counts under.
 * @param what whose key function it is, such as `concurrency limit "orders" of actor shop.pack`.
 * @throws InvalidMessageError where the function throws or gives no string: the message cannot be counted, so it does not fit.
 */
export function keyOfInput(
  key: (input: unknown) => string,
  input: unknown,
  what: string,
  run: Pick<GuardedRun, "delivery" | "blocked">,
): string {
  const wasLost = run.delivery.lost;
  let given: unknown;
  try {
    given = key(input);
  } catch (thrown) {
    const cause = toError(thrown);
    throw new InvalidMessageError(
      `The key function of the ${what} threw (${cause.message}); it must give a string for each message that fits the schema.`,
      { cause },
    );
  } finally {
    run.blocked ||= !wasLost && run.delivery.lost;
  }
  if (typeof given === "string") return given;
  // Its rejection must not end the process.
  if (isPromise(given)) given.then(undefined, () => undefined);
  const found = given === null ? "null" : isPromise(given) ? "a promise" : typeof given;
  throw new InvalidMessageError(
    `The key function of the ${what} gave ${found}; it must give a string for each message that fits the schema.`,
  );
}

/**
 * A text as one token of a KV key: as `key()` writes it, or hashed where that is empty or long. The `=` before a hash is one that
 * `key()` writes only before two upper-case hex digits, so that no two texts share a token.
 */
export function keyToken(text: string): string {
  const written = keyText(text);
  return written === "" || written.length > maxTokenLength ? hashToken(text) : written;
}

/** The hash of a text, which no written text has for a token. */
export function hashToken(text: string): string {
  return `=h${createHash("sha256").update(text).digest("base64url")}`;
}
