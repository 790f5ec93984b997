/** Leases: who has left word of himself in the workers bucket and has not taken it back. */
import type { StreamReader } from "../broker/stream-reader.ts";
import type { Names } from "../message/subjects.ts";
import { leaseShape } from "./answers.ts";
import { readJson } from "./questions.ts";
import type { WorkerLease } from "./snapshot.ts";

/** So many requests at once at most. */
const readsAtOnce = 50;

export interface LeaseParts {
  names: Names;
  reader: Pick<StreamReader, "subjects" | "last">;
}

/** Every lease that is good, with the time of its figures by the server's clock. */
export async function readLeases({ names, reader }: LeaseParts): Promise<WorkerLease[]> {
  const stream = `KV_${names.workersBucket}`;
  const prefix = `$KV.${names.workersBucket}.`;
  const subjects = Object.keys(await reader.subjects(stream, `${prefix}>`));
  const found: WorkerLease[] = [];
  for (let at = 0; at < subjects.length; at += readsAtOnce) {
    const batch = subjects.slice(at, at + readsAtOnce);
    const entries = await Promise.all(batch.map((subject) => reader.last(stream, subject)));
    for (const entry of entries) {
      const lease = entry && readLease(entry.body);
      // One that lies under another worker's name is nobody's.
      if (lease === undefined || entry?.subject !== prefix + lease.id) continue;
      const { figures } = lease;
      // The worker's own clock may be anywhere.
      const at = new Date(entry?.storedAtMs ?? 0).toISOString();
      found.push(figures === undefined ? lease : { ...lease, figures: { ...figures, at } });
    }
  }
  return found;
}

/** Undefined for what a worker leaves when it stops, the server when a lease expires, and for what is none of ours. */
function readLease(body: Uint8Array): WorkerLease | undefined {
  return leaseShape.safeParse(readJson(body)).data;
}
