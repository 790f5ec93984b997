/** `godwit schema`: an AsyncAPI document of what actors receive. */
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { toJson } from "../message/json-text.ts";
import { namespaceOption } from "./connect.ts";
import { note, print } from "./io.ts";

interface SchemaFlags {
  namespace: string;
  servers?: string;
  title?: string;
  apiVersion?: string;
}

export function schemaCommand(program: Command): void {
  program
    .command("schema")
    .argument("<paths...>", "modules, or folders of modules, that export actors")
    .option("-s, --servers <urls>", "NATS servers that the document names, comma-separated")
    .addOption(namespaceOption())
    .option("--title <text>", "of the document (default: the name in ./package.json)")
    .option("--api-version <text>", "of the document (default: the version in ./package.json)")
    .summary("describe actors as an AsyncAPI document")
    .description(
      `Print an AsyncAPI 3.0 document, in JSON: each actor's subjects, what it takes
there as JSON Schema, its headers, answers and settings, and the events that it
hears. Schemas come from libraries that can give them (Standard JSON Schema,
such as zod 4.2); what others know is said to be anything. No server is asked.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit schema dist/actors > asyncapi.json
  godwit schema actors --servers nats://nats.example.com --title Payments`,
    )
    .action(runSchema);
}

async function runSchema(paths: string[], flags: SchemaFlags): Promise<void> {
  const [{ loadActors }, { configsOf }, { asyncApi }, { Names }, { splitCredentials }] = await Promise.all([
    import("../actor/loader.ts"),
    import("../actor/registry.ts"),
    import("../admin/schema/asyncapi.ts"),
    import("../message/subjects.ts"),
    import("../broker/addresses.ts"),
  ]);
  const own = await packageHere();
  const { document, notes } = asyncApi(configsOf(await loadActors(paths)), {
    names: new Names(flags.namespace),
    title: flags.title ?? own.name ?? "Godwit actors",
    version: flags.apiVersion ?? own.version ?? "0.0.0",
    servers: flags.servers === undefined ? [] : splitCredentials(flags.servers.split(","), {}).servers,
  });
  for (const one of notes) note(one);
  print(toJson(document, 2));
}

async function packageHere(): Promise<{ name?: string; version?: string }> {
  try {
    return JSON.parse(await readFile("package.json", "utf8")) as { name?: string; version?: string };
  } catch {
    return {};
  }
}
