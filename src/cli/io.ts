/** Input and output: data on standard output, everything else on standard error, and no crash when a reader goes away. */
import { readFile } from "node:fs/promises";
import { filled } from "../kernel/environment.ts";
import { stackOf, toError } from "../kernel/errors.ts";
import { toJson } from "../message/json-text.ts";
import { UsageError } from "./exit.ts";

/** A line of data. */
export function print(text = ""): void {
  process.stdout.write(`${text}\n`);
}

/** Resolves once all output has been taken, or cannot be. */
export async function written(): Promise<void> {
  const streams = [process.stdout, process.stderr];
  await Promise.all(streams.map((stream) => new Promise<void>((resolve) => stream.write("", () => resolve()))));
}

/** A value as one line of JSON. */
export function printJson(value: unknown): void {
  print(cleanJson(toJson(value)));
}

/** What people should know and programs should not read. */
export function note(text: string): void {
  process.stderr.write(`godwit: ${clean(text)}\n`);
}

/** An error as one sentence with its code, or as JSON; its stack and those of its causes too where GODWIT_DEBUG is set. */
export function printError(error: Error & { code?: unknown }, json: boolean): void {
  const code = typeof error.code === "string" ? error.code : "UNEXPECTED";
  if (json) process.stderr.write(`${cleanJson(toJson({ error: { code, message: error.message } }))}\n`);
  else note(`${error.message} (${code})`);
  if (filled(process.env["GODWIT_DEBUG"])) process.stderr.write(`${stackOf(error)}\n`);
}

/**
 * A reader that goes away (`godwit dead list | head`) must not end what is being done: `dead requeue` would stop half-way. What nobody
 * reads is dropped.
 */
export function surviveClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }
}

// oxlint-disable-next-line no-control-regex -- control characters are what is removed
const acted = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Text from elsewhere, without what a terminal would act on; marks that turn the direction of writing make one line look like another. */
export function clean(text: string): string {
  return text.replace(/\s*\n\s*/g, " ").replace(acted, "\u00b7");
}

/** JSON, whose strings may hold such characters: with these as escapes, so that it says the same. */
export function cleanJson(json: string): string {
  return json.replace(acted, (one) => (one === "\n" ? one : `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`));
}

/**
 * A body as the user gave it: JSON, `@FILE`, or `-` for standard input.
 * @throws UsageError.
 */
export async function readBody(given: string): Promise<unknown> {
  const text = given === "-" ? await readInput() : given.startsWith("@") ? await readNamed(given.slice(1)) : given;
  const where = given === "-" ? "Standard input" : given.startsWith("@") ? `The file '${given.slice(1)}'` : "The body";
  return parseJson(text, where);
}

/** @throws UsageError that says what is no JSON. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (thrown) {
    throw new UsageError(
      `${what} is not JSON (${toError(thrown).message}); write it like '{"paymentId":"p1"}', or give @FILE, or - for standard input.`,
    );
  }
}

async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

async function readNamed(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    throw new UsageError(`The file '${path}' cannot be read (${toError(thrown).message}); correct the path.`);
  }
}
