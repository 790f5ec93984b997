/** `godwit worker --metrics-port`: where it says that it serves, what it refuses, and that nothing is left running. */
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { godwit, Running } from "../support/cli/run.ts";
import { healthOf, readinessOf, scrape } from "../support/observe/scrape.ts";

let server: EmbeddedServer;
let cwd: string;
let taken: Server;
let worker: Running | undefined;

beforeAll(async () => {
  server = await EmbeddedServer.start();
  cwd = await mkdtemp(join(tmpdir(), "godwit-metrics-"));
  await writeFile(
    join(cwd, "pay.mjs"),
    'import { Actor } from "godwit";\nexport class Pay extends Actor { static config = { name: "pay" }; async receive() {} }\n',
  );
  taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
});
afterAll(async () => {
  taken.close();
  await server.stop();
  await rm(cwd, { recursive: true, force: true });
});
afterEach(async () => {
  worker?.signal("SIGKILL");
  await worker?.ended;
  worker = undefined;
});

const args = (...more: string[]): string[] => ["worker", "pay.mjs", "--servers", server.url, ...more];

test("it serves on a free port, says where, and ends with the drain", async () => {
  worker = new Running(args("--metrics-port", "0"), { cwd });
  await worker.says(/ready: pay on \S+; metrics on http:\/\/127\.0\.0\.1:\d+\/metrics/);
  const [, url = ""] = /metrics on (\S+)\/metrics/.exec(worker.stderr) ?? [];
  expect((await scrape(url)).get('godwit_messages_total{actor="pay",outcome="completed"}')).toBe(0);
  expect((await healthOf(url)).status).toBe(200);
  expect(await readinessOf(url)).toEqual({ status: 200, body: { ready: true, reasons: [] } });
  expect(await (await fetch(`${url}/`)).text()).toBe("There is /metrics, /healthz and /readyz.\n");
  worker.signal("SIGTERM");
  expect((await worker.ended).code).toBe(0);
  await expect(fetch(`${url}/metrics`)).rejects.toThrow("fetch failed");
});

test("without the flag it serves nothing and says nothing of it", async () => {
  worker = new Running(args(), { cwd });
  await worker.says(/ready: pay on \S+\n/);
  expect(worker.stderr).not.toContain("metrics");
});

test("a port in use is one sentence, and nothing is left running", async () => {
  const { port } = taken.address() as AddressInfo;
  const { code, stdout, stderr } = await godwit(args("--metrics-port", String(port)), { cwd });
  expect({ code, stdout, stderr }).toEqual({
    code: 1,
    stdout: "",
    stderr: `godwit: The metrics cannot be served on 127.0.0.1:${port}, because something else listens there; end that, or choose another port (0 for any free one). (PORT_UNAVAILABLE)\n`,
  });
});

test.each([
  [["--metrics-port", "70000"], "--metrics-port is '70000'; it must be a whole number from 0 to 65535."],
  [["--metrics-port", "http"], "--metrics-port is 'http'; it must be a whole number from 0 to 65535."],
  [["--health-window", "soon"], "--health-window"],
])("%j is wrong usage", async (more, text) => {
  const { code, stderr } = await godwit(args(...more), { cwd });
  expect(code).toBe(2);
  expect(stderr).toContain(text);
});

test("a window that is too short is refused before anything is served", async () => {
  const { code, stderr } = await godwit(args("--metrics-port", "0", "--health-window", "50ms"), { cwd });
  expect(code).toBe(1);
  expect(stderr).toContain('"healthWindow" must be at least 100 ms');
});
