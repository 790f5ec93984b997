/** The command line of `npm start`. Pure. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";

export const usage = "npm start -- [FILE] [--once] [--json]";

export const help = `Usage: ${usage}

Starts a private nats-server and a worker for every actor in actors/, counts an access log in the Apache combined format, prints the
report and keeps running until Ctrl-C.

  FILE     the log to count, - for standard input; default: the sample that ships with the project
  --once   end after the report: 0 if every line was accounted for, 1 if not, 130 if interrupted
  --json   print the report as one JSON object; npm's own lines stay away with -s: npm start -s -- --json --once
  --help   print this
`;

export interface StartOptions {
  /** Absolute path, or `-` for standard input. Undefined: the sample. */
  file: string | undefined;
  once: boolean;
  json: boolean;
  help: boolean;
}

/** What was typed cannot be; the message is one sentence. */
export class UsageError extends Error {}

/**
 * @param env npm runs its scripts in the project's folder and tells in INIT_CWD where the user is, to whom FILE is relative.
 * @throws UsageError.
 */
export function parseStartOptions(args: string[], cwd: string, env: NodeJS.ProcessEnv): StartOptions {
  const { values, positionals } = parse(args);
  if (positionals.length > 1) throw new UsageError(`One FILE at a time, and not ${positionals.join(", ")}`);
  const [file] = positionals;
  if (file === "") throw new UsageError("FILE is empty");
  const from = (env["npm_lifecycle_event"] === "start" && env["INIT_CWD"]) || cwd;
  const { once = false, json = false, help = false } = values;
  return { file: file === undefined || file === "-" ? file : resolve(from, file), once, json, help };
}

function parse(args: string[]): {
  values: { once?: boolean; json?: boolean; help?: boolean };
  positionals: string[];
} {
  const options = {
    once: { type: "boolean" },
    json: { type: "boolean" },
    help: { type: "boolean", short: "h" },
  } as const;
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (thrown) {
    // Its second sentence is about options of another kind than these.
    throw new UsageError(String((thrown as Error).message.split(/\.(?: |$)/, 1)[0]), { cause: thrown });
  }
}
