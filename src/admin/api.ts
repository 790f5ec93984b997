/**
 * What the admin HTTP API says, as JSON: plain types, shared with the dashboard's own program, which runs in a browser and imports nothing
 * else of Godwit. `top` and the API give the same frames.
 */
import type { DeadInfo } from "../lifecycle/dead-letter.ts";
import type { RunError } from "../lifecycle/runs.ts";
import type { Lane } from "../message/names.ts";
import type { DeadReason } from "../message/failure.ts";

/** Everything that moves, as of one moment. Rates and quantiles are of the last ten seconds or so. */
export interface Frame {
  /** ISO time. */
  at: string;
  namespace: string;
  /** By name. */
  actors: ActorFrame[];
  workers: WorkerFrame[];
  breakers: BreakerFrame[];
  limits: LimitFrame[];
  totals: { rate: number; errorShare: number; depth: number; inFlight: number; dead: number; workers: number };
  /** There is no connection to the NATS server: but for `at` and `problems` it is the last frame before, again. */
  stale?: boolean;
  /** What could not be read, one sentence for each; what the frame says of it is as of before. */
  problems: string[];
}

export interface ActorFrame {
  actor: string;
  /** Messages that no worker has been handed yet: tasks, due ones and events. */
  depth: number;
  /** Of these the tasks, by lane. */
  lanes: Record<Lane, number>;
  /** Delayed tasks whose time has not come. */
  scheduled: number;
  /** Handed to a worker and not settled, those asleep until their next attempt included. */
  inFlight: number;
  dead: number;
  /** How long the oldest message that waits has been stored; undefined where none waits. */
  oldestMs?: number;
  /** Nothing is delivered to it. */
  paused: boolean;
  /** ISO time at which a pause ends; absent where it lasts until somebody resumes it. */
  pausedUntil?: string;
  /** Workers that serve it and answered. */
  workers: number;
  running: number;
  concurrency: number;
  /** Deliveries a second that came to an end: completed, to be retried, or dead. */
  rate: number;
  /** Of these, the share in [0, 1] that was not completed. */
  errorShare: number;
  /** Put back without an attempt, a second, by why. */
  deferrals: Record<string, number>;
  /** How long handlers ran; undefined where none ended. */
  p50Ms?: number;
  p95Ms?: number;
  p99Ms?: number;
  /** P95 of how long messages waited for their first run. */
  queuedP95Ms?: number;
  /** The guards that its config names. */
  breaker?: string;
  rateLimit?: string;
  concurrencyLimit?: string;
}

export interface WorkerFrame {
  id: string;
  host: string;
  pid: number;
  version: string;
  startedAt: string;
  /**
   * `starting`: its actors start, and it answers once they have. `silent`: its lease is good, and it does not answer: stopped, blocked, cut off,
   * or just killed; or it is of a version that this one does not understand.
   */
  state: "starting" | "running" | "draining" | "silent";
  actors: string[];
  /** The supervisor that runs its process, where there is one. */
  group?: string;
  /** What it last wrote of itself; only while it starts or is silent. */
  last?: LastFrame;
  /** Absent while it starts or is silent. */
  live?: {
    running: number;
    concurrency: number;
    inHand: number;
    rate: number;
    rssBytes: number;
    heapUsedBytes: number;
    heapLimitBytes: number;
    loopP99Ms: number;
    blocked: number;
    healthy: boolean;
    unhealthyReasons: string[];
  };
}

/** What a worker wrote when it last renewed its lease, which it does every ten seconds and when its state changes. */
export interface LastFrame {
  /** ISO time, by the server's clock. */
  at: string;
  state: "starting" | "running" | "draining";
  running: number;
  inHand: number;
  rssBytes: number;
  loopP99Ms: number;
}

export interface BreakerFrame {
  name: string;
  state: "closed" | "open" | "half-open";
  /** Somebody opened it by hand: it stays open until it is closed by hand. */
  byHand: boolean;
  /** ISO time from which one call may probe; while open. */
  probeAt?: string;
  actors: string[];
}

export type LimitFrame =
  | {
      kind: "rate";
      name: string;
      limit: number;
      perMs: number;
      burst: number;
      keyed: boolean;
      /** ISO time until which nobody starts: a penalty, or held by hand. */
      heldUntil?: string;
      /** ISO time of the next slot that nobody has, where that is yet to come; of a limit without keys. */
      nextAt?: string;
      actors: string[];
    }
  | {
      kind: "concurrency";
      name: string;
      limit: number;
      keyed: boolean;
      /** Of a limit without keys. */
      inUse?: number;
      waiting?: number;
      actors: string[];
    };

/** Figures of the last minutes, one for each of `times`; `null` where there is none. */
export interface History {
  /** Wall-clock ms. */
  times: number[];
  actors: Record<string, Record<"rate" | "depth" | "errorShare" | "p95Ms", (number | null)[]>>;
}

/** Which dead letters. */
export interface DeadQuery {
  actor?: string;
  reason?: DeadReason;
  /** The fingerprint of a group. */
  group?: string;
  /** Occurs in the id or in the error's name or message, in whatever case. */
  text?: string;
}

export interface DeadLetter {
  /** In the dead-letter stream: its name for all that is done with it. */
  sequence: number;
  id: string;
  actor: string;
  reason: DeadReason;
  error: { name: string; message: string };
  diedAt: string;
  storedAt: string;
  attempts: number;
  deliveries: number;
  stalls: number;
  sizeBytes: number;
  /** The group that it is in. */
  group: string;
}

/** Newest first. */
export interface DeadPage {
  letters: DeadLetter[];
  /** Give it as `before` for the next page; absent on the last. */
  next?: number;
  /** How many were looked at, and how many there are of the actor or in all. */
  looked: number;
  of: number;
}

/** Dead letters alike: same actor, reason and error, but for numbers and ids in its message. */
export interface DeadGroup {
  /** Its fingerprint. */
  group: string;
  actor: string;
  reason: DeadReason;
  /** The error's name and message, with what differs replaced. */
  error: string;
  count: number;
  firstAt: string;
  lastAt: string;
  /** The newest of it. */
  sequence: number;
}

export interface DeadGroups {
  /** The largest first. */
  groups: DeadGroup[];
  looked: number;
  of: number;
}

/** One dead letter, whole. */
export interface DeadDetail extends DeadLetter {
  origin: { stream: string; sequence: number; subject: string };
  headers: [name: string, values: string[]][];
  history: { at: string; attempt: number; name: string; message: string }[];
  stack?: string;
  /** Absent where bodies are hidden. `text`: JSON where it could be decoded, else hexadecimal. */
  body?: { text: string; format: "json" | "text" | "hex"; cut: boolean };
}

/** What becomes of many: those that failed stay where they are. */
export interface BulkResult {
  done: number;
  failures: { sequence: number; code: string; message: string }[];
  /** There are more to look through than one call takes: call again, with `next` as `before`. */
  more: boolean;
  next?: number;
}

export type WorkerRef = Pick<WorkerFrame, "id" | "host" | "pid">;

/** Why nobody takes an actor's messages now. */
export type HoldUp =
  /** Until it is resumed, where there is no time. */
  | { why: "paused"; until?: string }
  /** Nobody who serves it answers; `silent`: those that should. */
  | { why: "no-worker"; silent: WorkerRef[] }
  /** Its handlers all run. */
  | { why: "busy"; workers: number; running: number; concurrency: number }
  | { why: "breaker-open"; name: string; byHand: boolean; probeAt?: string }
  /** Held, or with no slot before `until`. */
  | { why: "rate-limited"; name: string; until: string; held: boolean }
  | { why: "concurrency-limited"; name: string; limit: number; inUse: number; waiting: number };

/** What earlier runs left. */
export interface Past {
  /** The attempt that is running or comes next, 1 for the first. */
  attempt: number;
  /** Runs whose worker died. */
  stalls: number;
  /** The errors of earlier runs, oldest first. */
  errors: readonly RunError[];
}

/** Times are ISO. `holdUps`: why nobody takes it. */
export type DeliveryState =
  /** No worker has been handed it yet; `ahead` messages of its durable come first, which streams made by others do not tell. */
  | { state: "waiting"; ahead?: number; holdUps: HoldUp[] }
  /** Its handler runs, or its outcome is being carried out. */
  | ({ state: "running"; worker: WorkerRef; since: string } & Past)
  /** A worker has it, and its handler has not begun. `by`: the guard that it waits for; without one, for a free handler. */
  | ({ state: "held"; worker: WorkerRef; since: string; by?: string } & Past)
  /** Put back without an attempt. `reason`: one of those of `deferred`; absent where whoever put it back has forgotten. A time in the past: as below. */
  | ({ state: "put-back"; reason?: string; until: string; holdUps: HoldUp[] } & Past)
  /** It failed, and comes back no earlier than at `until`. A time in the past: it waits for a worker with room. */
  | ({ state: "backing-off"; until: string; holdUps: HoldUp[] } & Past)
  /**
   * Handed over and not settled, and nobody who answers has it: one of `suspects`, or a worker that died. It comes again after its visibility
   * timeout, unless it was put back by a worker that has ended since.
   */
  | ({ state: "in-flight"; suspects: WorkerRef[]; ackWaitMs: number } & Past)
  /**
   * Stored, and its durable will not hand it out again: dropped after `max_deliver`, or forgotten. `mendable`: `godwit doctor --mend stranded`
   * has it handed out; not so an event, of which others have their own.
   */
  | ({ state: "stranded"; mendable: boolean } & Past)
  /** Of an event: settled, or older than the subscription. */
  | { state: "settled" }
  /** Of an event: handed over; whether it is done or its worker died leaves no trace. */
  | { state: "delivered"; suspects: WorkerRef[] };

/** Where a message is stored. */
export interface Place {
  stream: string;
  sequence: number;
  subject: string;
  /** ISO time. */
  storedAt: string;
  /** Of a task. */
  lane?: Lane;
  /** ISO time after which it is not worth running. */
  expiresAt?: string;
}

/** What has become of a message, for one actor. */
export type Answer = { id: string } & (
  | ({
      actor: string;
      place: Place;
      /** Open pulls of its durable: workers with room. */ listening: number;
    } & DeliveryState)
  | { actor: string; state: "scheduled"; until: string; place: Place }
  /** Stored where no durable will hand it out. */
  | { actor: string | undefined; state: "unserved"; place: Place }
  /** `sequence` is that of the dead letter. */
  | { actor: string; state: "dead"; sequence: number; dead: DeadInfo }
  /** Stored results. */
  | { actor: string; state: "completed"; value: unknown; lost: string | undefined }
  | { actor: string; state: "failed"; reason: string; error: string }
  /** Accepted, its result still to come; the message itself is not among those that were looked at. */
  | { actor: string; state: "pending" }
  /** The place held a message and no longer does: it was settled, removed, or grew too old. */
  | { actor: undefined; state: "gone" }
);

export interface Explanation {
  query: string;
  found: Answer[];
  /** Empty where nothing had to be searched. */
  searched: Searched[];
}

/** How much of a stream was looked at. */
export interface Searched {
  stream: string;
  /** Messages looked at, the newest ones. */
  looked: number;
  /** Messages there were. More than `looked` means that older ones were left out. */
  of: number;
}

/** Who is asked, and what it lets the asker do. */
export interface Session {
  namespace: string;
  servers: string[];
  version: string;
  /** Bodies and headers of messages are shown. */
  bodies: boolean;
  /** Nothing can be changed. */
  readOnly: boolean;
}

/** What every refusal says. */
export interface ApiError {
  error: { code: string; message: string };
}
