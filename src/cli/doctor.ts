/** `godwit doctor`: what is wrong, what will be, and how to mend each. */
import { Option, type Command } from "commander";
import type { Diagnosis } from "../admin/doctor.ts";
import type { Mended } from "../admin/stranded.ts";
import type { Finding, Level } from "../admin/doctor/finding.ts";
import { connectOptions, jsonOption, withConnection, type ConnectFlags } from "./connect.ts";
import { printPermissions } from "./doctor-permissions.ts";
import { exitCode, UsageError } from "./exit.ts";
import { clean, print, printJson } from "./io.ts";
import { outputWidth, plural, time, wrap } from "./table.ts";

interface DoctorFlags extends ConnectFlags {
  json?: boolean;
  monitor?: string[];
  permissions?: string;
  account?: boolean;
  mend?: string;
}

export function doctorCommand(program: Command): void {
  const command = program
    .command("doctor")
    .argument("[paths...]", "with --permissions: modules of the actors that the credential is kept to")
    .option("--permissions <roles>", "print what credentials of these roles need, and ask no server")
    .option("--mend <what>", "stranded: have messages handed out again that no durable owes any more")
    .option("--account", "with --permissions: print what the roles' account exports and imports instead")
    .addOption(
      new Option(
        "-m, --monitor <urls>",
        "the servers' monitoring ports, comma-separated, such as http://nats-1:8222",
      ).argParser(monitorUrls),
    );
  connectOptions(jsonOption(command))
    .summary("find what is wrong, or will be, and how to mend it")
    .description(
      `Look at servers, streams, durables, workers, clocks and this credential's
rights, and say what is wrong, what will be, and how to mend each:

  FAULT    hurts already, or work may be lost
  WARNING  will hurt
  NOTE     good to know

Without --mend it changes nothing. The exit code is 0 where nothing is worse than a note, else
1. What a credential may not do is learnt by trying what the server refuses.

With --mend stranded it sends again each task that is stored and that no durable
will hand out (the check stranded), and then deletes the original. It touches
nothing that is in flight, loses nothing where it breaks off, and says what it
left and why; the exit code is then 1. Attempts begin again.

With --permissions it looks at nothing and prints, for a NATS server's config,
what a credential needs to be a publisher, worker, monitor (how much waits, for
/metrics), provisioner or admin, or several of these, comma-separated; with
--account too, what passes between the account of these roles and the others.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit doctor
  godwit doctor --monitor http://nats-1:8222,http://nats-2:8222
  godwit doctor --mend stranded
  godwit doctor --permissions worker dist/actors > worker.conf
  godwit doctor --json | jq '.findings[] | select(.level == "fault")'`,
    )
    .action(async (paths: string[], flags: DoctorFlags) => {
      const { permissions } = flags;
      if (permissions !== undefined) return printPermissions(paths, { ...flags, permissions });
      if (flags.account) throw new UsageError("--account is for --permissions; leave it out, or name roles.");
      if (paths.length > 0)
        throw new UsageError("Paths of actors are for --permissions; leave them out, or name roles.");
      if (flags.mend !== undefined && flags.mend !== "stranded")
        throw new UsageError(`--mend has '${flags.mend}'; all that it can mend is: stranded.`);
      await withConnection(flags, async (connection) => {
        const [{ diagnose }, { mendStranded }, { Bus }, { Names }] = await Promise.all([
          import("../admin/doctor.ts"),
          import("../admin/stranded.ts"),
          import("../broker/bus.ts"),
          import("../message/subjects.ts"),
        ]);
        const services = { names: new Names(flags.namespace), connection, bus: new Bus(connection) };
        if (flags.mend !== undefined) return reportMended(await mendStranded(services), flags);
        const diagnosis = await diagnose(services, flags.monitor === undefined ? {} : { monitors: flags.monitor });
        if (flags.json) printJson(diagnosis);
        else print(render(diagnosis, connection.servers));
        if (!diagnosis.healthy) process.exitCode = exitCode.failed;
      });
    });
}

function reportMended(mended: readonly Mended[], { json, namespace }: DoctorFlags): void {
  if (json) printJson({ namespace, mended });
  else if (mended.length === 0) print("Nothing is stranded.");
  for (const { actor, stream, sentAgain, left, why } of json ? [] : mended) {
    const rest = left === 0 ? "" : `; left ${left}${why === undefined ? "" : `: ${clean(why)}`}`;
    print(`${actor}: sent ${plural(sentAgain, "message")} of ${stream} again${rest}`);
  }
  if (mended.some(({ left }) => left > 0)) process.exitCode = exitCode.failed;
}

function monitorUrls(value: string): string[] {
  return value.split(",").map((url) => {
    if (!/^https?:/.test(url) || !URL.canParse(url)) {
      throw new UsageError(`--monitor has '${url}'; it must be an address such as http://127.0.0.1:8222.`);
    }
    return url;
  });
}

function render({ namespace, at, findings }: Diagnosis, servers: readonly string[]): string {
  const width = Math.min(outputWidth(), 100);
  const amiss = findings.filter(({ level }) => level !== "ok");
  const well = findings.filter(({ level }) => level === "ok");
  return [
    `namespace ${namespace} on ${servers.join(", ")} at ${time(at)}`,
    ...amiss.map((finding) => renderFinding(finding, width)),
    renderWell(well, width),
    summary(findings),
  ].join("\n\n");
}

function renderFinding({ check, level, subject, finding, mend }: Finding, width: number): string {
  const lines = [
    ...indented(`${level.toUpperCase()}  ${check}: ${subject}`, width, 0),
    ...indented(finding, width, 2),
    ...(mend === undefined ? [] : indented(`Mend: ${mend}`, width, 2)),
  ];
  return lines.join("\n");
}

function renderWell(well: readonly Finding[], width: number): string {
  const checks = [...new Set(well.map(({ check }) => check))];
  return indented(`OK  ${checks.join(", ")}`, width, 0).join("\n");
}

function summary(findings: readonly Finding[]): string {
  const of = (level: Level): number => findings.filter((finding) => finding.level === level).length;
  const [faults, warnings, notes] = [of("fault"), of("warning"), of("note")];
  if (faults + warnings + notes === 0) return "Nothing is wrong.";
  return `${plural(faults, "fault")}, ${plural(warnings, "warning")}, ${plural(notes, "note")}.`;
}

function indented(text: string, width: number, by: number): string[] {
  return wrap(clean(text), width - by).map((line) => " ".repeat(by) + line);
}
