/** Names: key() keeps any ids apart and fit for NATS; checks take what can be carried and nothing else. */
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import {
  checkActorName,
  checkEventSubject,
  checkId,
  checkLane,
  checkNamespace,
  checkSubjectFilter,
  key,
  lanes,
  newId,
  subjectMatches,
  subjectsOverlap,
  unkey,
} from "../../src/message/names.ts";
import { Names, parseDead } from "../../src/message/subjects.ts";

/** Any text that is well formed: what an id may be made of, and more. */
const text = fc.string({ unit: "binary", maxLength: 60 }).filter((value) => value.isWellFormed());
const word = fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/);
const dotted = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join("."));
const pattern = fc
  .tuple(fc.array(fc.oneof(word, fc.constant("*")), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([words, rest]) => [...words, ...(rest ? [">"] : [])].join("."));
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const control = /[\u0000-\u001f\u007f-\u009f]/;
/** Few words, so that patterns and subjects meet often. */
const fewWords = fc.constantFrom("a", "b");
const fewSubjects = fc.array(fewWords, { minLength: 1, maxLength: 4 }).map((words) => words.join("."));
const fewPatterns = fc
  .tuple(fc.array(fc.oneof(fewWords, fc.constant("*")), { maxLength: 3 }), fc.constantFrom(">", "*", "a"))
  .map(([words, last]) => [...words, last].join("."));

/** What the call gives, or the code of what it throws. */
function attempt(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

describe("key", () => {
  test("gives what unkey() turns back, for any text", () => {
    fc.assert(fc.property(text, (value) => unkey(key(value)) === value));
  });

  test("keeps different texts apart", () => {
    fc.assert(fc.property(text, text, (one, other) => (key(one) === key(other)) === (one === other)));
  });

  test("is one token that KV keys, subjects and durable names take", () => {
    fc.assert(fc.property(text, (value) => /^[A-Za-z0-9_=-]*$/.test(key(value))));
  });

  test("leaves plain words as they are, and writes the rest as upper-case hex of each byte", () => {
    fc.assert(fc.property(word, (value) => key(value) === value));
    expect(key("a.b")).toBe("a=2Eb");
    expect(key("user@example.com")).toBe("user=40example=2Ecom");
    expect(key("=2E")).toBe("=3D2E");
    expect(key("é")).toBe("=C3=A9");
    expect(key("\n")).toBe("=0A");
  });

  test("never collides with the durable of a lane, for any actor names", () => {
    const names = new Names("ns");
    fc.assert(
      fc.property(dotted, dotted, fc.constantFrom(...lanes), (one, other, lane) => {
        return names.durable(one) !== names.durable(other, lane) && names.durable(one, lane) !== names.durable(one);
      }),
    );
  });
});

describe("checkId", () => {
  test("takes what it says it takes, and gives it back unchanged", () => {
    fc.assert(
      fc.property(text, (value) => {
        const sizeBytes = Buffer.byteLength(value);
        const fine = sizeBytes >= 1 && sizeBytes <= 128 && value.trim() === value && !control.test(value);
        return attempt(() => checkId(value)) === (fine ? value : "INVALID_NAME");
      }),
    );
  });

  test("counts bytes and not letters", () => {
    expect(checkId("é".repeat(64))).toHaveLength(64);
    expect(() => checkId("é".repeat(65))).toThrow(/1 to 128 bytes/);
  });

  test("takes what newId() makes, and newId() makes each id once", () => {
    const made = Array.from({ length: 10_000 }, () => newId());
    for (const id of made) checkId(id);
    expect(new Set(made).size).toBe(made.length);
    expect(made.every((id) => key(id) === id)).toBe(true);
  });

  test("newId() makes none that a command line takes for an option, whatever its random part is", async () => {
    const first = new Set<string>();
    for (let n = 0; n < 300; n++) {
      vi.resetModules(); // Each copy of the module has a random part of its own.
      const { newId: fresh } = await import("../../src/message/names.ts");
      const id = fresh();
      expect(id).toMatch(/^[A-Za-z0-9][A-Za-z0-9_-]{16,17}$/);
      first.add(id.slice(0, 17));
    }
    expect(first.size).toBe(300);
  });

  test("shortens in its error what is too long to show", () => {
    expect(() => checkId("x".repeat(10_000))).toThrow(/^The message id "x{50,90}… is not valid/);
  });
});

describe("names of actors, events and namespaces", () => {
  test("are dotted words of safe characters", () => {
    fc.assert(fc.property(dotted, (value) => checkActorName(value) === value && checkEventSubject(value) === value));
    for (const bad of [
      "",
      ".",
      "a.",
      ".a",
      "a..b",
      "a b",
      "a.*",
      ">",
      "ü",
      "a\n",
      "x".repeat(129),
      7,
      null,
      undefined,
    ]) {
      expect(() => checkActorName(bad)).toThrow(/is not valid/);
      expect(() => checkEventSubject(bad)).toThrow(/is not valid/);
    }
  });

  test("of namespaces are one word of at most 64", () => {
    expect(checkNamespace("my_ns-1")).toBe("my_ns-1");
    for (const bad of ["", "a.b", "a b", "ü", "x".repeat(65), "a\n"])
      expect(() => checkNamespace(bad)).toThrow(/namespace/);
  });

  test("of lanes are the four", () => {
    expect(lanes.map(checkLane)).toEqual(["critical", "high", "normal", "low"]);
    for (const bad of ["", "HIGH", "urgent", 1, undefined]) expect(() => checkLane(bad)).toThrow(/does not exist/);
  });

  test("to subscribe to may have * and a last >", () => {
    fc.assert(fc.property(pattern, (value) => checkSubjectFilter(value) === value));
    expect(checkSubjectFilter(">")).toBe(">");
    for (const bad of ["", "a.>.b", ">.a", "a>", "a*", "a..b", " ", "a. b", "x".repeat(257), 7]) {
      expect(() => checkSubjectFilter(bad)).toThrow(/is not valid/);
    }
  });
});

/** The rule as NATS states it, written another way: a pattern as a regular expression. */
function asRegExp(value: string): RegExp {
  const parts = value.split(".").map((part) => (part === ">" ? "[^.]+(\\.[^.]+)*" : part === "*" ? "[^.]+" : part));
  return new RegExp(`^${parts.join("\\.")}$`);
}

/** Every subject of so many words out of three. */
function subjectsOf(length: number): string[] {
  if (length === 0) return [""];
  const words = ["a", "b", "c"];
  return subjectsOf(length - 1).flatMap((head) => words.map((word) => (head === "" ? word : `${head}.${word}`)));
}

describe("subjects", () => {
  test("match a pattern exactly where NATS says so", () => {
    fc.assert(
      fc.property(
        fewPatterns,
        fewSubjects,
        (value, subject) => subjectMatches(value, subject) === asRegExp(value).test(subject),
      ),
      { numRuns: 2_000 },
    );
  });

  test("overlap exactly where some subject is matched by both", () => {
    const all = [1, 2, 3, 4, 5].flatMap((length) => subjectsOf(length));
    fc.assert(
      fc.property(fewPatterns, fewPatterns, (one, other) => {
        const both = all.some((subject) => subjectMatches(one, subject) && subjectMatches(other, subject));
        return subjectsOverlap(one, other) === both && subjectsOverlap(other, one) === both;
      }),
    );
  });

  test("of messages tell their origin", () => {
    const names = new Names("my-ns");
    fc.assert(
      fc.property(dotted, fc.constantFrom(...lanes), (actor, lane) => {
        expect(names.origin(names.tasks, names.taskSubject(actor, lane))).toEqual({ kind: "task", lane, actor });
        expect(names.origin(names.schedule, names.dueSubject(actor, lane))).toEqual({ kind: "due", lane, actor });
        expect(names.origin(names.events, names.eventSubject(actor))).toEqual({ kind: "event", event: actor });
        expect(names.origin("OTHER", names.taskSubject(actor, lane))).toEqual({ kind: "foreign" });
      }),
    );
  });

  test("of dead letters are read back, whatever the actor is called", () => {
    const names = new Names("ns");
    fc.assert(
      fc.property(dotted, word, fc.integer({ min: 1, max: 2 ** 50 }), (actor, stream, sequence) => {
        expect(parseDead(names.deadSubject(actor, stream, sequence))).toEqual({ actor, stream, sequence });
        expect(subjectMatches(names.deadFilter(actor), names.deadSubject(actor, stream, sequence))).toBe(true);
      }),
    );
  });

  test("of results and schedules keep any actor and id apart from any other", () => {
    const names = new Names("ns");
    fc.assert(
      fc.property(dotted, text, dotted, text, (actor, id, otherActor, otherId) => {
        const same = actor === otherActor && id === otherId;
        return (
          (names.resultKey(actor, id) === names.resultKey(otherActor, otherId)) === same &&
          (names.scheduleSubject(actor, id) === names.scheduleSubject(otherActor, otherId)) === same &&
          (names.doneSubject(actor, id) === names.doneSubject(otherActor, otherId)) === same
        );
      }),
    );
    expect(names.resultKey("a", "b.c")).not.toBe(names.resultKey("a.b", "c"));
  });
});
