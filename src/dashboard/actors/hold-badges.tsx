/** Badges of what holds an actor back: paused, its breaker open, limited. */
import { Badge } from "../parts/small.tsx";
import { untilText, type Holds } from "./guarded.ts";

export function HoldBadges({ holds, nowMs }: { holds: Holds; nowMs: number }) {
  const { paused, pausedUntil, breaker, limits } = holds;
  return (
    <>
      {paused && (
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
