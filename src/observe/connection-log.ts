/** Connection log: when the connection goes and comes back, and what the server complains of, ever more rarely while that repeats. */
import type { Connection } from "../broker/connection.ts";
import { monotonicMs } from "../kernel/clock.ts";
import type { Logger } from "../kernel/logger.ts";

const firstWaitMs = 1_000;
const longestWaitMs = 60_000;
/** Errors that are told apart; the oldest is forgotten. */
const maxErrors = 100;

/** How often something is worth a line: at once, then after 1 s, 2 s, 4 s and so on, up to a minute. After as long without it, anew. */
class Rarely {
  #waitMs = 0;
  #untilMs = 0;
  #times = 0;

  /** Ms until the next line may be written. */
  get restMs(): number {
    return this.#untilMs - monotonicMs();
  }

  /** It has happened. @returns how often since the last line, where one is due; else undefined. */
  happened(): number | undefined {
    this.#times += 1;
    if (this.restMs > 0) return undefined;
    if (this.restMs < -longestWaitMs) this.#waitMs = 0;
    return this.told();
  }

  /** A line is written. @returns how often it has happened since the last. */
  told(): number {
    const times = this.#times;
    this.#times = 0;
    this.#waitMs = Math.min(longestWaitMs, Math.max(firstWaitMs, 2 * this.#waitMs));
    this.#untilMs = monotonicMs() + this.#waitMs;
    return times;
  }
}

/** @param closing its end is no news any more. */
export function logConnection(connection: Connection, log: Logger, closing: () => boolean): void {
  const { servers } = connection;
  const drops = new Rarely();
  const errors = new Map<string, Rarely>();
  let overdue: NodeJS.Timeout | undefined;
  let told = false;
  connection.onDown((why) => {
    if (closing()) return;
    const tell = (times: number): void => {
      told = true;
      const fields = { servers, ...(why !== undefined && { why }), ...(times > 1 && { times }) };
      log.warn(fields, "disconnected; trying again for ever");
    };
    const times = drops.happened();
    if (times !== undefined) tell(times);
    // One that lasts is told all the same.
    else overdue = setTimeout(() => tell(drops.told()), drops.restMs).unref();
  });
  connection.onUp(() => {
    clearTimeout(overdue);
    if (told) log.info({ servers }, "connected again");
    told = false;
  });
  connection.onError((error) => {
    const { message } = error;
    let one = errors.get(message);
    if (one === undefined) errors.set(message, (one = new Rarely()));
    for (const oldest of errors.size > maxErrors ? errors.keys() : []) {
      errors.delete(oldest);
      break;
    }
    const times = one.happened();
    if (times !== undefined) log.error({ err: message, ...(times > 1 && { times }) }, "the server reported an error");
  });
}
