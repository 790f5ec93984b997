/** Badges of what holds an actor back: paused, its breaker open, limited. */
import { span, time } from "../format.ts";
import { Badge } from "../parts/small.tsx";
import type { Holds } from "./guarded.ts";

/** Further off than anyone means: until it is resumed. */
const forGoodMs = 300 * 86_400_000;

export function HoldBadges({ holds, nowMs }: { holds: Holds; nowMs: number }) {
  const { pausedUntil, breaker, limits } = holds;
  return (
    <>
      {pausedUntil !== undefined && (
        <Badge tone="warn" title={untilText(pausedUntil, nowMs)}>
          paused
        </Badge>
      )}
      {breaker !== undefined && (
        <Badge tone="bad" title={`The breaker ${breaker.name} is ${breaker.state}${breaker.byHand ? ", by hand" : ""}`}>
          breaker {breaker.state}
        </Badge>
      )}
      {limits.length > 0 && (
        <Badge tone="warn" title={limits.map(({ kind, name }) => `${kind} limit ${name}`).join(", ")}>
          limited
        </Badge>
      )}
    </>
  );
}

/** `until 14:03:22, for another 4 min`; without a time where it is so far off that none was meant. */
export function untilText(until: string, nowMs: number): string {
  const leftMs = Date.parse(until) - nowMs;
  if (leftMs > forGoodMs) return "until it is resumed";
  return `until ${time(until, nowMs)}, for another ${span(Math.max(1_000, leftMs))}`;
}
