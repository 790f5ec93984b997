/**
 * The program of `npm start`: a private nats-server, a worker for every actor, an access log counted, a report.
 * 1. Standard output gets the report and nothing else.
 * 2. However it ends, by itself or by SIGINT or SIGTERM at any moment, the server and its temporary store go with it.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ActorSystem, loadActors, type Worker } from "godwit";
import { countLog } from "./count-log.ts";
import { openLogFile } from "./log-file.ts";
import { help, parseStartOptions, usage, UsageError, type StartOptions } from "./options.ts";
import { megabytes, Progress } from "./progress.ts";
import { formatReport } from "./report.ts";
import { showOthers } from "./show-others.ts";
import { startPartner } from "./stand-in-partner.ts";

const interrupted = 130;
/** npm passes on a Ctrl-C that the terminal has sent already; only a later one means "now". */
const impatienceMs = 1_000;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** @returns the exit code. */
async function start(options: StartOptions, stop: AbortSignal): Promise<number> {
  const log = await openLogFile(options.file ?? inProject("demo", "sample-access-log.txt"));
  const system = await ActorSystem.connect({ embedded: true, log: "warn" });
  const serverGone = failWhenGone(system);
  let worker: Worker | undefined;
  try {
    stop.throwIfAborted();
    process.env["PARTNER_URL"] ??= await startPartner();
    // From their sources: what was renamed or deleted may still be in dist/.
    worker = await system.work(await loadActors(inProject("actors")));
    say(`nats-server at ${system.servers.join(", ")}; actors: ${worker.actors.join(", ")}`);
    const size = log.sizeBytes > 0 ? ` (${megabytes(log.sizeBytes)})` : "";
    say(`counting ${log.name}${size}`);
    const progress = new Progress(process.stderr, log.sizeBytes);
    const counting = countLog(system, log.read(), {
      signal: stop,
      onProgress: (countedBytes) => progress.update(countedBytes),
    }).finally(() => progress.end());
    const report = await Promise.race([counting, serverGone]);
    await print(options.json ? `${JSON.stringify(report)}\n` : formatReport(report));
    if (options.once) return 0;
    await showOthers(system, worker, say);
    say(`Running on. Look at it: npm run -s godwit -- status --servers ${system.servers.join(",")}. Ctrl-C ends it.`);
    await Promise.race([aborted(stop), serverGone]);
    return 0;
  } catch (error) {
    if (!stop.aborted) throw error;
    // Asked to end, it has; but who wanted the report alone did not get it.
    return options.once ? interrupted : 0;
  } finally {
    await worker?.stop({ grace: "5s" });
    await system.close();
  }
}

/** Never resolves; rejects when the embedded server ends by itself. */
function failWhenGone(system: ActorSystem): Promise<never> {
  const gone = new Promise<never>((_resolve, reject) => {
    void system.serverEnded?.then((why) => reject(new Error(why)));
  });
  // Nobody may be waiting for it at that moment.
  gone.catch(() => undefined);
  return gone;
}

function inProject(...names: string[]): string {
  return join(dirname(createRequire(import.meta.url).resolve("godwit/package.json")), ...names);
}

/** Resolves once the text is written, so that an exit does not cut it off. */
function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  // A promise alone keeps no process alive.
  const awake = setInterval(() => undefined, 60_000);
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  clearInterval(awake);
}

/** Ends the run at the first signal, and the process at a later one. */
function signalToStop(): AbortSignal {
  const controller = new AbortController();
  let firstMs = 0;
  const onSignal = (): void => {
    if (controller.signal.aborted && Date.now() - firstMs > impatienceMs) process.exit(interrupted);
    if (controller.signal.aborted) return;
    firstMs = Date.now();
    say("stopping");
    controller.abort(new Error("interrupted"));
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  // Whoever read along has left, as `head` does.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", (error) => controller.abort(error));
  return controller.signal;
}

async function main(): Promise<number> {
  try {
    const options = parseStartOptions(process.argv.slice(2), process.cwd(), process.env);
    if (options.help) {
      await print(help);
      return 0;
    }
    return await start(options, signalToStop());
  } catch (error) {
    const { message } = error as Error;
    say(error instanceof UsageError ? `${message}; usage: ${usage}` : message);
    return error instanceof UsageError ? 2 : 1;
  }
}

// The store is gone and the report is out: what still waits for an answer of the server need not be waited for.
process.exit(await main());
