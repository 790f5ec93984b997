/** JSON Schemas from Standard Schema libraries that can give them (Standard JSON Schema), for documents in draft 7. Pure. */
import type { StandardJSONSchemaV1 } from "@standard-schema/spec";
import type { Schema } from "../../actor/schema.ts";
import { toError } from "../../kernel/errors.ts";

/** What a sender may write; `{}`, which allows anything, where nobody knows. */
export interface Described {
  schema: Record<string, unknown>;
  /** Why it says less than the library knows: one clause. */
  lacks?: string;
}

export function describe(schema: Schema | undefined): Described {
  if (schema === undefined) return { schema: {} };
  const { vendor, jsonSchema } = schema["~standard"] as Schema["~standard"] & Partial<StandardJSONSchemaV1.Props>;
  if (jsonSchema === undefined) return { schema: {}, lacks: `its library (${vendor}) gives no JSON Schema` };
  try {
    return { schema: embeddable(jsonSchema.input({ target: "draft-07" })) };
  } catch (thrown) {
    const why = toError(thrown).message;
    // zod's word for: leave out what JSON cannot say, such as dates, and tell the rest.
    const libraryOptions = { unrepresentable: "any" };
    try {
      return { schema: embeddable(jsonSchema.input({ target: "draft-07", libraryOptions })), lacks: why };
    } catch {
      return { schema: {}, lacks: why };
    }
  }
}

/** The draft may be named only at the root of a document. */
function embeddable({ $schema: _draft, ...schema }: Record<string, unknown>): Record<string, unknown> {
  return schema;
}

/** References begin at the document's root: those of a schema that refers to itself move along with it. @param place such as `#/components/schemas/Order`. */
export function placed(schema: Record<string, unknown>, place: string): Record<string, unknown> {
  const move = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(move);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) =>
        name === "$ref" && typeof inner === "string" && inner.startsWith("#")
          ? [name, place + inner.slice(1)]
          : [name, move(inner)],
      ),
    );
  };
  return move(schema) as Record<string, unknown>;
}
