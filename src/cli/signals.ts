/** Signals that ask a process to end: the first time in order, the second time at once. */

const asking = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
export type AskingSignal = (typeof asking)[number];

/**
 * Listens for as long as the process lives.
 * @param again is called with every signal after the first.
 */
export function onAsked(once: (signal: AskingSignal) => void, again: (signal: AskingSignal) => void): void {
  let asked = false;
  for (const signal of asking) {
    process.on(signal, () => {
      if (asked) return again(signal);
      asked = true;
      once(signal);
    });
  }
}
