/**
 * Workers: who works, as the workers bucket and the workers themselves say. A lease without an answer is a worker that was stopped, is
 * blocked or cut off, or has just been killed: it may still hold messages.
 */
import type { Bus } from "../broker/bus.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import type { Names } from "../message/subjects.ts";
import { identityShape } from "../worker/answers.ts";
import { askWorkers } from "../worker/presence.ts";
import type { WorkerIdentity, WorkerSnapshot } from "../worker/snapshot.ts";

export interface WorkerStatus {
  identity: WorkerIdentity;
  /** `silent`: its lease is good, and it does not answer, or not in a way that this version understands. */
  state: "running" | "draining" | "silent";
  /** Absent while it is silent. */
  snapshot?: WorkerSnapshot;
}

export interface PresenceParts {
  names: Names;
  bus: Bus;
  reader: StreamReader;
}

/** How long those that answer are waited for, where not all do. */
export const answerMs = 500;
/** So many requests at once at most. */
const readsAtOnce = 50;

/**
 * Every worker of the namespace, the oldest first.
 * @param waitMs how long answers are waited for; no longer than until each worker that has a lease has answered. Default 500.
 */
export async function listWorkers(parts: PresenceParts, waitMs = answerMs): Promise<WorkerStatus[]> {
  const leases = await readLeases(parts);
  // Where nobody has a lease one that could not write it may answer all the same.
  const answers = await askWorkers(parts, { ask: "snapshot" }, { waitMs, enough: Math.max(1, leases.length) });
  const found = new Map<string, WorkerStatus>();
  for (const identity of leases) found.set(identity.id, { identity, state: "silent" });
  for (const snapshot of answers) {
    const { v, id, host, pid, version, node, startedAt, actors } = snapshot;
    const identity = { v, id, host, pid, version, node, startedAt, actors };
    found.set(id, { identity, state: snapshot.state, snapshot });
  }
  return [...found.values()].toSorted((one, other) => one.identity.startedAt.localeCompare(other.identity.startedAt));
}

/** Who has left word of himself and has not taken it back. */
export async function readLeases({ names, reader }: PresenceParts): Promise<WorkerIdentity[]> {
  const stream = `KV_${names.workersBucket}`;
  const subjects = Object.keys(await reader.subjects(stream, `$KV.${names.workersBucket}.>`));
  const found: WorkerIdentity[] = [];
  for (let at = 0; at < subjects.length; at += readsAtOnce) {
    const batch = subjects.slice(at, at + readsAtOnce);
    const entries = await Promise.all(batch.map((subject) => reader.last(stream, subject)));
    for (const entry of entries) {
      const identity = entry && readIdentity(entry.body);
      if (identity !== undefined) found.push(identity);
    }
  }
  return found;
}

/** Undefined for what a worker leaves when it stops, the server when a lease expires, and for what is none of ours. */
function readIdentity(body: Uint8Array): WorkerIdentity | undefined {
  try {
    return identityShape.safeParse(JSON.parse(Buffer.from(body).toString())).data;
  } catch {
    return undefined;
  }
}
