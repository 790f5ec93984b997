/** Time: a monotonic clock for deadlines, the wall clock for what is stored, and waits that end early. */

/** Monotonic milliseconds since the process began; never jumps. For deadlines and intervals in one process. */
export function monotonicMs(): number {
  return performance.now();
}

/** Wall-clock milliseconds since 1970. For what other processes read. */
export function wallMs(): number {
  return Date.now();
}

/** The longest wait that one timer can make, about 24.8 days; a longer one would fire at once. */
export const maxTimerMs = 2 ** 31 - 1;

/**
 * False where the time was up before the promise settled; what becomes of that afterwards is nobody's concern.
 * @param until ends the wait early where it aborts; aborted at the end.
 * @throws what the promise rejects with in time.
 */
export async function within(ms: number, promise: Promise<unknown>, until = new AbortController()): Promise<boolean> {
  try {
    return await Promise.race([promise.then(() => true), pause(ms, until.signal).then(() => false)]);
  } finally {
    until.abort();
  }
}

/** Resolves after `ms`, or at once when the signal aborts. Never rejects. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, Math.min(ms, maxTimerMs));
    signal?.addEventListener("abort", end, { once: true });
  });
}
