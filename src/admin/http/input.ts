/** Input: what requests may say, checked. */
import type { Context } from "hono";
import * as z from "zod";
import { ConfigError } from "../../kernel/errors.ts";
import { durationMs, resolveOptions } from "../../kernel/options.ts";
import { deadReasons } from "../../message/failure.ts";
import { checkActorName } from "../../message/names.ts";
import type { DeadQuery } from "../api.ts";
import { bulkLimit } from "../dead/many.ts";

const maxPage = 500;

const name = z.string().superRefine((value, context) => {
  try {
    checkActorName(value);
  } catch (error) {
    context.addIssue({ code: "custom", message: `is no actor's name: ${(error as Error).message}` });
  }
});
const sequence = z.int({ message: "must be a sequence" }).min(1, "must be a sequence");
const query = {
  actor: name.exactOptional(),
  reason: z.enum(deadReasons).exactOptional(),
  group: z
    .string()
    .regex(/^[\w-]{12}$/, "must be a group's fingerprint")
    .exactOptional(),
  text: z.string().min(1, "must not be empty").max(200, "must have at most 200 characters").exactOptional(),
};
const number = (schema: z.ZodType<number, number>): z.ZodType<number, string> =>
  z.string().transform(Number).pipe(schema);

const pageShape = z.strictObject({
  ...query,
  before: number(sequence).exactOptional(),
  limit: number(
    z.int("must be a whole number").min(1, "must be at least 1").max(maxPage, `must be at most ${maxPage}`),
  ).default(50),
});
const groupsShape = z.strictObject(query);
const bulkShape = z.union([
  z.strictObject({
    sequences: z.array(sequence).min(1, "must not be empty").max(bulkLimit, `must have at most ${bulkLimit}`),
  }),
  z.strictObject({ query: z.strictObject(query), before: sequence.exactOptional() }),
]);
const explainShape = z.strictObject({ id: z.string().min(1, "must not be empty"), actor: name.exactOptional() });
const keyShape = z.string().min(1, "must not be empty").exactOptional();
const longestMs = 3_650 * 86_400_000;
/** What is to last for ever says so by leaving it out. */
const span = durationMs(1).refine((ms) => ms <= longestMs, 'must be at most "3650d"');
const holdShape = z.strictObject({ for: span, key: keyShape });
const releaseShape = z.strictObject({ key: keyShape });
const forShape = z.strictObject({ for: span.exactOptional() });

export type BulkInput = z.output<typeof bulkShape>;

export function readPage(c: Context): { query: DeadQuery; before?: number; limit: number } {
  const { limit, before, ...rest } = resolveOptions(pageShape, c.req.query(), whereOf(c));
  return { query: rest, limit, ...(before !== undefined && { before }) };
}

export function readGroups(c: Context): DeadQuery {
  return resolveOptions(groupsShape, c.req.query(), whereOf(c));
}

export function readExplain(c: Context): { id: string; actor?: string } {
  return resolveOptions(explainShape, c.req.query(), whereOf(c));
}

export function readSequence(c: Context): number {
  return resolveOptions(number(sequence), c.req.param("sequence"), `sequence in ${c.req.path}`);
}

export async function readBulk(c: Context): Promise<BulkInput> {
  return resolveOptions(bulkShape, await readJson(c), `body of ${c.req.path}`);
}

/** For how many ms; nothing for as long as nobody ends it. */
export async function readFor(c: Context): Promise<{ for?: number }> {
  return resolveOptions(forShape, await readJson(c), `body of ${c.req.path}`);
}

/** For how many ms a limit is held, and of one by key which one. */
export async function readHold(c: Context): Promise<{ for: number; key?: string }> {
  return resolveOptions(holdShape, await readJson(c), `body of ${c.req.path}`);
}

export async function readRelease(c: Context): Promise<{ key?: string }> {
  return resolveOptions(releaseShape, await readJson(c), `body of ${c.req.path}`);
}

/** Nothing counts as an empty object. */
async function readJson(c: Context): Promise<unknown> {
  const text = await c.req.text();
  if (text === "") return {};
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new ConfigError(`The body of ${c.req.path} is not JSON; send an object such as {"for":"30m"}.`, { cause });
  }
}

function whereOf(c: Context): string {
  return `query of ${c.req.path}`;
}
