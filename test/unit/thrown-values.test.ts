/** Thrown values: what an error says is kept, whatever it is, and one that cannot be read harms nobody who looks at it. */
import vm from "node:vm";
import { describe, expect, test } from "vitest";
import { signalKind, Terminal } from "../../src/actor/signals.ts";
import { causesOf, messageOf, stackOf, toError } from "../../src/kernel/errors.ts";
import { readError, writeError } from "../../src/guard/isolation/wire-error.ts";
import { readFailure, writeFailure } from "../../src/message/failure.ts";

const refused = (address: string): Error =>
  Object.assign(new Error(`connect ECONNREFUSED ${address}`), { code: "ECONNREFUSED" });
const fetchFailed = new TypeError("fetch failed", {
  cause: Object.assign(new AggregateError([refused("::1:9"), refused("127.0.0.1:9")], ""), { code: "ECONNREFUSED" }),
});

const mongo = Object.assign(new Error("duplicate key"), { name: "MongoServerError", code: 11_000 });

describe("what is behind an error is told", () => {
  test.each<[string, Error, string]>([
    [
      "the addresses that refused",
      fetchFailed,
      "fetch failed: ECONNREFUSED: connect ECONNREFUSED ::1:9: connect ECONNREFUSED 127.0.0.1:9",
    ],
    ["a cause that is text", new Error("no", { cause: "the card has expired" }), "no: the card has expired"],
    ["a cause that is an object", new Error("no", { cause: { status: 503 } }), 'no: {"status":503}'],
    ["a cause that has a code", new Error("no", { cause: { code: "E_BUSY", message: "busy" } }), "no: busy (E_BUSY)"],
    ["a cause of another realm", new Error("no", { cause: vm.runInNewContext("new RangeError('far')") }), "no: far"],
    ["a code that is a number", new Error("no", { cause: mongo }), "no: duplicate key (11000)"],
    ["a code in the place of a message", Object.assign(new Error(""), { code: "E_BUSY" }), "E_BUSY"],
    [
      "a name in the place of a class's number",
      new Error("no", { cause: new DOMException("late", "TimeoutError") }),
      "no: late",
    ],
    ["several errors", new AggregateError([new Error("one"), "two"], "both"), "both: one: two"],
  ])("%s", (_what, error, text) => {
    expect(messageOf(error)).toBe(text);
    expect(writeFailure("exhausted", error).error.message).toBe(text);
    const lines = stackOf(error)
      .split("\n")
      .filter((line) => !line.startsWith("    at "));
    expect(lines).toHaveLength(causesOf(error).length);
    // Through a thread and back nothing is lost.
    expect(messageOf(readError(structuredClone(writeError(error))))).toBe(text);
  });

  test("with the code of the error, else of its cause, to the asker too", () => {
    expect(writeFailure("exhausted", fetchFailed).error.code).toBe("ECONNREFUSED");
    expect(readFailure("id", writeFailure("exhausted", fetchFailed)).cause).toMatchObject({ code: "ECONNREFUSED" });
  });

  test("a code that is a number is one too", () => {
    expect(writeFailure("exhausted", mongo).error.code).toBe("11000");
    expect(readError(structuredClone(writeError(mongo)))).toMatchObject({ code: 11_000 });
  });

  test("and a page of blanks holds nobody up", () => {
    const startMs = performance.now();
    expect(stackOf(new Error(" ".repeat(1_000_000)))).toMatch(/^Error: {294}\n/);
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });

  test("and circles, and thousands, are left out", () => {
    const round = new AggregateError([], "round");
    round.errors = [round, round];
    round.cause = round;
    expect(causesOf(round)).toHaveLength(6);
    expect(
      causesOf(
        new AggregateError(
          Array.from({ length: 10_000 }, () => new Error("x")),
          "many",
        ),
      ),
    ).toHaveLength(6);
  });
});

describe("an error of another realm", () => {
  const foreign = vm.runInNewContext(
    "Object.assign(new TypeError('far', { cause: new Error('why') }), { code: 'E_FAR', status: 5 })",
  ) as Error;

  test("stays the same object, with name, message, code, stack and cause", () => {
    expect(foreign).not.toBeInstanceOf(Error);
    expect(toError(foreign)).toBe(foreign);
    expect(messageOf(foreign)).toBe("far: why");
    expect(stackOf(foreign)).toMatch(/^TypeError: far\n {4}at /);
    expect(writeFailure("exhausted", foreign).error).toEqual({ name: "TypeError", message: "far: why", code: "E_FAR" });
  });

  test("so does what only looks like one, as a copy", () => {
    const like = {
      name: "HttpError",
      message: "gone",
      code: "E_GONE",
      stack: "HttpError: gone\n    at there",
      status: 410,
    };
    expect(toError(like)).toBeInstanceOf(Error);
    expect(toError(like)).toMatchObject(like);
    expect(toError({ message: "x", code: "E_X" })).toMatchObject({ name: "Error", message: "x", code: "E_X" });
    expect(toError({ status: 5 }).message).toBe('a non-error was thrown: {"status":5}');
  });
});

describe("an error that throws when it is looked at", () => {
  const thrower = (): never => {
    throw new Error("no");
  };
  const fields = ["name", "message", "stack", "code", "cause", "errors", "delayMs", "toString", "toJSON", "status"];
  const bad = (field: PropertyKey): Error =>
    Object.defineProperty(Object.assign(new Error("x"), { code: "E_X", kept: 1 }), field, {
      enumerable: true,
      get: thrower,
    });
  const anything = new Proxy(new Error("x"), { get: thrower, ownKeys: thrower, has: thrower });
  const { proxy: revoked, revoke } = Proxy.revocable(new Error("x"), {});
  revoke();

  test.each<[string, Error]>([
    ...fields.map((field): [string, Error] => [field, bad(field)]),
    ["a proxy", anything],
    ["revoked", revoked],
  ])("%s: is a copy that does not, with all else that it has", (field, thrown) => {
    const error = toError(thrown);
    for (const key of [...Reflect.ownKeys(error), "name", "toString"]) void Reflect.get(error, key);
    expect(() => [messageOf(error), stackOf(error), writeError(error), writeFailure("exhausted", error)]).not.toThrow();
    expect(String(error)).toMatch(/^Error: /);
    expect(Reflect.get(error, "kept")).toBe(fields.includes(field) ? 1 : undefined);
  });

  test("as a cause it harms nobody either, and a text of it is told", () => {
    for (const field of fields) {
      const error = new Error("outer", { cause: bad(field) });
      expect(messageOf(error)).toMatch(/^outer: /);
      expect(() => [stackOf(error), writeError(error), writeFailure("exhausted", error)]).not.toThrow();
    }
  });

  test("a signal stays one", () => {
    const signal = Object.defineProperty(new Terminal("enough"), "extra", { enumerable: true, get: thrower });
    expect(signalKind(toError(signal))).toBe("terminal");
  });
});
