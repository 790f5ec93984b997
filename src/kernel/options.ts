/** Options: checks what a user passes against a strict schema and says in one sentence what is wrong and where. */
import * as z from "zod";
import { ConfigError } from "./errors.ts";
import { toMs, type Duration } from "./duration.ts";

/** A duration option, turned into milliseconds. */
export function durationMs(minMs = 0): z.ZodType<number, Duration> {
  return z.unknown().transform((value, context) => {
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
  }) as unknown as z.ZodType<number, Duration>;
}

/** A function option. */
export function callable<F>(): z.ZodType<F> {
  return z.custom<F>((value) => typeof value === "function", { message: "must be a function" });
}

/**
 * The checked options, defaults filled in.
 * @param where what the options belong to, such as `"config of actor payments.charge"`.
 * @throws ConfigError that names each key that is unknown or ill-typed.
 */
export function resolveOptions<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    if (issue.code === "unrecognized_keys") {
      const at = issue.path.length > 0 ? `${issue.path.join(".")}.` : "";
      return `unknown key ${issue.keys.map((key) => `"${at}${key}"`).join(", ")}`;
    }
    return `${issue.path.length > 0 ? `"${issue.path.join(".")}": ` : ""}${lowerFirst(issue.message)}`;
  });
  throw new ConfigError(
    `The ${where} is not valid: ${problems.join("; ")}; correct it as the docs' table of defaults says.`,
  );
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
