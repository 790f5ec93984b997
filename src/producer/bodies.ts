/** Bodies: those of a bulk send, for as long as its system takes any. */

/**
 * What `bodies` gives until the signal aborts. A source that gives nothing then is not waited for.
 * @param onCut called where the signal came before the source's end.
 */
export function untilAborted<T>(bodies: AsyncIterable<T>, signal: AbortSignal, onCut: () => void): AsyncIterable<T> {
  const source = bodies[Symbol.asyncIterator]();
  const end = (): void => void Promise.resolve(source.return?.()).catch(() => undefined);
  let cut = (): void => undefined;
  // One listener for all bodies, of which there may be millions.
  signal.addEventListener("abort", () => cut(), { once: true });
  const next = (): Promise<IteratorResult<T>> =>
    new Promise((resolve, reject) => {
      cut = () => {
        onCut();
        end();
        resolve({ done: true, value: undefined });
      };
      if (signal.aborted) return cut();
      const settled = (): void => void (cut = () => undefined);
      Promise.resolve(source.next()).then(
        (step) => (settled(), resolve(step)),
        (thrown: unknown) => (settled(), reject(thrown as Error)),
      );
    });
  const stop = async (): Promise<IteratorResult<T>> => {
    end();
    return { done: true, value: undefined };
  };
  return { [Symbol.asyncIterator]: () => ({ next, return: stop }) };
}

/** How many bodies there are, where that can be told without taking them. */
export function sizeOf(bodies: object): number | undefined {
  const { length, size } = bodies as { length?: unknown; size?: unknown };
  return [length, size].find((one) => typeof one === "number");
}
