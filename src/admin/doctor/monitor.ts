/** Monitor: what a server's monitoring port tells of it that no client can see. */
import * as z from "zod";

export interface MonitorFacts {
  name: string;
  version: string;
  /** Every write is on the disk before it is acknowledged. */
  syncAlways: boolean;
  /** Else how long it may take. */
  syncIntervalMs: number;
}

const varz = z.object({
  server_name: z.string(),
  version: z.string(),
  jetstream: z.object({
    config: z.object({ sync_always: z.boolean().default(false), sync_interval: z.number().default(120e9) }),
  }),
});
const timeoutMs = 3_000;

/** @param url such as `http://127.0.0.1:8222`. @throws whatever went wrong. */
export async function readMonitor(url: string): Promise<MonitorFacts> {
  const response = await fetch(new URL("/varz", url), { signal: AbortSignal.timeout(timeoutMs) });
  const { server_name: name, version, jetstream } = varz.parse(await response.json());
  const { sync_always: syncAlways, sync_interval: syncInterval } = jetstream.config;
  return { name, version, syncAlways, syncIntervalMs: syncInterval / 1e6 };
}
