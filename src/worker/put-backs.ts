/** Put-backs: what an actor of one worker has put back without an attempt, to tell those who ask why. */
import { wallMs } from "../kernel/clock.ts";
import { placeText, type MessagePlace } from "../message/place.ts";
import type { InHand } from "./answers.ts";

type PutBack = Extract<InHand, { phase: "put-back" }>;

/** So many are remembered, the newest. */
const most = 1_000;

export class PutBacks {
  /** By `placeText`, the newest last. */
  readonly #byPlace = new Map<string, PutBack>();

  add(message: MessagePlace, reason: string, delayMs: number): void {
    const place = placeText(message);
    const nowMs = wallMs();
    const [at, until] = [nowMs, nowMs + delayMs].map((ms) => new Date(ms).toISOString()) as [string, string];
    this.#byPlace.delete(place);
    this.#byPlace.set(place, { phase: "put-back", reason, at, until });
    for (const oldest of this.#byPlace.keys()) {
      if (this.#byPlace.size <= most) return;
      this.#byPlace.delete(oldest);
    }
  }

  find(message: MessagePlace): PutBack | undefined {
    return this.#byPlace.get(placeText(message));
  }
}
