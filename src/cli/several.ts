/** Work on many things, several at once: each is a few round trips, which one after the other would take minutes for thousands. */

const atOnce = 32;

/** @throws what the first of the calls that fail throws, after those under way have ended. */
export async function several<T>(
  things: Iterable<T> | AsyncIterable<T>,
  work: (thing: T) => Promise<void>,
): Promise<void> {
  let batch: T[] = [];
  const run = async (): Promise<void> => {
    const results = await Promise.allSettled(batch.map(work));
    batch = [];
    for (const result of results) if (result.status === "rejected") throw result.reason;
  };
  for await (const thing of things) {
    batch.push(thing);
    if (batch.length >= atOnce) await run();
  }
  await run();
}
