/** Hold-ups in words: why nobody takes an actor's messages, for `explain` and `status`. */
import type { HoldUp, WorkerRef } from "../admin/api.ts";
import { formatMs } from "../kernel/duration.ts";
import { count, plural, time } from "./table.ts";

/** A sentence without a full stop. */
export function holdUpText(one: HoldUp): string {
  switch (one.why) {
    case "paused":
      return `the actor is paused until ${one.until === undefined ? "it is resumed" : timeAhead(one.until)}`;
    case "no-worker":
      if (one.silent.length === 0) return "no worker runs this actor";
      return `no worker that runs this actor answers; silent: ${one.silent.map(workerText).join("; ")}`;
    case "busy": {
      const { workers, running, concurrency } = one;
      return `every worker is busy: ${plural(workers, "worker")}, ${count(running)} of ${plural(concurrency, "handler")} run`;
    }
    case "breaker-open": {
      if (one.byHand) {
        return `the circuit of ${one.name} was opened by hand, until ${one.probeAt === undefined ? "it is closed" : timeAhead(one.probeAt)}`;
      }
      const next = one.probeAt === undefined ? "" : `; next probe ${timeAhead(one.probeAt)}`;
      return `the circuit of ${one.name} is open${next}`;
    }
    case "rate-limited":
      if (one.held) return `the rate limit ${one.name} is held until ${timeAhead(one.until)}`;
      return `the rate limit ${one.name} has no slot before ${timeAhead(one.until)}`;
    case "concurrency-limited": {
      const { name, limit, inUse, waiting } = one;
      const others = waiting > 0 ? `; workers that wait: ${count(waiting)}` : "";
      return `the concurrency limit ${name} is used up: ${count(inUse)} of ${count(limit)} run${others}`;
    }
  }
}

export function workerText({ id, host, pid }: WorkerRef): string {
  return `${host}, pid ${pid} (worker ${id})`;
}

/** `2026-11-22 14:05:11Z (in 3 s)`; without the rest where it has passed. */
export function timeAhead(iso: string): string {
  const ms = Date.parse(iso) - Date.now();
  return ms > 0 ? `${time(iso)} (in ${formatMs(ms)})` : time(iso);
}
