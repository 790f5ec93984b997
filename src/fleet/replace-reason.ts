/** Replace reasons: why a process of a group was replaced, or ended by itself, and in the words of logs. */
export const whyReplaced = Object.freeze({
  messages: "it has run its share of messages",
  memory: "its memory limit",
  age: "its age limit",
  unhealthy: "it is unhealthy",
  silent: "it stands still",
  restart: "a restart",
  crash: "it ended by itself",
});

export type ReplaceReason = keyof typeof whyReplaced;

/** How many were replaced for each reason; 0 at first. */
export function noReplacements(): Record<ReplaceReason, number> {
  const zeroes = Object.keys(whyReplaced).map((reason) => [reason, 0]);
  return Object.fromEntries(zeroes) as Record<ReplaceReason, number>;
}
