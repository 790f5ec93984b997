/**
 * Workers: who works, as the workers bucket and the workers themselves say. A lease without an answer is a worker that was stopped, is
 * blocked or cut off, or has just been killed: it may still hold messages.
 */
import type { Bus } from "../broker/bus.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import type { Names } from "../message/subjects.ts";
import { readLeases } from "../worker/leases.ts";
import { askWorkers } from "../worker/questions.ts";
import type { WorkerFigures, WorkerIdentity, WorkerSnapshot } from "../worker/snapshot.ts";

export interface WorkerStatus {
  identity: WorkerIdentity;
  /**
   * `starting`: its actors start, and it answers once they have. `silent`: its lease is good, and it does not answer, or not in a way that
   * this version understands.
   */
  state: "starting" | "running" | "draining" | "silent";
  /** Absent while it starts or is silent. */
  snapshot?: WorkerSnapshot;
  /** What it last wrote of itself; `at` by the server's clock. Absent where it could not write, or is of a version that writes none. */
  last?: WorkerFigures;
}

export interface PresenceParts {
  names: Names;
  bus: Bus;
  reader: StreamReader;
}

/** How long those that answer are waited for, where not all do. */
export const answerMs = 500;

/**
 * Every worker of the namespace, the oldest first.
 * @param waitMs how long answers are waited for; no longer than until each worker that has a lease has answered. Default 500.
 */
export async function listWorkers(parts: PresenceParts, waitMs = answerMs): Promise<WorkerStatus[]> {
  const leases = await readLeases(parts);
  // Where nobody has a lease one that could not write it may answer all the same.
  const answers = await askWorkers(parts, { ask: "snapshot" }, { waitMs, enough: Math.max(1, leases.length) });
  const found = new Map<string, WorkerStatus>();
  for (const { figures: last, ...identity } of leases) {
    const state = last?.state === "starting" ? "starting" : "silent";
    found.set(identity.id, { identity, state, ...(last !== undefined && { last }) });
  }
  for (const snapshot of answers) {
    const { v, id, host, pid, version, node, startedAt, actors, group } = snapshot;
    const identity = { v, id, host, pid, version, node, startedAt, actors, ...(group !== undefined && { group }) };
    found.set(id, { ...found.get(id), identity, state: snapshot.state, snapshot });
  }
  return [...found.values()].toSorted((one, other) => one.identity.startedAt.localeCompare(other.identity.startedAt));
}
