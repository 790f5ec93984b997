/** Which dead letters the address asks for. Pure. */
import type { DeadQuery } from "../../admin/api.ts";
import type { Route } from "../route.ts";

export const reasons: readonly NonNullable<DeadQuery["reason"]>[] = [
  "exhausted",
  "terminal",
  "invalid",
  "undecodable",
  "stalled",
  "expired",
];

export function deadQuery({ params }: Route): DeadQuery {
  const { actor, group, text } = params;
  const reason = reasons.find((one) => one === params["reason"]);
  return {
    ...(actor !== undefined && { actor }),
    ...(reason !== undefined && { reason }),
    ...(group !== undefined && { group }),
    ...(text !== undefined && { text }),
  };
}
