/** Topology refusals: what the server does not make or change, in words that say how to mend it. */
import { JetStreamApiError, type JetStreamManager } from "@nats-io/jetstream";
import { GodwitError, NotAuthorizedError, TopologyMismatchError } from "../kernel/errors.ts";
import { violationOf } from "./connection.ts";
import type { Difference } from "./settings.ts";

export async function absentAsUndefined<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.status === 404) return undefined;
    throw error;
  }
}

/** JetStream's own code for what was refused; 0 for another error. */
export function codeOf(error: unknown): number {
  const cause = error instanceof GodwitError ? error.cause : error;
  return cause instanceof JetStreamApiError ? cause.code : 0;
}

/** The store's, memory's or account's limit; in a cluster it is the reason that no peer is found. */
const noRoom = /insufficient (storage|memory|resources)|resource limits exceeded|exceeds account limit/i;

/** The account's or the server's count of streams, or of consumers. */
const tooMany = /maximum (number of streams|consumers limit) reached/i;

const subjectsOverlap = 10065;
const sizeDemanded = 10113;

/** Which streams have which subjects of it, which the server does not say; undefined where that cannot be learnt. */
export async function overlapOf(
  jsm: JetStreamManager,
  { name, subjects }: { name: string; subjects: readonly string[] },
): Promise<string | undefined> {
  const found: string[] = [];
  try {
    for (const subject of subjects) {
      for await (const other of jsm.streams.names(subject)) {
        if (other !== name) found.push(`'${subject}' overlaps with those of the stream ${other}`);
      }
    }
  } catch {
    return undefined;
  }
  return found.length === 0 ? undefined : found.join(", ");
}

/** @param reserved what the server sets aside for it, and the option that says how much. */
export async function explainRefusal<T>(
  what: string,
  request: Promise<T>,
  reserved?: { bytes: number; option: string },
  overlap?: () => Promise<string | undefined>,
): Promise<T> {
  try {
    return await request;
  } catch (cause) {
    if (cause instanceof GodwitError) throw cause;
    const violation = violationOf(cause);
    if (violation !== undefined) {
      throw new NotAuthorizedError(
        `The credentials have no right to make or change the ${what} (${violation.operation} to ${violation.subject}); do it with those of a provisioner, by godwit provision, or allow it in the user's permissions.`,
        { cause },
      );
    }
    const why = (cause as Error).message;
    const taken = cause instanceof JetStreamApiError && cause.code === subjectsOverlap ? await overlap?.() : undefined;
    if (taken !== undefined) {
      throw new TopologyMismatchError(
        `The server refused the ${what}: its subject ${taken}; give that one other subjects, delete it, or use another namespace.`,
        { cause },
      );
    }
    if (codeOf(cause) === sizeDemanded) {
      throw new TopologyMismatchError(
        `The server refused the ${what}: ${why}; give all of them sizes with limits.maxBytes and limits.sizes, or --max-bytes and --sizes, or let the credentials read $JS.API.INFO, so that they are chosen.`,
        { cause },
      );
    }
    if (reserved !== undefined && noRoom.test(why)) {
      const flag = reserved.option === "limits.maxBytes" ? "--max-bytes" : "--sizes";
      throw new TopologyMismatchError(
        `The server has no room to reserve ${reserved.bytes / 1e9} GB for the ${what} (${why}); ask for less with ${reserved.option}, or ${flag} of godwit worker, or give its JetStream more storage.`,
        { cause },
      );
    }
    const way = tooMany.test(why)
      ? "delete what is not needed, or raise that limit, the server's or the account's"
      : "change the setting it names, or use another namespace";
    throw new TopologyMismatchError(`The server refused the ${what}: ${why}; ${way}.`, { cause });
  }
}

/** @param provision why it is not made; `"start"`: only a start makes it. */
export function missing(what: string, provision: string, cause?: Error): TopologyMismatchError {
  if (provision === "start") {
    return new TopologyMismatchError(
      `The ${what} is gone, and all that it held; restore it, or start a worker whose credential may, which makes it again.`,
      { missing: what, cause },
    );
  }
  return new TopologyMismatchError(
    `The ${what} does not exist and provision is "${provision}"; create it with a credential that may, or use provision "create".`,
    { missing: what },
  );
}

export function mismatch(what: string, found: readonly Difference[]): TopologyMismatchError {
  const list = found.map(
    ({ field, have, want }) => `${field} is ${JSON.stringify(have)} and should be ${JSON.stringify(want)}`,
  );
  return new TopologyMismatchError(
    `The ${what} exists with other settings (${list.join("; ")}); change them on the server, or use another namespace.`,
  );
}
