/** Rate record: what the limits bucket holds of a limit, or of one of its keys. */
import * as z from "zod";
import { key as keyText } from "../../message/names.ts";
import { keyToken } from "../key.ts";
import { freshState, type RatePlan, type SlotState } from "./slots.ts";

export interface RateRecord extends SlotState {
  readonly v: 1;
  readonly limit: number;
  readonly perMs: number;
  readonly burst: number;
  /** Each key is counted by itself; then the record under the name alone only says so. */
  readonly keyed: boolean;
}

const farMs = 60_000;
const timeMs = z.number().min(0);
/** More left of a group than a group has would be no limit at all. */
const shape: z.ZodType<RateRecord> = z
  .object({
    v: z.literal(1),
    limit: z.number().positive(),
    perMs: z.number().positive(),
    burst: z.number().positive(),
    keyed: z.boolean(),
    nextMs: timeMs,
    left: z.number().positive(),
    heldMs: timeMs,
  })
  .refine(({ left, burst }) => left <= burst);

/** What a process declares a limit to be. */
export interface RateSettings {
  readonly name: string;
  readonly plan: RatePlan;
  readonly keyed: boolean;
}

export function freshRecord({ plan, keyed }: RateSettings): RateRecord {
  const { limit, perMs, burst } = plan;
  return { v: 1, limit, perMs, burst, keyed, ...freshState(plan) };
}

/** False where it was written for other numbers. */
export function agrees(record: RateRecord, { plan, keyed }: RateSettings): boolean {
  const { limit, perMs, burst } = record;
  return limit === plan.limit && perMs === plan.perMs && burst === plan.burst && record.keyed === keyed;
}

/** Undefined for what is none of ours, or of a version that this one cannot read. */
export function readRecord(value: unknown): RateRecord | undefined {
  return shape.safeParse(value).data;
}

/** A next slot that is further away than any process reserves was written by none, and holds nobody. */
export function withoutFarSlot(record: RateRecord, nowMs: number): RateRecord {
  return record.nextMs - nowMs > 3 * record.perMs + farMs ? { ...record, nextMs: nowMs } : record;
}

/** `100 in 1000 ms`, with what else there is to say. */
export function describe({
  limit,
  perMs,
  burst,
  keyed,
}: Pick<RateRecord, "limit" | "perMs" | "burst" | "keyed">): string {
  return `${limit} in ${perMs} ms${burst === 1 ? "" : `, ${burst} at once`}${keyed ? ", by key" : ""}`;
}

/** How long a record must be kept: it may go once it says nothing more. */
export function recordTtlMs({ nextMs, heldMs }: SlotState, nowMs: number, leastMs: number): number {
  return Math.max(nextMs - nowMs, heldMs - nowMs, 0) + leastMs;
}

/** Where the record of a limit is, or of one of its keys. One token for each, so that no dotted name can be another's key. */
export function recordKey(name: string, key?: string): string {
  return key === undefined ? keyText(name) : `${keyText(name)}.${keyToken(key)}`;
}
