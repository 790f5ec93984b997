/** Rate limit guard: lets a handler of one actor start under a slot of the limit, or of the message's key. */
import type { ResolvedConfig } from "../../actor/config.ts";
import type { ResolvedRateLimit } from "../../actor/guard-config.ts";
import { monotonicMs } from "../../kernel/clock.ts";
import type { Deferral, Guard, GuardedRun } from "../guard.ts";
import { keyOfInput } from "../key.ts";
import type { RateLimit } from "./limit.ts";
import type { Limiter, LimiterClient } from "./limiter.ts";

/** How long a message may wait in a worker for its slot. */
const patienceMs = 1_000;
/** The same with keys, where those that wait take the handlers of other keys. */
const keyedPatienceMs = 50;
/** The same once many wait: no longer than a reservation takes. */
const crowdedPatienceMs = 5;

interface Grant {
  limiter: Limiter;
  slotMs: number;
}

export class RateLimitGuard implements Guard {
  readonly label: string;
  readonly #limit: RateLimit;
  readonly #key: ResolvedRateLimit["key"];
  readonly #what: string;
  readonly #maxWaiting: number;
  readonly #grants = new Map<GuardedRun, Grant>();
  readonly #client: LimiterClient = { demand: 0, onChange: () => undefined };
  readonly #leave: () => void;
  #waiting = 0;
  #draining = false;

  constructor(
    limit: RateLimit,
    { name, concurrency }: ResolvedConfig,
    { key }: ResolvedRateLimit,
    onProblem: (error: Error) => void,
  ) {
    this.#limit = limit;
    this.label = `rate limit ${limit.settings.name}`;
    this.#key = key;
    this.#what = `rate limit "${limit.settings.name}" of actor ${name}`;
    // With keys at most half of the actor's handlers wait for slots.
    this.#maxWaiting = Math.max(1, concurrency / 2);
    this.#leave = limit.join(onProblem);
  }

  async start(onChange: () => void): Promise<void> {
    this.#client.onChange = onChange;
    await this.#limit.start();
    if (this.#key === undefined && !this.#draining) this.#limit.main.join(this.#client);
  }

  room(demand: number): number {
    if (this.#key === undefined) return this.#limit.main.room(this.#client, demand);
    // What is pulled while every key is held back would only be put back for as long.
    return this.#limit.main.isHeld ? 0 : Infinity;
  }

  /** @throws InvalidMessageError where the input has no key. */
  enter(run: GuardedRun, input: unknown): Deferral | undefined | Promise<Deferral | undefined> {
    const grant = this.#grants.get(run);
    if (grant !== undefined) return this.#enterAgain(run, grant);
    return this.#request(this.#limiterOf(run, input), run, run.deliveries > 1);
  }

  /** Its record is written, and it has a slot, unless that took too long. */
  async #enterAgain(run: GuardedRun, { limiter, slotMs }: Grant): Promise<Deferral | undefined> {
    return (await limiter.begin(slotMs)) ? undefined : this.#request(limiter, run, false);
  }

  #request(
    limiter: Limiter,
    run: GuardedRun,
    comesAgain: boolean,
  ): Deferral | undefined | Promise<Deferral | undefined> {
    if (this.#draining) return { reason: "rate-limited", delayMs: 0 };
    const answer = limiter.enter({ run, client: this.#client, patienceMs: this.#patienceMs, comesAgain });
    return answer instanceof Promise ? this.#wait(answer, run, limiter) : this.#take(answer, run, limiter);
  }

  get #patienceMs(): number {
    if (this.#key === undefined) return patienceMs;
    return this.#waiting < this.#maxWaiting ? keyedPatienceMs : crowdedPatienceMs;
  }

  async #wait(answer: Promise<number | Deferral>, run: GuardedRun, limiter: Limiter): Promise<Deferral | undefined> {
    this.#waiting += 1;
    const sinceMs = monotonicMs();
    const given = await answer;
    this.#waiting -= 1;
    const { waits } = this.#limit;
    waits.count += 1;
    waits.ms += monotonicMs() - sinceMs;
    return this.#take(given, run, limiter);
  }

  #take(given: number | Deferral, run: GuardedRun, limiter: Limiter): Deferral | undefined {
    if (typeof given !== "number") return given;
    this.#grants.set(run, { limiter, slotMs: given });
    return undefined;
  }

  #limiterOf(run: GuardedRun, input: unknown): Limiter {
    if (this.#key === undefined) return this.#limit.main;
    const key = keyOfInput(this.#key, input, this.#what, run);
    this.#limit.noteKey(run, key);
    return this.#limit.of(key);
  }

  holds(run: GuardedRun): boolean {
    const grant = this.#grants.get(run);
    return grant !== undefined && grant.limiter.valid(grant.slotMs);
  }

  leave(run: GuardedRun): void {
    this.#grants.delete(run);
  }

  drain(): void {
    this.#draining = true;
    this.#limit.dismiss(this.#client);
  }

  close(): void {
    this.drain();
    this.#leave();
  }
}
