/** Fingerprints of dead letters: what differs from message to message is left out, what tells errors apart is not. */
import { describe, expect, test } from "vitest";
import { alike, fingerprint } from "../../src/admin/dead/fingerprint.ts";

describe("alike", () => {
  test.each([
    ["connect to 10.0.0.7:4222 failed after 3,000 ms", "connect to <n>:<n> failed after <n> ms"],
    ["no order 'A-17' of \"Ann's shop\"", "no order '…' of \"…\""],
    ["it can't be done, and won't", "it can't be done, and won't"],
    ["user 0b4f7c1e-91d5-4a5f-8a52-0d2b3c4d5e6f is unknown", "user <id> is unknown"],
    ["at 0xDEADBEEF in deadbeef42", "at <hex> in <hex>"],
    ["payment pay_1NvX8s2eZvKYlo2C0a9b was declined", "payment <id> was declined"],
    ["decade facade", "decade facade"],
    ["an-unusually-long-but-fixed-word stays", "an-unusually-long-but-fixed-word stays"],
  ])("%s", (text, expected) => {
    expect(alike(text)).toBe(expected);
  });

  test("takes no longer for what is long and odd", () => {
    expect(alike("'".repeat(100_000)).length).toBeLessThanOrEqual(300);
    expect(alike("a1-".repeat(100_000)).length).toBeLessThanOrEqual(300);
  });
});

describe("fingerprint", () => {
  const letter = { actor: "a", reason: "exhausted", error: { name: "Error", message: "order 1 is gone" } } as const;

  test("is the same for another number, and differs by actor, reason, name and words", () => {
    const same = fingerprint({ ...letter, error: { name: "Error", message: "order 22 is gone" } });
    expect(same).toBe(fingerprint(letter));
    expect(same).toMatch(/^[\w-]{12}$/);
    const others = [
      { ...letter, actor: "b" },
      { ...letter, reason: "terminal" as const },
      { ...letter, error: { name: "TypeError", message: "order 1 is gone" } },
      { ...letter, error: { name: "Error", message: "order 1 is late" } },
    ];
    expect(new Set([letter, ...others].map(fingerprint)).size).toBe(5);
  });
});
