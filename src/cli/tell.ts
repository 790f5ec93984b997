/** `godwit tell`: sends a task, or one for each line of standard input. */
import { createInterface } from "node:readline";
import type { Command } from "commander";
import { InvalidMessageError, toError } from "../kernel/errors.ts";
import { checkActorName } from "../message/names.ts";
import type { ActorSystem } from "../system/actor-system.ts";
import { connectOptions, jsonOption, withSystem, type ConnectFlags } from "./connect.ts";
import { exitCode, signalExitCode, UsageError } from "./exit.ts";
import { note, print, printJson, readBody } from "./io.ts";
import { checked } from "./parse.ts";
import { noteUnserved, printSent, sendOptions, tellOptions, type SendFlags } from "./send.ts";
import { onAsked } from "./signals.ts";
import { count } from "./table.ts";

interface TellFlags extends ConnectFlags, SendFlags {
  many?: boolean;
  idField?: string;
  wait?: boolean;
  json?: boolean;
}

interface LineFailure {
  line: number;
  code: string;
  message: string;
}

const maxFailuresShown = 20;

export function tellCommand(program: Command): void {
  const command = program
    .command("tell")
    .argument("<actor>", "the actor's name", checked(checkActorName))
    .argument("[body]", "JSON, @FILE, or - for standard input");
  sendOptions(command, "task")
    .option("--many", "a task for each line of standard input, each line one JSON document")
    .option("--id-field <name>", "with --many: the field of each body that is its id")
    .option("--wait", "with --many: while the actor's queue is full, wait for room");
  connectOptions(jsonOption(command))
    .summary("send a task to an actor")
    .description(
      `Send a task to an actor and print its id and place, once the server has it.
It waits there until a worker for the actor takes it.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit tell payments.charge '{"paymentId":"p1","amount":10}' --id p1
  godwit tell reports.build @report.json --delay 5m --lane low
  jq -c '.[]' orders.json | godwit tell orders.import --many --id-field orderId`,
    )
    .action(async (actor: string, body: string | undefined, flags: TellFlags) => {
      if (flags.many) return tellMany(actor, body, flags);
      if (body === undefined) throw new UsageError("tell needs a body: JSON, @FILE, or - for standard input.");
      if (flags.wait) throw new UsageError("--wait is for --many; a single task that finds no room fails.");
      if (flags.idField !== undefined) throw new UsageError("--id-field is for --many; a single task takes --id.");
      const value = await readBody(body);
      await withSystem(flags, async (system) => {
        printSent(await system.tell(actor, value, tellOptions(flags)), flags.json);
        await noteUnserved(system, actor);
      });
    });
}

async function tellMany(actor: string, body: string | undefined, flags: TellFlags): Promise<void> {
  if (body !== undefined && body !== "-") throw new UsageError("--many reads standard input; leave the body out.");
  if (flags.id !== undefined) throw new UsageError("--id is for a single task; with --many give --id-field.");
  await withSystem(flags, async (system) => {
    const reading = new AbortController();
    const stop = (signal: NodeJS.Signals): void => {
      note(`no more lines are read on ${signal}; those before are still sent. Again: end at once.`);
      process.exitCode = exitCode.failed;
      reading.abort();
    };
    onAsked(stop, (signal) => process.exit(signalExitCode(signal)));
    const { accepted, duplicates, failures } = await sendLines(system, actor, flags, reading.signal);
    if (flags.json) printJson({ accepted, duplicates, failures });
    else print(`accepted ${count(accepted)}, duplicates ${count(duplicates)}, failed ${count(failures.length)}`);
    if (failures.length > 0) process.exitCode = exitCode.failed;
    if (!flags.json) {
      for (const { line, message, code } of failures.slice(0, maxFailuresShown))
        note(`line ${line}: ${message} (${code})`);
      const more = failures.length - maxFailuresShown;
      if (more > 0) note(`and ${count(more)} more; --json lists them all.`);
    }
    await noteUnserved(system, actor);
  });
}

async function sendLines(
  system: ActorSystem,
  actor: string,
  flags: TellFlags,
  signal: AbortSignal,
): Promise<{ accepted: number; duplicates: number; failures: LineFailure[] }> {
  const failures: LineFailure[] = [];
  /** The line of each body that was sent. */
  const lines: number[] = [];
  const fail = (line: number, thrown: unknown): void => {
    const error = toError(thrown) as Error & { code?: string };
    failures.push({ line, code: error.code ?? "UNEXPECTED", message: error.message });
  };
  async function* bodies(): AsyncGenerator {
    let line = 0;
    for await (const text of createInterface({ input: process.stdin, crlfDelay: Infinity, signal })) {
      line += 1;
      if (text.trim() === "") continue;
      try {
        const body = parseLine(text);
        if (flags.idField !== undefined) idIn(body, flags.idField);
        lines.push(line);
        yield body;
      } catch (thrown) {
        // One bad line is one failure; the others are sent.
        fail(line, thrown);
      }
    }
  }
  const { idField } = flags;
  const { id: _none, ...shared } = tellOptions(flags);
  const sent = await system.tellMany(actor, bodies(), {
    ...shared,
    ...(flags.wait && { whenFull: "wait" }),
    ...(idField !== undefined && { id: (body: unknown) => idIn(body, idField) }),
  });
  for (const { index, error } of sent.failures) fail(lines[index] ?? 0, error);
  failures.sort((a, b) => a.line - b.line);
  return { accepted: sent.accepted, duplicates: sent.duplicates, failures };
}

function idIn(body: unknown, field: string): string {
  const id = (body as Record<string, unknown> | null)?.[field];
  if (typeof id === "string" || typeof id === "number") return String(id);
  throw new InvalidMessageError(`The line has no field '${field}' with a string or a number to be its id.`);
}

function parseLine(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (thrown) {
    throw new InvalidMessageError(`The line is not JSON (${toError(thrown).message}).`);
  }
}
