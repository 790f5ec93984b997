/** Names and ids: what may be called what, and `key()`, which makes any id fit for a KV key, a subject token or a durable. */
import { InvalidNameError } from "../kernel/errors.ts";
import { randomBytes } from "node:crypto";

/** The priorities of a task, most urgent first. */
export const lanes = ["critical", "high", "normal", "low"] as const;
export type Lane = (typeof lanes)[number];

const token = /^[A-Za-z0-9_-]+$/;
const dotted = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
// oxlint-disable-next-line no-control-regex -- refusing control characters is the point
const control = /[\u0000-\u001f\u007f-\u009f]/;
const maxNameBytes = 128;
const maxIdBytes = 128;

/** @throws InvalidNameError unless it is one token of `[A-Za-z0-9_-]`, at most 64 long. */
export function checkNamespace(name: string): string {
  if (!token.test(name) || name.length > 64) {
    throw new InvalidNameError(
      `The namespace ${show(name)} is not valid; use 1 to 64 of the characters A-Z a-z 0-9 _ and -.`,
    );
  }
  return name;
}

export function isActorName(name: unknown): name is string {
  return typeof name === "string" && dotted.test(name) && name.length <= maxNameBytes;
}

/** @throws InvalidNameError unless it is dotted tokens of `[A-Za-z0-9_-]`, at most 128 bytes. */
export function checkActorName(name: unknown): string {
  if (!isActorName(name)) {
    throw new InvalidNameError(
      `The actor name ${show(name)} is not valid; use words of A-Z a-z 0-9 _ and - joined by dots, such as "payments.charge", at most ${maxNameBytes} characters.`,
    );
  }
  return name;
}

/** @throws InvalidNameError unless it is a publishable event subject: dotted tokens, no wildcards. */
export function checkEventSubject(subject: unknown): string {
  if (typeof subject !== "string" || !dotted.test(subject) || subject.length > maxNameBytes) {
    throw new InvalidNameError(
      `The event subject ${show(subject)} is not valid; use words of A-Z a-z 0-9 _ and - joined by dots, such as "orders.placed".`,
    );
  }
  return subject;
}

const filter = /^(?:[A-Za-z0-9_$-]+|\*)(?:\.(?:[A-Za-z0-9_$-]+|\*))*(?:\.>)?$|^>$/;

/** @throws InvalidNameError unless it is a subject to subscribe to; `*` and a last `>` are allowed. */
export function checkSubjectFilter(subject: unknown): string {
  if (typeof subject !== "string" || !filter.test(subject) || subject.length > 2 * maxNameBytes) {
    throw new InvalidNameError(
      `The subject to subscribe to, ${show(subject)}, is not valid; write "orders.placed", "orders.*" or "orders.>".`,
    );
  }
  return subject;
}

/** True where `subject` is matched by `pattern`, which may have `*` and a last `>`. */
export function subjectMatches(pattern: string, subject: string): boolean {
  if (pattern === subject) return true;
  const want = pattern.split(".");
  const have = subject.split(".");
  for (const [index, part] of want.entries()) {
    if (part === ">") return have.length > index;
    if (have[index] === undefined || (part !== "*" && part !== have[index])) return false;
  }
  return want.length === have.length;
}

/** True where some subject is matched by both patterns. */
export function subjectsOverlap(one: string, other: string): boolean {
  const left = one.split(".");
  const right = other.split(".");
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const a = left[at];
    const b = right[at];
    if (a === ">" || b === ">") return true;
    if (a !== b && a !== "*" && b !== "*") return false;
  }
  return left.length === right.length;
}

/** @throws InvalidNameError unless it is one of the lanes. */
export function checkLane(lane: unknown): Lane {
  if (!lanes.includes(lane as Lane)) {
    throw new InvalidNameError(`The lane ${show(lane)} does not exist; use one of ${lanes.join(", ")}.`);
  }
  return lane as Lane;
}

/** The name of a breaker or a limit. @throws InvalidNameError unless it is dotted tokens of `[A-Za-z0-9_-]`, at most 128 bytes. */
export function checkGuardName(name: unknown): string {
  if (typeof name !== "string" || !dotted.test(name) || name.length > maxNameBytes) {
    throw new InvalidNameError(
      `The name ${show(name)} of a breaker or limit is not valid; use words of A-Z a-z 0-9 _ and - joined by dots, such as "payments-api".`,
    );
  }
  return name;
}

/** @throws InvalidNameError unless it has 1 to 128 bytes, no control characters and no outer blanks. */
export function checkId(id: unknown): string {
  if (typeof id === "string") {
    const sizeBytes = id.length > maxIdBytes ? Infinity : Buffer.byteLength(id);
    if (sizeBytes > 0 && sizeBytes <= maxIdBytes && !control.test(id) && id.trim() === id && id.isWellFormed())
      return id;
  }
  throw new InvalidNameError(
    `The message id ${show(id)} is not valid; use a string of 1 to ${maxIdBytes} bytes with no control characters and no blanks at its ends.`,
  );
}

/** Writes every byte outside `[A-Za-z0-9_-]` as `=HH`, so that different ids give different keys. */
export function key(text: string): string {
  if (token.test(text)) return text;
  let out = "";
  for (const byte of Buffer.from(text)) {
    const char = String.fromCharCode(byte);
    out += token.test(char) ? char : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}

/** The text that `key()` was given. */
export function unkey(written: string): string {
  const bytes: number[] = [];
  for (let at = 0; at < written.length; at++) {
    if (written[at] === "=") {
      bytes.push(Number.parseInt(written.slice(at + 1, at + 3), 16));
      at += 2;
    } else bytes.push(written.charCodeAt(at));
  }
  return Buffer.from(bytes).toString();
}

/** Bytes as the text of an id: base64url, with an `i` before a first character that command lines take for an option's. */
export function idText(bytes: Buffer): string {
  const text = bytes.toString("base64url");
  return /^[-_]/.test(text) ? `i${text}` : text;
}

const idPrefixBytes = 12;
let idPrefix = idText(randomBytes(idPrefixBytes));
let idCount = 0;

/**
 * A new id, unique across processes: 96 random bits for each process and each 2^30 ids, then a count. Counting is what makes it
 * cheap enough for bulk sends.
 */
export function newId(): string {
  idCount += 1;
  if (idCount > 2 ** 30) {
    idPrefix = idText(randomBytes(idPrefixBytes));
    idCount = 1;
  }
  return `${idPrefix}${idCount.toString(36)}`;
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
