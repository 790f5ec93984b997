/**
 * Spans: what workers did in the last ten seconds or so, as the difference of what they have said of themselves. Pure but for its memory.
 * 1. A worker that began within the span counts from zero. One that is heard for the first time and is older gives nothing yet.
 * 2. A worker that has gone counts until what it did has left the span.
 */
import type { WorkerSnapshot } from "../../worker/snapshot.ts";

/** What one worker did. */
export interface Span {
  seconds: number;
  now: WorkerSnapshot;
  /** Undefined: it counts from zero. */
  before: WorkerSnapshot | undefined;
}

interface Heard {
  atMs: number;
  snapshot: WorkerSnapshot;
}

export const spanMs = 10_000;
/** Shorter ones would make a rate out of one or two. */
const shortestMs = 1_000;

export class Spans {
  #heard = new Map<string, Heard[]>();

  /** @param atMs monotonic; no earlier than at the last call. */
  hear(atMs: number, snapshots: readonly WorkerSnapshot[]): void {
    for (const snapshot of snapshots) {
      const list = this.#heard.get(snapshot.id) ?? [];
      list.push({ atMs, snapshot });
      this.#heard.set(snapshot.id, list);
    }
    for (const [id, list] of this.#heard) {
      const kept = list.filter((one) => atMs - one.atMs <= spanMs);
      if (kept.length > 0) this.#heard.set(id, kept);
      else this.#heard.delete(id);
    }
  }

  /** By the worker's id. */
  at(atMs: number): Map<string, Span> {
    const spans = new Map<string, Span>();
    for (const [id, list] of this.#heard) {
      const [first, last] = [list[0], list.at(-1)];
      if (first === undefined || last === undefined) continue;
      const { snapshot: now } = last;
      const ageMs = now.ageMs + (atMs - last.atMs);
      if (ageMs <= spanMs) spans.set(id, { seconds: secondsOf(ageMs), now, before: undefined });
      else if (first !== last) spans.set(id, { seconds: secondsOf(atMs - first.atMs), now, before: first.snapshot });
    }
    return spans;
  }
}

function secondsOf(ms: number): number {
  return Math.max(shortestMs, ms) / 1_000;
}
