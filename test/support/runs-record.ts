/** What the runs bucket holds under a key, whosever it is. */
import { Buffer } from "node:buffer";
import type { ActorSystem } from "../../src/index.ts";
import type { RunsRecord } from "../../src/lifecycle/runs.ts";
import { contentTypes, decode } from "../../src/message/codec.ts";

export async function runsRecord(system: ActorSystem, key: string): Promise<RunsRecord | undefined> {
  const { names, connection } = system.parts;
  const query = { last_by_subj: `$KV.${names.runsBucket}.${key}` };
  const message = await connection.jsm.streams.getMessage(`KV_${names.runsBucket}`, query).catch(() => null);
  // A record whose time is over leaves an empty marker for a moment.
  if (message === null || message.data.length === 0) return undefined;
  return decode(Buffer.from(message.data), contentTypes.msgpack) as RunsRecord;
}
