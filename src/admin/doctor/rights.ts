/** Check of the rights: what this credential may not do of what publishers, workers and admins need. Pure. */
import type { Facts } from "./facts.ts";
import { unchecked, type Finding, type Level } from "./finding.ts";
import type { RightsTrial } from "./trials.ts";
import type { Role } from "../rights/table.ts";

const saidOf: Record<Role, { level: Level; lacks: string; spare: string }> = {
  publisher: { level: "warning", lacks: "send work and read results", spare: "" },
  worker: { level: "warning", lacks: "run actors", spare: "" },
  monitor: {
    level: "note",
    lacks: "tell how much waits, and for how long",
    spare: " Workers do without it, and their /metrics lacks those figures.",
  },
  provisioner: {
    level: "note",
    lacks: "create or change streams and durables",
    spare: ' It need not with provision: "check".',
  },
  admin: { level: "note", lacks: "inspect, requeue, pause or retire", spare: "" },
};

export function checkRights({ denied }: Facts): Finding[] {
  const subject = "this credential";
  if ("unread" in denied) return [unchecked("rights", subject, denied)];
  const othersWork = isOperators(denied.value);
  const found = Object.entries(saidOf).flatMap(([role, { level, lacks, spare }]): Finding[] => {
    const trials = denied.value.filter((trial) => trial.role === role);
    if (trials.length === 0) return [];
    const named = trials.map(({ operation, subject: on }) => `${operation} ${on}`);
    return [
      {
        check: "rights",
        level: othersWork ? "note" : level,
        subject: `${role} rights`,
        finding: `This credential may not do all that is needed to ${lacks}: ${named.join(", ")}.${spare}`,
        mend: `If it should: allow these subjects in the user's permissions, with wildcards where they say godwit-doctor; godwit doctor --permissions ${role} prints them.`,
      },
    ];
  });
  return found.length > 0
    ? found
    : [{ check: "rights", level: "ok", subject, finding: "It may do all that publishers, workers and admins need." }];
}

/** All that an admin does, and no right to take work: those who send and work have credentials of their own. */
function isOperators(denied: readonly RightsTrial[]): boolean {
  return (
    !denied.some(({ role }) => role === "admin") &&
    denied.some(({ subject }) => subject.includes(".API.CONSUMER.MSG.NEXT."))
  );
}
