/** Dice that fall the same way for the same seed. */

/** Takes FAULTS_SEED from the environment, to repeat a run. */
export function newSeed(): number {
  return Number(process.env["FAULTS_SEED"] ?? Date.now() % 1_000_000);
}

/** The same faults for the same seed (mulberry32); when they strike is up to the machine. */
export function dice(start: number): (below: number) => number {
  let state = start;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
