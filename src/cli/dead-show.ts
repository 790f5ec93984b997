/** `godwit dead show`: one dead letter, whole. */
import type { Command } from "commander";
import type { DeadMessage } from "../lifecycle/dead-letter.ts";
import { decodeBody } from "../message/body.ts";
import { toJson } from "../message/json-text.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { cleanJson, print, printJson } from "./io.ts";
import { whole } from "./parse.ts";
import { bytes, facts, lines, plural, time } from "./table.ts";

/** The body as a value where it can be decoded, else its bytes. */
type Body = { value: unknown } | { base64: string };

export function deadShowCommand(dead: Command): void {
  connectOptions(jsonOption(dead.command("show")))
    .argument("<sequence>", "as 'godwit dead list' shows it", whole("A dead letter's sequence"))
    .summary("show one, with its body and its runs")
    .description("Show one dead letter: why it died, its runs, its headers and its body.")
    .addHelpText("after", "\nExamples:\n  godwit dead show 7\n  godwit dead show 7 --json | jq .body.value")
    .action(async (sequence: number, flags: ConnectFlags & { json?: boolean }) => {
      await withExisting(flags, async (system) => {
        const letter = await system.dead.show(sequence);
        const body = await bodyOf(letter);
        if (flags.json) {
          const { info, headers } = letter;
          return printJson({
            sequence,
            ...info,
            sizeBytes: letter.body.length,
            headers: Object.fromEntries(headers),
            body,
          });
        }
        print(render(sequence, letter, body));
      });
    });
}

async function bodyOf({ headers, body }: DeadMessage): Promise<Body> {
  const get = (wanted: string): string | undefined =>
    headers.find(([name]) => name.toLowerCase() === wanted.toLowerCase())?.[1][0];
  try {
    return { value: await decodeBody(body, { get }) };
  } catch {
    return { base64: Buffer.from(body).toString("base64") };
  }
}

function render(sequence: number, { info, headers, body }: DeadMessage, decoded: Body): string {
  const { error, origin } = info;
  const sections = [
    facts([
      ["dead letter", String(sequence)],
      ["actor", info.actor],
      ["id", info.id],
      ["reason", info.reason],
      ["error", `${error.name}: ${error.message}${error.code === undefined ? "" : ` (${error.code})`}`],
      ["was", `${origin.stream}:${origin.sequence}`],
      ["subject", origin.subject],
      ["stored", time(origin.storedAt)],
      ["died", time(info.diedAt)],
      ["runs", `${plural(info.attempts, "attempt")}, handed over ${plural(info.deliveries, "time")}`],
      info.stalls === 0 ? undefined : ["stalls", `${plural(info.stalls, "run")} whose worker died`],
    ]),
  ];
  if (info.history.length > 0) {
    const runs = info.history.map(({ at, attempt, name, message }) => {
      return [`attempt ${attempt}`, `${time(new Date(at).toISOString())} ${name}: ${message}`] as const;
    });
    sections.push(`Errors\n${facts(runs)}`);
  }
  if (info.stack !== undefined) sections.push(`Stack\n${lines(info.stack)}`);
  if (headers.length > 0) {
    sections.push(`Headers\n${facts(headers.map(([name, values]) => [name, values.join(", ")] as const))}`);
  }
  // Line by line as it is: what facts() does to a value would unmake the indentation.
  const text =
    "value" in decoded ? cleanJson(toJson(decoded.value, 2)) : `cannot be decoded; base64: ${decoded.base64}`;
  sections.push(`Body, ${bytes(body.length)}\n${text.replace(/^/gm, "  ")}`);
  return sections.join("\n\n");
}
