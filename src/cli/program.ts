/** The program: every command in the order in which `godwit --help` lists them. */
import { Command } from "commander";
import { actorCommand } from "./actor.ts";
import { askCommand } from "./ask.ts";
import { breakerCommand } from "./breaker.ts";
import { dashboardCommand } from "./dashboard.ts";
import { deadCommand } from "./dead.ts";
import { devCommand } from "./dev.ts";
import { doctorCommand } from "./doctor.ts";
import { exitCodeHelp } from "./exit.ts";
import { explainCommand } from "./explain.ts";
import { limitCommand } from "./limit.ts";
import { provisionCommand } from "./provision.ts";
import { publishCommand } from "./publish.ts";
import { restartCommand } from "./restart.ts";
import { schemaCommand } from "./schema.ts";
import { statusCommand } from "./status.ts";
import { tellCommand } from "./tell.ts";
import { topCommand } from "./top.ts";
import { workerCommand } from "./worker.ts";
import { workersCommand } from "./workers.ts";

/** @param version of the package. */
export function createProgram(version: string): Command {
  const program = new Command("godwit")
    .description("Durable actors and event streams for Node.js on NATS JetStream.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help for a command")
    .helpCommand("help [command]", "print help for a command")
    // Thrown as an error instead of an exit, and said by main.ts as every other error is.
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .addHelpText(
      "after",
      `
Every command takes --namespace, and all but dev take --servers; else NATS_URL
counts, else the server of a 'godwit dev' in this folder, else
nats://127.0.0.1:4222. Those that print data take --json.

${exitCodeHelp}

GODWIT_DEBUG=1 prints the stack of an error.`,
    );
  const commands = [
    devCommand,
    workerCommand,
    provisionCommand,
    tellCommand,
    askCommand,
    publishCommand,
    statusCommand,
    topCommand,
    workersCommand,
    restartCommand,
    explainCommand,
    dashboardCommand,
    doctorCommand,
    deadCommand,
    actorCommand,
    breakerCommand,
    limitCommand,
    schemaCommand,
  ];
  for (const add of commands) add(program);
  return program;
}
