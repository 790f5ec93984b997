/** Probe: the one call that finds out whether a dependency is back. */
import { toError } from "../kernel/errors.ts";
import type { Verdict } from "./breaker-record.ts";

export interface ProbeOptions {
  /** False once somebody else may probe. */
  isCurrent: () => boolean;
  onSuccess: () => void;
  /** Not called where somebody else probes by now: its result counts. */
  onFailure: (error: Error) => void;
  /** It was not made. */
  onGivenBack: () => void;
  /** What is thrown for a probe that failed. */
  refusal: (error: Error) => Error;
}

export class Probe {
  readonly #options: ProbeOptions;
  #state: "granted" | "made" | "over" = "granted";
  /** The dependency is not back. */
  failed = false;

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  /** False once its result is known, or somebody else may probe. */
  get current(): boolean {
    return this.#state !== "over" && this.#options.isCurrent();
  }

  /** Makes the call. An error that says nothing leaves the circuit as it is: the next probe finds out. */
  async run<T>(call: () => T | Promise<T>, judge: (error: unknown) => Verdict): Promise<T> {
    const { onSuccess, onFailure, refusal, isCurrent } = this.#options;
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
