/**
 * Rate slots: the arithmetic of rate limits. Pure.
 * 1. A token is a time slot: a start under it comes no earlier than its time, by the server's clock, and no later than `lateMs` after.
 * 2. Slots come in groups of at most `burst`. A group begins no earlier than `groupMs` after the last slot of the one before.
 * 3. So any span shorter than `per + lateMs + clockMs` has slots of at most limit / burst groups, and any span of `per` has at most
 *    `limit` starts, though each be late by `lateMs` and seen from clocks that are `clockMs / 2` off, either way.
 * 4. Times are whole multiples of 1/2048 ms: doubles add those exactly until the year 2109.
 */

/** How late a start may be. */
export const lateMs = 20;
/** What the clocks of two processes may differ by. */
export const clockMs = 20;
const ticksPerMs = 2_048;
/** A block of slots covers no more than this. */
export const blockMs = 100;
const maxBlock = 10_000;

export interface RatePlan {
  readonly limit: number;
  readonly perMs: number;
  readonly burst: number;
  /** From the last slot of a group to the first of the next. */
  readonly groupMs: number;
  /** From slot to slot, on average. */
  readonly slotMs: number;
  /** Slots that are reserved at once, at most. */
  readonly maxBlock: number;
}

/** What the fleet knows of a limit. */
export interface SlotState {
  /** No slot before this: while its group goes on, the time of its last slot. */
  readonly nextMs: number;
  /** Slots that the group has left. */
  readonly left: number;
  /** Nobody starts before this: a penalty. */
  readonly heldMs: number;
}

export function ratePlan({ limit, per, burst }: { limit: number; per: number; burst: number }): RatePlan {
  const groupMs = roundUp((per + lateMs + clockMs) / Math.floor(limit / burst));
  const slotMs = groupMs / burst;
  const fit = Math.max(burst, Math.floor(blockMs / slotMs), 1);
  return { limit, perMs: per, burst, groupMs, slotMs, maxBlock: Math.min(maxBlock, fit) };
}

/** Nothing was ever taken. */
export function freshState({ burst }: RatePlan): SlotState {
  return { nextMs: 0, left: burst, heldMs: 0 };
}

/** When the next slot is, if it is taken now. */
export function firstSlotMs({ nextMs, heldMs }: SlotState, nowMs: number): number {
  return Math.max(nextMs, heldMs, nowMs);
}

/** Takes the next `count` slots, in the order of their times. */
export function takeSlots(
  plan: RatePlan,
  state: SlotState,
  nowMs: number,
  count: number,
): { slots: number[]; state: SlotState } {
  const { burst, groupMs } = plan;
  let { nextMs, left } = state;
  let atMs = roundUp(firstSlotMs(state, nowMs));
  if (left < burst && atMs >= nextMs + groupMs) left = burst;
  const slots: number[] = [];
  while (slots.length < count) {
    atMs = Math.max(atMs, nextMs);
    slots.push(atMs);
    left -= 1;
    nextMs = left === 0 ? atMs + groupMs : atMs;
    if (left === 0) left = burst;
  }
  return { slots, state: { ...state, nextMs, left } };
}

/** Holds everybody back until `untilMs`, or longer where somebody has said so. */
export function hold(state: SlotState, untilMs: number): SlotState {
  return { ...state, heldMs: Math.max(state.heldMs, roundUp(untilMs)) };
}

/** When a slot may be used, after its time. Narrower where the clock is further off than was reckoned with; then it may be never. */
export function slotWindow(errorMs: number): { fromMs: number; toMs: number } {
  const excessMs = Math.max(0, errorMs - clockMs / 2);
  return { fromMs: excessMs, toMs: lateMs - excessMs };
}

/** What became of a block of slots. */
export interface BlockUse {
  size: number;
  used: number;
  /** Messages waited, or were known to, when the last one was gone. */
  hungry: boolean;
  /** How long before it the last one was reserved. */
  sinceLastMs: number;
}

/** How many slots to reserve next time: no more than were used, and twice as many where those did not do for `blockMs`. */
export function nextSize({ size, used, hungry, sinceLastMs }: BlockUse, { maxBlock: max }: RatePlan): number {
  if (used < size) return Math.max(1, used);
  return hungry || sinceLastMs < blockMs ? Math.min(max, size * 2) : size;
}

function roundUp(ms: number): number {
  return Math.ceil(ms * ticksPerMs) / ticksPerMs;
}
