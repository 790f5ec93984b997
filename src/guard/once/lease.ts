/** Once lease: one caller's hold on an effect in KV: taken, renewed while its function runs, and ended by what became of it. */
import type { Bucket } from "../../broker/bucket.ts";
import type { ServerClock } from "../../broker/server-clock.ts";
import { pause } from "../../kernel/clock.ts";
import { newId } from "../../message/names.ts";
import { findEntry, stepOf, writeEntry, type OnceDone, type OnceEntry, type OnceStep } from "./entry.ts";

/** How much longer than a hold its record stays. */
const ttlFactor = 6;
const freeTtlMs = 1_000;
const callTimeoutMs = 5_000;
const freeTimeoutMs = 2_000;
const lookAgainMs = { first: 50, longest: 500 };

export class OnceLease {
  readonly #bucket: Bucket;
  readonly #clock: ServerClock;
  readonly #key: string;
  readonly #leaseMs: number;
  readonly #onGarbage: (error: Error) => void;
  readonly #holder = newId();
  #revision = 0;
  #renewer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> | undefined;

  /**
   * @param leaseMs how long a hold lasts that is not renewed: so long a repeat waits after a worker died in the function.
   * @param onGarbage is told of what stands there and is no entry.
   */
  constructor(
    bucket: Bucket,
    clock: ServerClock,
    key: string,
    leaseMs: number,
    onGarbage: (error: Error) => void = () => undefined,
  ) {
    this.#onGarbage = onGarbage;
    this.#bucket = bucket;
    this.#clock = clock;
    this.#key = key;
    this.#leaseMs = leaseMs;
  }

  /**
   * Resolves once the effect is ours to do, then with `undefined`; or is done, then with its entry. Waits while another run does it.
   * @throws ConnectError and what else KV throws; the signal's reason when it aborts meanwhile.
   */
  async take(signal: () => AbortSignal): Promise<OnceDone | undefined> {
    await this.#clock.ready();
    let waitMs = lookAgainMs.first;
    // Most often nobody was here before.
    let step: OnceStep = "take";
    while (step !== "hold") {
      if (step === "take" && (await this.#hold(callTimeoutMs))) break;
      const { entry, revision } = await this.#read();
      if (entry?.state === "done") return entry;
      // Its lease counts as over only when it is, however wrong our clock may be.
      const longestMs = ttlFactor * this.#leaseMs;
      step = stepOf(entry, this.#holder, this.#clock.nowMs() - this.#clock.errorMs, longestMs);
      this.#revision = revision;
      if (step !== "wait") continue;
      await pause(waitMs, signal());
      signal().throwIfAborted();
      waitMs = Math.min(2 * waitMs, lookAgainMs.longest);
    }
    this.#renewer = setInterval(() => {
      this.#renewing = this.#renew();
    }, this.#leaseMs / 3).unref();
    return undefined;
  }

  /** Its function threw: the next call may run it at once. Best effort, since the lease ends by itself. */
  async free(): Promise<void> {
    await this.#stopRenewing();
    await this.#put({ state: "free" }, freeTtlMs, freeTimeoutMs, this.#revision).catch(() => undefined);
  }

  /**
   * Its function returned: notes that, also when the hold was lost meanwhile, since the effect happened.
   * @returns what stands: another run's entry, where that was done first.
   * @throws PayloadTooLargeError, and what KV throws while it is away.
   */
  async done(entry: OnceDone, ttlMs: number, timeoutMs: number): Promise<OnceDone> {
    await this.#stopRenewing();
    for (;;) {
      if ((await this.#put(entry, ttlMs, timeoutMs, this.#revision)) !== undefined) return entry;
      const found = await this.#read();
      if (found.entry?.state === "done") return found.entry;
      this.#revision = found.revision;
    }
  }

  async #hold(timeoutMs: number): Promise<boolean> {
    const untilMs = this.#clock.nowMs() + this.#leaseMs;
    const entry: OnceEntry = { state: "running", holder: this.#holder, untilMs };
    const revision = await this.#put(entry, ttlFactor * this.#leaseMs, timeoutMs, this.#revision);
    if (revision !== undefined) this.#revision = revision;
    return revision !== undefined;
  }

  /** A renewal that fails is made up for by the next, or somebody else takes over. */
  async #renew(): Promise<void> {
    try {
      if (await this.#hold(this.#leaseMs / 6)) return;
      const { entry, revision } = await this.#read();
      if (entry?.state === "running" && entry.holder === this.#holder) this.#revision = revision;
    } catch {
      // The server is away.
    }
  }

  async #stopRenewing(): Promise<void> {
    clearInterval(this.#renewer);
    await this.#renewing;
  }

  async #read(): Promise<{ entry: OnceEntry | undefined; revision: number }> {
    const { value, revision } = await this.#bucket.read(this.#key, callTimeoutMs);
    if (value === undefined) return { entry: value, revision };
    const garbage = (why: string): void =>
      this.#onGarbage(
        new Error(
          `What ${this.#bucket.name} holds under ${this.#key} is no entry of ctx.once (${why}); it counts as none and is overwritten. Look who may write there.`,
        ),
      );
    return { entry: findEntry(value, garbage), revision };
  }

  #put(entry: OnceEntry, ttlMs: number, timeoutMs: number, expected: number): Promise<number | undefined> {
    return this.#bucket.put(this.#key, writeEntry(entry), { ttlMs, timeoutMs, expected });
  }
}
