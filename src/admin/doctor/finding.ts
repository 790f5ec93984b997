/** Finding: what a check of the doctor says. */

/** `ok`: as it should be. `note`: good to know. `warning`: will hurt. `fault`: hurts already, or work may be lost. */
export type Level = "ok" | "note" | "warning" | "fault";

/** Stable, for programs. */
export type Check =
  | "server-version"
  | "max-payload"
  | "account-limits"
  | "fsync"
  | "clock-skew"
  | "domains"
  | "rights"
  | "stream-missing"
  | "stream-settings"
  | "stream-leader"
  | "stream-replicas"
  | "stream-placement"
  | "durability"
  | "stream-full"
  | "actor-full"
  | "schedule-size"
  | "dedup-window"
  | "dead-letters-old"
  | "events-behind"
  | "durable-missing"
  | "durable-settings"
  | "ack-wait"
  | "no-worker"
  | "paused"
  | "orphan-subject"
  | "stranded"
  | "handler-time"
  | "event-loop"
  | "worker-versions"
  | "worker-unhealthy"
  | "worker-silent"
  | "puller-rebuilt";

export interface Finding {
  check: Check;
  level: Level;
  /** What it is about: a stream, an actor, a worker, a server. */
  subject: string;
  /** One sentence. */
  finding: string;
  /** One sentence that says what to do; absent where nothing is to be done. */
  mend?: string;
}

const order: Record<Level, number> = { fault: 0, warning: 1, note: 2, ok: 3 };

/** The worst first; else as they come. */
export function sorted(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((a, b) => order[a.level] - order[b.level]);
}

/** Read, or why it could not be. */
export type Known<T> = { value: T } | { unread: string };

/** What is said of a check that may not read what it needs. */
export function unchecked(check: Check, subject: string, { unread }: { unread: string }): Finding {
  const right = /^missing right to (.*)$/.exec(unread)?.[1];
  const mend = right === undefined ? "Run it again, and look at the server's log." : `Let this credential ${right}.`;
  return { check, level: "note", subject, finding: `Could not be checked: ${unread.replace(/\.$/, "")}.`, mend };
}

/** What was found, or that all is well. */
export function orOk(check: Check, subject: string, found: readonly Finding[], well: string): Finding[] {
  return found.length > 0 ? [...found] : [{ check, level: "ok", subject, finding: well }];
}

/** As the nats command line takes durations. */
export function seconds(ms: number): string {
  return `${Math.ceil(ms / 1_000)}s`;
}
