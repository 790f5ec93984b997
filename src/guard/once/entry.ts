/** Once entry: what KV keeps of one side effect of one message, its key, and what a caller does about what it finds. Pure. */
import * as z from "zod";
import { DecodeError, toError } from "../../kernel/errors.ts";
import { contentTypes, decode, encode, isOtherVersion } from "../../message/codec.ts";
import { key as keyText } from "../../message/names.ts";
import { hashToken, keyToken } from "../key.ts";

const version = 1;

/**
 * `running`: its function runs, under a lease. `free`: it threw. `done`: it returned; `lost` says why its value is not kept, where it
 * could not be.
 */
export type OnceEntry = { state: "running"; holder: string; untilMs: number } | { state: "free" } | OnceDone;

export type OnceDone = { state: "done"; value?: unknown; lost?: string };

const v = z.literal(version);
const shape: z.ZodType<OnceEntry> = z.discriminatedUnion("state", [
  z.object({ v, state: z.literal("running"), holder: z.string(), untilMs: z.number() }),
  z.object({ v, state: z.literal("free") }),
  z.object({ v, state: z.literal("done"), value: z.unknown().exactOptional(), lost: z.string().exactOptional() }),
]);

/** What a caller does next, where it is not done. */
export type OnceStep = "wait" | "take" | "hold";

/** Which message an effect belongs to. */
export interface OnceScope {
  actor: string;
  id: string;
  /** `task`, or the stream and subject of the event: two events with the same id are two messages. */
  cause: string;
}

/** The KV key of an effect. What is no task's is hashed, with what brought it. */
export function onceKey({ actor, id, cause }: OnceScope, key: string): string {
  const effect = cause === "task" ? keyToken(key) : hashToken(JSON.stringify([cause, key]));
  return `${actor}.${keyText(id)}.${effect}`;
}

/**
 * Decides from what stands in KV.
 * @param nowMs the server's time, as late as it can be.
 * @param longestMs no lease lasts longer: one that says so is nobody's.
 */
export function stepOf(
  entry: Exclude<OnceEntry, OnceDone> | undefined,
  holder: string,
  nowMs: number,
  longestMs = Infinity,
): OnceStep {
  if (entry === undefined || entry.state === "free") return "take";
  // A write whose answer was lost, and that was sent again, finds itself in its way.
  if (entry.holder === holder) return "hold";
  return nowMs > entry.untilMs || entry.untilMs - nowMs > longestMs ? "take" : "wait";
}

/** @throws EncodeError for a value that cannot be kept. */
export function writeEntry(entry: OnceEntry): Uint8Array {
  return encode({ v: version, ...entry }, "msgpack");
}

/** @throws DecodeError for what is no entry of this version. */
export function readEntry(bytes: Uint8Array): OnceEntry {
  const entry = findEntry(bytes, (why) => {
    throw new DecodeError(`It is no entry: ${why}.`);
  });
  return entry as OnceEntry;
}

/**
 * As readEntry(), undefined for what is no entry at all: that holds no message.
 * @param onGarbage is told why.
 * @throws DecodeError for an entry of another version, which may say that the effect has happened.
 */
export function findEntry(bytes: Uint8Array, onGarbage: (why: string) => void): OnceEntry | undefined {
  let found: unknown;
  try {
    found = decode(bytes, contentTypes.msgpack);
  } catch (thrown) {
    onGarbage(toError(thrown).message);
    return undefined;
  }
  if (isOtherVersion(found, version)) throw new DecodeError("KV holds an entry of a version that this one cannot read");
  const { data, error } = shape.safeParse(found);
  if (data === undefined) onGarbage(error.message.replace(/\s+/g, " "));
  return data;
}
