/** Two sizes of the long tests: short ones by default, the full ones where FULL=1, as .ci/run sets it. They assert the same. */
export const full = process.env["FULL"] === "1";

/** The size of this run. */
export function sized<T>(sizes: { full: T; short: T }): T {
  return full ? sizes.full : sizes.short;
}
