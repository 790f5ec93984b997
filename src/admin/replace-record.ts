/** Replaces a record that the fleet shares, whoever else writes it meanwhile. */
import type { Shared, SharedState } from "../guard/shared-state.ts";
import { pause } from "../kernel/clock.ts";
import { ConnectError } from "../kernel/errors.ts";

const mostTries = 50;
const longestPauseMs = 20;

export interface Replacement<T> {
  before: T | undefined;
  after: T;
}

/** @throws ConnectError where others write it all the time or no server answers, and what `change` throws. */
export async function replaceRecord<T>(options: {
  state: SharedState<unknown>;
  key: string;
  as: (value: unknown) => T | undefined;
  change: (found: Shared<T>) => Replacement<T>;
  ttlMs: (after: T) => number;
}): Promise<Replacement<T>> {
  const { state, key, as, change, ttlMs } = options;
  for (let tries = 1; tries <= mostTries; tries++) {
    const found = await state.read(key, as);
    const replacement = change(found);
    const { after } = replacement;
    if ((await state.write(key, after, { was: found.revision, ttlMs: ttlMs(after) })) !== undefined) return replacement;
    await pause(Math.random() * Math.min(longestPauseMs, 2 ** tries));
  }
  throw new ConnectError(`Others wrote the record of ${key} ${mostTries} times in between; try again.`);
}
