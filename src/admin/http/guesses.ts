/**
 * Guesses: slows those who try tokens. An address that was wrong too often has its next ones looked at one after another, later each time.
 * 1. A right token is never refused for the wrong ones before it: at most it waits, and then the count begins again.
 * 2. Addresses share nothing, and only the last few thousand that guessed are remembered.
 */
import { getConnInfo } from "@hono/node-server/conninfo";
import type { Context } from "hono";
import { monotonicMs, pause } from "../../kernel/clock.ts";
import { AccessError } from "../../kernel/errors.ts";

/** Wrong ones that cost nothing: people mistype, and a page asks with an old cookie several times at once. */
const freeGuesses = 10;
const firstDelayMs = 50;
const maxDelayMs = 2_000;
const maxWaiting = 16;
const forgetMs = 10 * 60_000;
const maxAddresses = 4_096;

interface Guesser {
  wrong: number;
  waiting: number;
  lastMs: number;
  turn: Promise<void>;
}

export class Guesses {
  readonly #guessers = new Map<string, Guesser>();

  /** @param isRight asked when it is this guess's turn. @throws AccessError where too many of its address wait. */
  async check(c: Context, isRight: () => boolean): Promise<boolean> {
    const address = addressOf(c);
    const guesser = this.#find(address);
    if (guesser.wrong >= freeGuesses) await this.#turn(c, guesser);
    if (isRight()) {
      guesser.wrong = 0;
      if (guesser.waiting === 0) this.#guessers.delete(address);
      return true;
    }
    guesser.wrong += 1;
    guesser.lastMs = monotonicMs();
    // At the end, so that the first is the one that was silent for the longest time.
    this.#guessers.delete(address);
    this.#guessers.set(address, guesser);
    const [oldest] = this.#guessers.keys();
    if (this.#guessers.size > maxAddresses && oldest !== undefined) this.#guessers.delete(oldest);
    return false;
  }

  #find(address: string): Guesser {
    const known = this.#guessers.get(address);
    if (known !== undefined && (known.waiting > 0 || monotonicMs() - known.lastMs < forgetMs)) return known;
    return { wrong: 0, waiting: 0, lastMs: 0, turn: Promise.resolve() };
  }

  async #turn(c: Context, guesser: Guesser): Promise<void> {
    if (guesser.waiting >= maxWaiting) {
      c.header("Retry-After", String(Math.ceil((maxWaiting * maxDelayMs) / 1_000)));
      throw new AccessError("TOO_MANY_GUESSES", "Too many wrong tokens came from this address; try again later.");
    }
    guesser.waiting += 1;
    guesser.turn = guesser.turn.then(() => {
      const delayMs = firstDelayMs * 2 ** Math.min(10, guesser.wrong - freeGuesses);
      return guesser.wrong < freeGuesses ? undefined : pause(Math.min(maxDelayMs, delayMs));
    });
    await guesser.turn;
    guesser.waiting -= 1;
  }
}

/** Of an IPv6 address the network: one host has the whole of it. Not by headers, which anyone can write. */
function addressOf(c: Context): string {
  let address: string | undefined;
  try {
    ({ address } = getConnInfo(c).remote);
  } catch {
    // Asked without a connection, as in a test.
  }
  if (address === undefined || !address.includes(":") || address.includes(".")) return address ?? "";
  return address.split(":").slice(0, 4).join(":");
}
