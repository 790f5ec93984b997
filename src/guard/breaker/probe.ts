/** Probe: the one call that finds out whether a dependency is back. */
import { monotonicMs } from "../../kernel/clock.ts";
import { toError } from "../../kernel/errors.ts";
import type { Verdict } from "./record.ts";

export interface ProbeOptions {
  /** False once somebody else may probe. */
  isCurrent: () => boolean;
  /** Not made after this, monotonic: the lease is reckoned from it. */
  untilMs: number;
  onSuccess: () => void;
  /** Not called where somebody else probes by now: its result counts. */
  onFailure: (error: Error) => void;
  /** It was not made. */
  onGivenBack: () => void;
  /** What is thrown for a probe that failed, or that came too late to be made. */
  refusal: (error?: Error) => Error;
}

export class Probe {
  readonly #options: ProbeOptions;
  #state: "granted" | "made" | "over" = "granted";
  /** The dependency is not back. */
  failed = false;

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  /** False once its result is known, it is too late to make it, or somebody else may probe. */
  get current(): boolean {
    if (this.#state === "granted" && monotonicMs() > this.#options.untilMs) return false;
    return this.#state !== "over" && this.#options.isCurrent();
  }

  /** Makes the call. An error that says nothing leaves the circuit as it is: the next probe finds out. */
  async run<T>(call: () => T | Promise<T>, judge: (error: unknown) => Verdict): Promise<T> {
    const { onSuccess, onFailure, refusal, isCurrent } = this.#options;
    if (!this.current) throw refusal();
    this.#state = "made";
    try {
      const value = await call();
      this.#state = "over";
      onSuccess();
      return value;
    } catch (thrown) {
      this.#state = "over";
      const verdict = judge(thrown);
      if (verdict === "answered") onSuccess();
      if (verdict !== "failed") throw thrown;
      this.failed = true;
      const error = toError(thrown);
      if (isCurrent()) onFailure(error);
      throw refusal(error);
    }
  }

  /** It is not going to be made, if it was not. */
  giveBack(): void {
    const unused = this.#state === "granted" && this.#options.isCurrent();
    if (this.#state === "granted") this.#state = "over";
    if (unused) this.#options.onGivenBack();
  }
}
