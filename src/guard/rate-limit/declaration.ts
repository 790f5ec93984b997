/**
 * Declaration: a rate limit has the same numbers in the whole fleet. Its record carries them, and processes that use it keep it fresh; one
 * that declares others is refused while somebody does, and takes the record over when nobody does.
 */
import type { ServerClock } from "../../broker/server-clock.ts";
import { monotonicMs, pause } from "../../kernel/clock.ts";
import { ConfigError } from "../../kernel/errors.ts";
import {
  agrees,
  describe,
  freshRecord,
  readRecord,
  recordKey,
  recordTtlMs,
  type RateRecord,
  type RateSettings,
} from "./record.ts";
import type { SharedState } from "../shared-state.ts";

/** Each process writes the record when nobody has for about so long. */
export const refreshEveryMs = 2_000;
/** A record that was not written for so long is nobody's. */
export const declarationTtlMs = 8_000;
const lookEveryMs = 250;

/**
 * Writes the numbers where they are not there. Takes up to `declarationTtlMs` where others stand there.
 * @param wanted false once nobody waits for it any more.
 * @throws ConfigError where others are in use.
 */
export async function declareLimit(
  state: SharedState<unknown>,
  settings: RateSettings,
  clock: ServerClock,
  wanted: () => boolean,
): Promise<void> {
  const key = recordKey(settings.name);
  let stranger: { revision: number; sinceMs: number } | undefined;
  await clock.ready().catch(() => undefined);
  while (wanted()) {
    const found = await state.read(key, readRecord).catch(() => undefined);
    // No server: what cannot be reserved is not run, and the numbers are compared again then.
    if (found === undefined) return;
    const { value, revision } = found;
    if (value !== undefined && agrees(value, settings)) return;
    const nowMs = clock.nowMs();
    if (value === undefined || (stranger !== undefined && monotonicMs() - stranger.sinceMs > declarationTtlMs)) {
      const fresh = freshRecord(settings);
      // What was reserved under the old numbers stays reserved, and a penalty stands.
      const kept = value !== undefined ? { nextMs: value.nextMs, heldMs: value.heldMs } : {};
      const next = { ...fresh, ...kept };
      const written = await state
        .write(key, next, { was: revision, ttlMs: recordTtlMs(next, nowMs, declarationTtlMs) })
        .catch(() => 0);
      if (written !== undefined) return;
    } else if (stranger === undefined) stranger = { revision, sinceMs: monotonicMs() };
    else if (stranger.revision !== revision) throw inUse(value, settings);
    await pause(lookEveryMs);
  }
}

function inUse(value: RateRecord, settings: RateSettings): ConfigError {
  return new ConfigError(
    `The rate limit ${settings.name} is ${describe(freshRecord(settings))} here, and running workers have it as ${describe(value)}; give the changed limit another name, or stop those workers first.`,
  );
}
