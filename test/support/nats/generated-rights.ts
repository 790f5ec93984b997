/** What is generated for deploy/nats/permissions: the rights of each role, and what passes between the accounts. */
import type { ResolvedConfig } from "../../../src/actor/config.ts";
import { accountLinks, accountText } from "../../../src/admin/rights/accounts.ts";
import { configText, permissionsOf } from "../../../src/admin/rights/permissions.ts";
import type { Role } from "../../../src/admin/rights/table.ts";
import { Names } from "../../../src/message/subjects.ts";

const names = new Names("godwit");

/** Files by name, without `.conf`. */
export function roleFiles(
  roles: readonly ("publisher" | "worker" | "provisioner" | "admin")[],
  actors: readonly ResolvedConfig[],
): Record<string, string> {
  return Object.fromEntries(roles.map((role) => [role, configText(permissionsOf(names, [role], actors))]));
}

/** @param guests what the accounts of workers and publishers are kept to. Default: as the one with the streams. */
export function accountFiles(
  actors: readonly ResolvedConfig[],
  guests: readonly ResolvedConfig[] = actors,
): Record<string, string> {
  const text = (roles: Role[], of: readonly ResolvedConfig[]): string => accountText(accountLinks(names, roles, of));
  return {
    "godwit-account": text(["provisioner", "admin"], actors),
    "worker-account": text(["worker"], guests),
    "publisher-account": text(["publisher"], guests),
  };
}
