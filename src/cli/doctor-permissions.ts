/** `godwit doctor --permissions`: what a credential of some roles is to be allowed, or its account to let pass. No server is asked. */
import type { ResolvedConfig } from "../actor/config.ts";
import { filled } from "../kernel/environment.ts";
import { UsageError } from "./exit.ts";
import { print, printJson } from "./io.ts";

export interface PermissionsFlags {
  namespace: string;
  permissions: string;
  account?: boolean;
  json?: boolean;
  domain?: string;
}

/** @param paths modules of the actors that the credential is kept to; none: all actors there may be. */
export async function printPermissions(paths: readonly string[], flags: PermissionsFlags): Promise<void> {
  const [{ accountLinks, accountText }, { configText, permissionsOf }, { roles }, { Names }] = await Promise.all([
    import("../admin/rights/accounts.ts"),
    import("../admin/rights/permissions.ts"),
    import("../admin/rights/table.ts"),
    import("../message/subjects.ts"),
  ]);
  const wanted = flags.permissions.split(",").map((given) => {
    const role = roles.find((one) => one === given);
    if (role !== undefined) return role;
    throw new UsageError(
      `--permissions has '${given}'; it must be one or more of ${roles.join(", ")}, comma-separated.`,
    );
  });
  const domain = flags.domain ?? filled(process.env["NATS_DOMAIN"]);
  if (flags.account && flags.domain !== undefined) {
    throw new UsageError("--account is for the servers that have the streams, which need no --domain; leave it out.");
  }
  const actors = paths.length === 0 ? undefined : await configsIn(paths);
  const names = new Names(flags.namespace);
  if (flags.account) {
    const links = accountLinks(names, wanted, actors);
    if (flags.json) printJson(links);
    else print(accountText(links));
    return;
  }
  const permissions = permissionsOf(names, wanted, actors, domain);
  if (flags.json) printJson(permissions);
  else print(configText(permissions));
}

async function configsIn(paths: readonly string[]): Promise<ResolvedConfig[]> {
  const [{ loadActors }, { configsOf }] = await Promise.all([
    import("../actor/loader.ts"),
    import("../actor/registry.ts"),
  ]);
  return configsOf(await loadActors(paths));
}
