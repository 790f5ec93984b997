/**
 * Hold: what one process at a time may do, as a key in a bucket that ends by itself where its holder died.
 * A holder that stood still must find out before it goes on: it asks `mine` before each step, and each step ends well before the key does.
 */
import { monotonicMs, wallMs } from "../kernel/clock.ts";
import { ConnectError } from "../kernel/errors.ts";
import { newId } from "../message/names.ts";
import type { Bucket } from "./bucket.ts";

const ttlMs = 60_000;
const usableMs = 20_000;
const callTimeoutMs = 5_000;
const freeTtlMs = 1_000;

export interface Hold {
  /** @throws ConnectError once it is too old to be relied on. */
  mine(): void;
  /** Ends it. Best effort. */
  release(): Promise<void>;
}

/** Undefined while another process has it. @throws what the bucket throws. */
export async function takeHold(bucket: Bucket, key: string): Promise<Hold | undefined> {
  const { value, revision } = await bucket.read(key, callTimeoutMs);
  if (value !== undefined && value.length > 0) return undefined;
  // Both clocks: the monotonic one stands still while its host sleeps, and the other one may be set.
  const [since, sinceWall] = [monotonicMs(), wallMs()];
  const options = { ttlMs, timeoutMs: callTimeoutMs, expected: revision };
  const taken = await bucket.put(key, Buffer.from(newId()), options);
  if (taken === undefined) return undefined;
  const old = (): boolean => Math.max(monotonicMs() - since, Math.abs(wallMs() - sinceWall)) > usableMs;
  return {
    mine() {
      if (old()) {
        throw new ConnectError(
          `The servers took longer than ${usableMs / 1_000} s for a change that one process at a time makes (${key}); look whether they have leaders, and start the worker again, which goes on with it.`,
        );
      }
    },
    async release() {
      // Another may have it by now.
      if (old()) return;
      const free = { ttlMs: freeTtlMs, timeoutMs: callTimeoutMs, expected: taken };
      await bucket.put(key, new Uint8Array(), free).catch(() => undefined);
    },
  };
}
