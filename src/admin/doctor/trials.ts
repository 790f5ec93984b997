/** Trials: the table of rights, each as something that can be tried and leaves nothing behind. */
import type { Trial } from "../../broker/survey.ts";
import type { Names } from "../../message/subjects.ts";
import { rightsOf, type Role } from "../rights/table.ts";

export interface RightsTrial extends Trial {
  role: Role;
}

/** Nobody has this name, so that nothing is found and nothing changed under it. */
export const nobody = "godwit-doctor";

export function trialsOf(names: Names, domain: string | undefined): RightsTrial[] {
  return rightsOf(names, undefined, domain).map((right) => ({
    ...right,
    subject: right.subject.replaceAll(/[*>]/g, nobody),
  }));
}
