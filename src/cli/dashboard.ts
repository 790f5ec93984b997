/** `godwit dashboard`: serves the dashboard and its API until it is interrupted. */
import { Option, type Command } from "commander";
import { connectOptions, withExisting, type ConnectFlags } from "./connect.ts";
import { exitCode, signalExitCode } from "./exit.ts";
import { note, print } from "./io.ts";
import { whole } from "./parse.ts";
import { onAsked } from "./signals.ts";

interface DashboardFlags extends ConnectFlags {
  port: number;
  host: string;
  natsToken?: string;
  showBodies?: boolean;
  readOnly?: boolean;
}

/** Where the dashboard is unless it is told otherwise. */
export const dashboardPort = 4280;

export function dashboardCommand(program: Command): void {
  const command = program
    .command("dashboard")
    .option("-p, --port <port>", "to serve it on; 0 for any free one", whole("--port", 0, 65_535), dashboardPort)
    .option("--host <host>", "name or address to serve it on; any but loopback needs a token", "127.0.0.1")
    .addOption(new Option("--token <token>", "asked of all who use it").env("GODWIT_DASHBOARD_TOKEN"))
    .option("--show-bodies", "show bodies and headers of messages, and stored results")
    .option("--read-only", "let nobody change anything");
  connectOptions(command, "--nats-token")
    .summary("serve the dashboard")
    .description(
      `Serve the dashboard, and the HTTP API behind it, until it is interrupted. Its
address is printed on standard output. With a token, open /login in a browser,
or send 'Authorization: Bearer TOKEN'.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit dashboard
  godwit dashboard --host 0.0.0.0 --token "$(openssl rand -hex 16)" --read-only
  curl -s http://127.0.0.1:4280/api/frame | jq .totals`,
    )
    .action(async (flags: DashboardFlags) => {
      const { token, natsToken, ...others } = flags;
      const nats = { ...others, ...(natsToken !== undefined && { token: natsToken }) };
      await withExisting(nats, async (system) => {
        const { startDashboard } = await import("../admin/http/dashboard.ts");
        const { port, host, showBodies = false, readOnly = false } = flags;
        const dashboard = await startDashboard(system, { port, host, token, bodies: showBodies, readOnly });
        const asked = new Promise<void>((resolve) => {
          onAsked(
            () => resolve(),
            (signal) => process.exit(signalExitCode(signal)),
          );
        });
        note(`the dashboard of the namespace '${system.namespace}'; Ctrl-C ends it.`);
        print(dashboard.url);
        await asked;
        await dashboard.stop();
        process.exitCode = exitCode.ok;
      });
    });
}
