/** Listens in on a server with a plain subscription, to see what is asked of it. */
import type { PlainClient } from "./stage.ts";

export interface Spy {
  /** Subjects seen so far, in order. */
  subjects(): Promise<string[]>;
}

/** Sees every message on these subjects from now on. */
export async function spyOn(client: PlainClient, ...patterns: string[]): Promise<Spy> {
  const seen: string[] = [];
  for (const pattern of patterns) {
    client.nc.subscribe(pattern, { callback: (_error, message) => void seen.push(message.subject) });
  }
  await client.nc.flush();
  return {
    subjects: async () => {
      await client.nc.flush();
      return [...seen];
    },
  };
}

/** Sees every read and write of key-value buckets. */
export function spyOnBuckets(client: PlainClient): Promise<Spy> {
  return spyOn(client, "$JS.API.STREAM.MSG.GET.*", "$JS.API.DIRECT.GET.>", "$KV.>");
}
