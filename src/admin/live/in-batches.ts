/** Many small requests, so many at once and no more. */

const atOnce = 50;

/** @throws what the first that fails throws, after those of its batch have ended. */
export async function inBatches<T>(all: readonly T[], one: (value: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < all.length; at += atOnce) {
    const results = await Promise.allSettled(all.slice(at, at + atOnce).map(one));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }
}
