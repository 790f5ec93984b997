/** Looks at the times of starts. */

/** The most in any span of `perMs`, whose one end counts and the other does not. */
export function mostIn(startsMs: readonly number[], perMs: number): number {
  const sorted = startsMs.toSorted((a, b) => a - b);
  let most = 0;
  let first = 0;
  for (const [at, startMs] of sorted.entries()) {
    while (startMs - (sorted[first] as number) >= perMs) first += 1;
    most = Math.max(most, at - first + 1);
  }
  return most;
}
