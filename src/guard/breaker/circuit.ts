/**
 * Circuit: counts the calls of one closed period with opossum, and says when there were too many failures.
 * 1. It ends when it opens: what began before and fails later is no longer counted, and opossum's own half-open timer never runs.
 *    When to probe is the fleet's to decide.
 */
import Opossum from "opossum";
import type { ResolvedBreakerSettings } from "../../actor/guard-config.ts";
import { maxTimerMs } from "../../kernel/clock.ts";
import { toError } from "../../kernel/errors.ts";
import type { Verdict } from "./record.ts";

/** opossum opens above its threshold; ours is the share at which it opens. In percent. */
const justBelow = 1e-6;

/** What a call threw, and what that says: opossum's filter is given no more than what was thrown. */
class Thrown extends Error {
  readonly error: unknown;
  readonly verdict: Verdict;

  constructor(error: unknown, verdict: Verdict) {
    super("thrown by a call");
    this.error = error;
    this.verdict = verdict;
  }
}

export class Circuit {
  readonly #opossum: Opossum<[() => Promise<unknown>]>;
  #last: unknown;

  /** @param onOpen with the failure that was one too many. */
  constructor(settings: ResolvedBreakerSettings, onOpen: (error: Error) => void) {
    this.#opossum = new Opossum((call: () => Promise<unknown>) => call(), {
      timeout: false,
      // Longer than this it would fire at once; see 1.
      resetTimeout: maxTimerMs,
      errorThresholdPercentage: settings.errorThreshold * 100 - justBelow,
      volumeThreshold: settings.volume,
      rollingCountTimeout: Math.min(settings.window, maxTimerMs),
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      errorFilter: (thrown: unknown) => thrown instanceof Thrown && thrown.verdict !== "failed",
    });
    this.#opossum.once("open", () => {
      this.end();
      onOpen(toError(this.#last));
    });
  }

  /** Calls it, counts how it went, and gives what it gave. */
  async run<T>(call: () => T | Promise<T>, judge: (error: unknown) => Verdict): Promise<T> {
    try {
      const value = await this.#opossum.fire(async () => {
        try {
          return await call();
        } catch (error) {
          this.#last = error;
          throw new Thrown(error, judge(error));
        }
      });
      return value as T;
    } catch (thrown) {
      throw thrown instanceof Thrown ? thrown.error : thrown;
    }
  }

  /** Ends its timers. Calls that are on their way end as they would have. */
  end(): void {
    this.#opossum.shutdown();
  }
}
