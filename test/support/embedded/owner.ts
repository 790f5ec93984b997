/**
 * A process that owns an embedded server: says "ready", starts the server when a line arrives, reports, and stays.
 * Arguments: the store directory ("" for a temporary one), and "leave" to end right after the start without a stop.
 */
import { once } from "node:events";
import { GodwitError } from "../../../src/kernel/errors.ts";
import { readInfo } from "../../../src/broker/embedded/info.ts";
import { EmbeddedServer } from "../../../src/broker/embedded/server.ts";

const [storeDir, mode] = process.argv.slice(2);

function say(what: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

async function drainThenLeave(server: EmbeddedServer): Promise<void> {
  let answers = true;
  for (const endMs = performance.now() + 300; performance.now() < endMs;) {
    answers &&= (await readInfo(server.url, 1_000)) !== undefined;
  }
  say({ drained: answers });
  process.exit(0);
}

say({ ready: true });
await once(process.stdin, "data");
try {
  const server = await EmbeddedServer.start({ storeDir: storeDir === "" ? undefined : storeDir });
  process.once("SIGINT", () => void drainThenLeave(server));
  say({ url: server.url, pid: server.pid, storeDir: server.storeDir });
} catch (error) {
  say(error instanceof GodwitError ? { code: error.code, message: error.message } : { message: String(error) });
}
// Nothing but stdin keeps this process alive: the server must not.
if (mode === "leave") process.stdin.destroy();
