/** Options: checks what a user passes against a strict schema and says in one sentence what is wrong and where. */
import * as z from "zod";
import { ConfigError } from "./errors.ts";
import { toMs, type Duration } from "./duration.ts";

/** A duration option, turned into milliseconds. */
export function durationMs(minMs = 0): z.ZodType<number, Duration> {
  return z.custom<Duration>().transform((value, context) => {
    try {
      const ms = toMs(value, "it");
      if (ms < minMs) context.addIssue({ code: "custom", message: `must be at least ${minMs} ms` });
      return ms;
    } catch {
      context.addIssue({
        code: "custom",
        message: 'must be a duration such as "250ms", "30s", "5m", "2h", "7d" or milliseconds',
      });
      return z.NEVER;
    }
  });
}

/** A function option. */
export function callable<F>(): z.ZodType<F> {
  return z.custom<F>((value) => typeof value === "function", { message: "must be a function" });
}

/** A function option that is to answer at once: where it gives a promise it throws, and what that rejects with ends no process. */
export function answering<A extends unknown[], R>(): z.ZodType<(...given: A) => R> {
  return callable<(...given: A) => R>().transform((fn) => (...given: A) => {
    const answer = fn(...given);
    if (!isPromise(answer)) return answer;
    answer.then(undefined, () => undefined);
    throw new ConfigError("it gave a promise, and must answer at once");
  }) as z.ZodType<(...given: A) => R>;
}

/** Also one of another realm or library. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

/**
 * The checked options, defaults filled in.
 * @param where what the options belong to, such as `"config of actor payments.charge"`.
 * @throws ConfigError that names each key that is unknown or ill-typed.
 */
export function resolveOptions<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => problem(issue, [])).join("; ");
  throw new ConfigError(`The ${where} cannot be used: ${problems}; docs/reference.md says what can.`);
}

type Issue = z.core.$ZodIssue;

/** What is wrong, and at which key. */
function problem(issue: Issue, at: readonly PropertyKey[]): string {
  const path = [...at, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return `unknown key ${issue.keys.map((key) => `"${[...path, key].join(".")}"`).join(", ")}`;
  }
  // Where one alternative fits but for what it holds, that one was meant.
  const meant = issue.code === "invalid_union" ? issue.errors.find((branch) => branch.every(isInside)) : undefined;
  if (meant !== undefined) return meant.map((inner) => problem(inner, path)).join("; ");
  return `${path.length > 0 ? `"${path.join(".")}" ` : "it "}${demand(issue)}`;
}

function isInside(issue: Issue): boolean {
  return issue.path.length > 0 || issue.code === "unrecognized_keys";
}

const kinds: Record<string, string> = {
  array: "a list",
  boolean: "true or false",
  date: "a date",
  number: "a number",
  object: "an object",
  string: "a string",
};

/** What the value must be. */
function demand(issue: Issue): string {
  // Ours; the library's own begin with "Invalid".
  if (!issue.message.startsWith("Invalid")) return issue.message;
  if (issue.code === "invalid_type") {
    return issue.expected === "nonoptional" ? "is missing" : `must be ${kinds[issue.expected] ?? issue.expected}`;
  }
  if (issue.code === "invalid_value") {
    return `must be one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
  }
  if (issue.code === "invalid_union") {
    const demands = new Set(issue.errors.flatMap((branch) => branch.map(demand)));
    return [...demands].map((one, index) => (index === 0 ? one : one.replace(/^must be /, ""))).join(", or ");
  }
  return issue.message;
}
