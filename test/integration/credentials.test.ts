/** Credentials: they are taken from a server's URL as well as from the options, and nothing that Godwit says shows them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { ActorSystem, type SystemOptions } from "../../src/index.ts";
import { testSystem } from "../../src/testing/index.ts";
import { inProcess } from "../support/cli/in-process.ts";
import type { Ended } from "../support/cli/run.ts";
import { restrictedServer } from "../support/observe/restricted-server.ts";
import { alteredServer } from "../support/embedded/altered-server.ts";

const user = "me@home";
const pass = "p:a/s,s@w%rd";
const token = "t0k/en#1";

let passServer: EmbeddedServer;
let tokenServer: EmbeddedServer;
let cwd: string;

beforeAll(async () => {
  [passServer, tokenServer, cwd] = await Promise.all([
    alteredServer({ args: ["--user", user, "--pass", pass] }),
    alteredServer({ args: ["--auth", token] }),
    mkdtemp(join(tmpdir(), "godwit-credentials-")),
  ]);
});

afterAll(async () => {
  await Promise.all([passServer.stop(), tokenServer.stop(), rm(cwd, { recursive: true, force: true })]);
});

const before = process.env["NATS_URL"];
afterEach(() => {
  if (before === undefined) delete process.env["NATS_URL"];
  else process.env["NATS_URL"] = before;
});

/** The server's address with the parts of a URL's front, percent-encoded. */
function url(server: EmbeddedServer, ...front: string[]): string {
  return server.url.replace("nats://", `nats://${front.map(encodeURIComponent).join(":")}@`);
}

/** The addresses that a system shows which connects with these options. */
async function servers(options: SystemOptions): Promise<string[]> {
  const system = await ActorSystem.connect({ log: "silent", ...options });
  await system.close();
  return system.servers;
}

const refused = (text: string): object => ({ code: "INVALID_CONFIG", message: expect.stringContaining(text) });

describe("in a server's URL", () => {
  test("a user and a password are decoded and used, and are no part of the address from then on", async () => {
    expect(await servers({ servers: url(passServer, user, pass) })).toEqual([passServer.url]);
    const plain = url(passServer, user, pass).replace("nats://", "");
    expect(await servers({ servers: [plain] })).toEqual([passServer.url.replace("nats://", "")]);
  });

  test("a token is too", async () => {
    expect(await servers({ servers: url(tokenServer, token) })).toEqual([tokenServer.url]);
  });

  test("of NATS_URL they are used", async () => {
    process.env["NATS_URL"] = url(passServer, user, pass);
    expect(await servers({})).toEqual([passServer.url]);
  });

  test("they hold for all servers, and may stand at each", async () => {
    const one = url(passServer, user, pass);
    expect(await servers({ servers: `${one},${one}` })).toEqual([passServer.url, passServer.url]);
    expect(await servers({ servers: [passServer.url, one] })).toEqual([passServer.url, passServer.url]);
    expect(await servers({ servers: one, user, pass })).toEqual([passServer.url]);
  });

  test("the test kit deletes its namespace with them", async () => {
    const system = await testSystem({ servers: url(passServer, user, pass) });
    await system.close();
    const after = await ActorSystem.connect({ servers: passServer.url, user, pass, log: "silent" });
    const names = await after.parts.reader.streamNames();
    await after.close();
    expect(names.filter((name) => name.includes("test-"))).toEqual([]);
  });

  test.each<[what: string, options: SystemOptions, text: string]>([
    ["that differ", { servers: "nats://a:secret@h:1,nats://b:secret@h:2" }, "h:1 and h:2"],
    ["other than the options'", { servers: "nats://a:secret@h:1", token: "secret" }, "h:1 and the options"],
    ["that are not percent-encoded", { servers: "nats://a:secret%@h:1" }, "h:1 are not percent-encoded"],
    ["without a user", { servers: "nats://:secret@h:1" }, "h:1 have a password and no user"],
    ["with a comma", { servers: "nats://a:sec,ret@h:1" }, "%2C"],
  ])("those %s are refused, and not shown", async (_what, options, text) => {
    const error: unknown = await ActorSystem.connect(options).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject(refused(text));
    expect(inspect(error)).not.toMatch(/sec,?ret/);
  });
});

describe("what the server refuses is told by its address, without the credentials:", () => {
  const address = (): string => passServer.url.replace("nats://", "");
  test.each<[what: string, options: () => SystemOptions, what: string]>([
    ["a wrong password", () => ({ servers: url(passServer, user, "secret") }), "refused the credentials"],
    ["a wrong token in the options", () => ({ servers: passServer.url, token: "secret" }), "refused the credentials"],
    ["none at all", () => ({ servers: passServer.url }), "wants credentials and was given none"],
  ])("%s", async (_what, options, why) => {
    const error: unknown = await ActorSystem.connect(options()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: "NotAuthorizedError", code: "NOT_AUTHORIZED", cause: expect.any(Error) });
    expect((error as Error).message).toBe(
      `The NATS server at ${address()} ${why} (Authorization Violation); give them in its address, as nats://user:password@host:4222, or as { user, pass }, { token }, { nkey } or { creds }, on the command line --user and --pass, --token, --nkey or --creds.`,
    );
    expect(inspect(error, { depth: 9 })).not.toContain("secret");
  });
});

describe("the command line", () => {
  const run = (args: string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> => inProcess(args, { cwd, env });

  test("takes them from --servers and NATS_URL, and shows the address alone", async () => {
    const given = url(passServer, user, pass);
    expect(await run(["tell", "a", "{}", "--servers", given])).toMatchObject({ code: 0 });
    const { code, stdout, stderr } = await run(["status"], { NATS_URL: given });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(` on ${passServer.url} at `);
  });

  test.each([
    ["a password", (): string[] => ["--servers", url(passServer, user, "secret")]],
    ["a --pass", (): string[] => ["--servers", passServer.url, "--user", user, "--pass", "secret"]],
    ["a --token", (): string[] => ["--servers", passServer.url, "--token", "secret"]],
  ])("shows nothing of %s that is wrong", async (_what, flags) => {
    for (const args of [["status"], ["status", "--json"]]) {
      const { code, stdout, stderr } = await run([...args, ...flags()], { GODWIT_DEBUG: "1" });
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain("NOT_AUTHORIZED");
      expect(stderr).not.toContain("secret");
    }
  });
});

test("what may not be published is refused at once, and is sent again once it may be", async () => {
  const server = await restrictedServer();
  const system = await ActorSystem.connect({ servers: server.url, log: "silent" });
  try {
    await system.tell("pay", 1);
    await server.deny(["godwit.task.>"]);
    const refused = await Promise.allSettled([system.tell("pay", 2), system.tell("pay", 3)]);
    const reason = {
      code: "NOT_AUTHORIZED",
      message: expect.stringContaining("no right to publish to godwit.task.normal.pay") as string,
    };
    expect(refused).toMatchObject([{ reason }, { reason }]);
    await server.deny([]);
    await system.tell("pay", 4);
    expect((await system.parts.reader.state("godwit_TASKS"))?.messages).toBe(2);
  } finally {
    await system.close();
    await server.stop();
  }
});
