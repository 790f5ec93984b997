/**
 * Durables on the server: made, brought to their specs, or refused.
 * 1. A durable is never deleted here: what waits for it would be lost to it. A pause outlives it.
 * 2. A field that a spec does not mention is to be as the server has it by default: whatever else drops, refuses or hides messages.
 */
import type { ConsumerConfig, ConsumerInfo, JetStreamManager } from "@nats-io/jetstream";
import { patiently } from "./patience.ts";
import { absentAsUndefined, explainRefusal, mismatch, missing } from "./topology-refusal.ts";
import { differences, durableRules, type Difference } from "./settings.ts";
import type { Provision } from "./topology.ts";

export type DurableSpec = Partial<ConsumerConfig> & {
  durable_name: string;
  filter_subjects: string[];
  ack_wait: number;
};

/** The settings of a durable that are not as declared. */
export function durableDifferences(config: ConsumerConfig, spec: Partial<ConsumerConfig>): Difference[] {
  return differences(durableRules, { ...config, filter_subjects: filtersOf(config) }, spec);
}

/** What every durable has, of whatever actor. */
export const everyDurable = {
  ack_policy: "explicit",
  max_deliver: -1,
  max_ack_pending: -1,
  max_waiting: 4_096,
} as const;

/** As durableDifferences(), where it is not known which actor's config it goes by: without filters and ack-wait. */
export function durableAlterations(config: ConsumerConfig): Difference[] {
  const { ack_wait: wait, filter_subject: one, filter_subjects: filters = one ? [one] : undefined } = config;
  const own = { ...(wait !== undefined && { ack_wait: wait }), ...(filters && { filter_subjects: filters }) };
  return durableDifferences(config, { ...everyDurable, ...own });
}

/**
 * Creates, updates or refuses one durable.
 * @param provision `"restore"`: one that is gone is not made.
 * @returns whether it was created, what was changed, and until when it is paused, if it is: ISO time.
 */
export function reconcileDurable(
  jsm: JetStreamManager,
  stream: string,
  spec: DurableSpec,
  provision: Provision | "restore",
): Promise<{ created: boolean; changed: Difference[]; pausedUntil?: string }> {
  const what = `durable ${spec.durable_name} on ${stream}`;
  return patiently(what, () => reconcileOnce(jsm, stream, spec, provision, what));
}

async function reconcileOnce(
  jsm: JetStreamManager,
  stream: string,
  spec: DurableSpec,
  provision: Provision | "restore",
  what: string,
): Promise<{ created: boolean; changed: Difference[]; pausedUntil?: string }> {
  const found = await absentAsUndefined(jsm.consumers.info(stream, spec.durable_name));
  if (found === undefined) {
    if (provision === "restore") return { created: false, changed: [] };
    if (provision === "check" || provision === "use") throw missing(what, provision);
    await explainRefusal(what, jsm.consumers.add(stream, spec));
    return { created: true, changed: [] };
  }
  const { pause_until: pausedUntil } = found.config;
  const kept = { created: false, ...(found.paused === true && pausedUntil !== undefined && { pausedUntil }) };
  const changed = provision === "use" ? [] : durableDifferences(found.config, spec);
  if (changed.length === 0) return { ...kept, changed };
  const fixed = changed.filter((one) => one.fixed);
  if (provision === "check") throw mismatch(what, changed);
  if (fixed.length > 0) throw mismatch(what, fixed);
  const fields = Object.fromEntries(changed.map(({ field, want }) => [field, want]));
  const filters = { filter_subject: undefined, filter_subjects: spec.filter_subjects };
  await explainRefusal(what, jsm.consumers.update(stream, spec.durable_name, { ...fields, ...filters } as object));
  return { ...kept, changed };
}

/** Pauses a durable as its siblings are. */
export async function pauseDurable(
  jsm: JetStreamManager,
  stream: string,
  spec: DurableSpec,
  until: string,
): Promise<void> {
  const { durable_name: name } = spec;
  await explainRefusal(`pause of the durable ${name} on ${stream}`, jsm.consumers.pause(stream, name, new Date(until)));
}

/** @throws what the server refuses, as TopologyMismatchError or NotAuthorizedError. */
export async function setAckWait(
  jsm: JetStreamManager,
  stream: string,
  durable: string,
  ackWaitMs: number,
): Promise<void> {
  const changes = { ack_wait: ackWaitMs * 1_000_000 };
  await explainRefusal(`durable ${durable} on ${stream}`, jsm.consumers.update(stream, durable, changes));
}

/** A durable as the server tells of it. */
export type DurableInfo = ConsumerInfo;

/** Undefined where it is not there. */
export function findDurable(jsm: JetStreamManager, stream: string, durable: string): Promise<DurableInfo | undefined> {
  return patiently(`durable ${durable} on ${stream}`, () => lookForDurable(jsm, { stream, durable }));
}

/** As findDurable(), without patience. */
export function lookForDurable(
  jsm: JetStreamManager,
  { stream, durable }: { stream: string; durable: string },
): Promise<DurableInfo | undefined> {
  return absentAsUndefined(jsm.consumers.info(stream, durable));
}

/** The subjects that it lets through. */
export function filtersOf({ filter_subject: one, filter_subjects: several = [] }: ConsumerConfig): string[] {
  return one ? [one] : several;
}
