/**
 * Settings: each field of a stream or durable that can drop, refuse or hide messages, and which of two values is the safer. Pure.
 * 1. A field that a spec does not mention is to be as the server has it where nobody sets it.
 * 2. The tables drive what a start restores, what the doctor tells, and which options lower safety.
 */

/**
 * `limit`: the more the safer, and none (0, -1, absent) is the most. `amount`: the more the safer. `needed`: only its lack hurts. `told`: harmless
 * to messages, and worth a word. `placed`: as declared, where it is declared. `exact`: any other value hurts.
 */
type Kind = "limit" | "amount" | "needed" | "told" | "placed" | "exact";

interface Rule {
  kind: Kind;
  /** As the server has it where nobody says anything; absent: nothing, `false`, 0 or an empty list. */
  unset?: unknown;
  /** The server changes it never, or not back once it is on, or not from this or to it. */
  fixed?: "always" | "on" | "workqueue";
}

type Rules = Readonly<Record<string, Rule>>;

const limit: Rule = { kind: "limit" };
const exact: Rule = { kind: "exact" };

export const streamRules: Rules = {
  subjects: exact,
  retention: { kind: "exact", unset: "limits", fixed: "workqueue" },
  storage: { kind: "exact", unset: "file", fixed: "always" },
  persist_mode: { kind: "exact", unset: "default", fixed: "always" },
  num_replicas: { kind: "amount", unset: 1 },
  placement: { kind: "placed" },
  duplicate_window: { kind: "amount" },
  max_age: limit,
  max_msgs: limit,
  max_bytes: limit,
  max_msg_size: limit,
  max_msgs_per_subject: limit,
  max_consumers: limit,
  discard: { kind: "exact", unset: "old" },
  discard_new_per_subject: exact,
  no_ack: exact,
  sealed: { kind: "exact", fixed: "on" },
  deny_delete: { kind: "exact", fixed: "on" },
  deny_purge: { kind: "exact", fixed: "on" },
  allow_rollup_hdrs: exact,
  allow_direct: exact,
  mirror_direct: exact,
  mirror: { kind: "exact", fixed: "on" },
  subject_transform: exact,
  consumer_limits: exact,
  allow_msg_ttl: { kind: "needed" },
  allow_msg_schedules: { kind: "needed" },
  allow_msg_counter: { kind: "exact", fixed: "on" },
  subject_delete_marker_ttl: exact,
  sources: { kind: "told" },
  republish: { kind: "told" },
  first_seq: { kind: "told" },
};

/** Without the beginning (`deliver_policy` and the like), which matters once, and `pause_until`, which is a feature. */
export const durableRules: Rules = {
  ack_policy: { kind: "exact", fixed: "always" },
  replay_policy: { kind: "exact", unset: "instant", fixed: "always" },
  max_waiting: { kind: "exact", fixed: "always" },
  deliver_subject: { kind: "exact", fixed: "on" },
  ack_wait: exact,
  filter_subjects: exact,
  max_deliver: limit,
  max_ack_pending: limit,
  headers_only: exact,
  backoff: exact,
  priority_policy: exact,
  priority_groups: exact,
  priority_timeout: exact,
  inactive_threshold: limit,
  rate_limit_bps: limit,
  max_batch: limit,
  max_expires: limit,
  max_bytes: limit,
  mem_storage: exact,
  num_replicas: exact,
};

/** A field that is not as it is declared. */
export interface Difference {
  field: string;
  have: unknown;
  want: unknown;
  /** It drops, refuses or hides more than what is declared; else it is as safe or safer. */
  worse: boolean;
  /** By how much is stored, or for how long: what is over is dropped. */
  drops: boolean;
  /** The server does not change it back. */
  fixed: boolean;
}

/** @param want what is declared; with fields that a table does not have, which are left out. */
export function differences(rules: Rules, have: object, want: object): Difference[] {
  const [is, should] = [have, want] as Record<string, unknown>[];
  return Object.entries(rules).flatMap(([field, { kind, unset, fixed }]): Difference[] => {
    const [a, b] = [is?.[field], should?.[field]];
    if (kind === "placed" && b === undefined) return [];
    if (stable(kind, a ?? unset) === stable(kind, b ?? unset)) return [];
    const worse = isWorse(kind, a ?? unset, b ?? unset);
    const drops = kind === "limit";
    const offAgain = fixed === "on" && stable(kind, b) === nothing;
    const stuck = fixed === "always" || offAgain || (fixed === "workqueue" && (a === fixed || b === fixed));
    return [{ field, have: a, want: b ?? unset, worse, drops, fixed: stuck }];
  });
}

/** Whether a value of a field keeps less, or for shorter, than another one does. */
export function isLess(rules: Rules, field: string, value: number, than: number): boolean {
  const kind = rules[field]?.kind ?? "amount";
  return stable(kind, value) !== stable(kind, than) && isWorse(kind, value, than);
}

/** As `max_age is 3000000000, not 0`. */
export function described({ field, have, want }: Pick<Difference, "field" | "have" | "want">): string {
  return `${field} is ${JSON.stringify(have)}, not ${JSON.stringify(want)}`;
}

function isWorse(kind: Kind, value: unknown, than: unknown): boolean {
  if (kind === "limit") return unlimited(value) < unlimited(than);
  if (kind === "amount") return Number(value ?? 0) < Number(than ?? 0);
  if (kind === "needed") return stable(kind, than) !== nothing;
  return kind !== "told";
}

const unlimited = (value: unknown): number => (typeof value === "number" && value > 0 ? value : Infinity);

const nothing = "0";

/** Comparable text; a list in any order, and what the server leaves out because it is the zero value. */
function stable(kind: Kind, value: unknown): string {
  if (kind === "limit") return String(unlimited(value));
  const text = JSON.stringify(Array.isArray(value) ? value.map((one) => JSON.stringify(one)).toSorted() : value);
  return ["false", "0", '""', '"none"', "null", "[]", "{}"].includes(text ?? "null") ? nothing : text;
}
