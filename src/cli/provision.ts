/** `godwit provision`: makes all that workers and publishers with fewer rights will need, and ends. */
import type { Command } from "commander";
import { connect, connectOptions, type ConnectFlags } from "./connect.ts";
import { note } from "./io.ts";
import { plural } from "./table.ts";
import { topologyOf, topologyOptions, type TopologyFlags } from "./topology-options.ts";

export function provisionCommand(program: Command): void {
  const command = program
    .command("provision")
    .argument("<paths...>", "modules, or folders of modules, that export actors");
  connectOptions(topologyOptions(command, "create"))
    .summary("make the streams and durables of actors, and run none")
    .description(
      `Make the namespace's streams, buckets and object stores, and the durables of
these actors, or bring them to these settings. Workers and publishers whose
credentials may not make any go by what is there: godwit worker --provision
check, or provision: "check". No actor is made from its class.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit provision dist/actors --durability replicated --user provisioner
  godwit provision dist/actors --provision check`,
    )
    .action(async (paths: string[], flags: ConnectFlags & TopologyFlags) => {
      const { loadActors } = await import("../actor/loader.ts");
      const sources = await loadActors(paths);
      const system = await connect(flags, topologyOf(flags));
      try {
        await system.provision(sources);
        note(`provisioned: ${plural(sources.length, "actor")} in the namespace ${system.namespace}`);
      } finally {
        await system.close();
      }
    });
}
