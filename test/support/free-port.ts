/** A port of this host that is free, for programs that cannot be asked to take any. */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

// Below those that the system hands out by itself, or a connection or a server on port 0 takes it before the program can.
const lowest = 10_000;
const beyond = 32_768;

const given = new Set<number>();

/** Another one each time. @throws Error when a hundred are taken. */
export async function freePort(): Promise<number> {
  for (let left = 100; left > 0; left--) {
    const port = randomInt(lowest, beyond);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`found no free port from ${lowest} to ${beyond - 1}`);
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer().listen(port, "127.0.0.1");
  const listening = await once(probe, "listening").then(
    () => true,
    () => false,
  );
  if (!listening) return false;
  probe.close();
  await once(probe, "close");
  return true;
}
