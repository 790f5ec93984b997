/** Schemas: any Standard Schema library (zod, valibot, arktype) describes a message; here it is applied. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { InvalidMessageError } from "../kernel/errors.ts";

export type Schema = StandardSchemaV1;

/** What a sender may write: before defaults and transforms. `unknown` without a schema. */
export type SchemaInput<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferInput<S> : unknown;

/** What a handler gets: after defaults and transforms. `unknown` without a schema. */
export type SchemaOutput<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<S> : unknown;

/**
 * The schema's output for `value`; a promise only where the schema itself is asynchronous.
 * @param what names the message in the error: `"message for payments.charge"`.
 * @throws InvalidMessageError that lists what is wrong and where.
 */
export function applySchema(schema: Schema | undefined, value: unknown, what: string): unknown {
  if (schema === undefined) return value;
  const result = schema["~standard"].validate(value);
  return result instanceof Promise ? result.then((late) => unwrap(late, what)) : unwrap(result, what);
}

const maxIssues = 5;

function unwrap(result: StandardSchemaV1.Result<unknown>, what: string): unknown {
  if (result.issues === undefined) return result.value;
  const shown = result.issues.slice(0, maxIssues).map((issue) => {
    const path = issue.path?.map((part) => String(typeof part === "object" ? part.key : part)).join(".");
    return path ? `${path}: ${issue.message}` : issue.message;
  });
  const more = result.issues.length > maxIssues ? ` and ${result.issues.length - maxIssues} more` : "";
  throw new InvalidMessageError(`The ${what} does not fit its schema: ${shown.join("; ")}${more}.`);
}
