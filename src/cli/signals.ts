/** Signals that ask a process to end: the first time in order, the second time at once. */

const asking = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
export type AskingSignal = (typeof asking)[number];

/**
 * Listens for as long as the process lives.
 * @param again is called with every signal after the first.
 * @param signals default: SIGINT, SIGTERM and SIGHUP.
 */
export function onAsked(
  once: (signal: AskingSignal) => void,
  again: (signal: AskingSignal) => void,
  signals: readonly AskingSignal[] = asking,
): void {
  let asked = false;
  for (const signal of signals) {
    process.on(signal, () => {
      if (asked) return again(signal);
      asked = true;
      once(signal);
    });
  }
}
