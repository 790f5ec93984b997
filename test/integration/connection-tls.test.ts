/** TLS, NKeys and .creds files against real servers that demand them, and what is said where they are wrong. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { nkeys } from "@nats-io/nats-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ActorSystem, type SystemOptions } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { inProcess } from "../support/cli/in-process.ts";
import { freePort } from "../support/free-port.ts";
import { makeCertificates, type Certificates } from "../support/nats/certificates.ts";
import { makeOperator } from "../support/nats/jwt.ts";
import { ownServer, type OwnServer } from "../support/nats/own-server.ts";
import { patient } from "../support/stage.ts";
import { missingTool } from "../support/tools.ts";

const withoutOpenssl = missingTool("openssl", "openssl");
if (withoutOpenssl !== undefined) console.warn(`test/integration/connection-tls.test.ts: ${withoutOpenssl}`);

const endings: (() => Promise<unknown>)[] = [];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "godwit-connection-"));
});
afterAll(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
  await rm(folder, { recursive: true, force: true });
});

async function start(config: string): Promise<OwnServer> {
  const server = await ownServer({ config });
  endings.push(() => server.stop());
  return server;
}

/** Connects, sends, and shows all that there is of the system. */
async function tellsWith(options: SystemOptions): Promise<string> {
  const system = await ActorSystem.connect({ log: "silent", ...options });
  try {
    await system.tell("echo", {});
    return inspect(system, { depth: 20, showHidden: true });
  } finally {
    await system.close();
  }
}

const failure = (options: SystemOptions): Promise<Error> =>
  tellsWith(options).then(
    () => Promise.reject(new Error("it connected")),
    (error: unknown) => error as Error,
  );

const variables = ["NATS_CREDS", "NATS_NKEY", "NATS_TOKEN", "NATS_USER", "NATS_CA", "NATS_CERT", "NATS_KEY"] as const;
afterEach(() => {
  for (const name of [...variables, "NATS_INBOX_PREFIX"]) delete process.env[name];
});

async function write(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content, { mode: 0o600 });
  return path;
}

describe.skipIf(withoutOpenssl !== undefined)("TLS", () => {
  let certificates: Certificates;
  let plain: OwnServer;
  let tls: OwnServer;
  let mutual: OwnServer;
  let first: OwnServer;

  beforeAll(async () => {
    certificates = await makeCertificates();
    endings.push(() => certificates.remove());
    const { server, ca } = certificates;
    const files = `cert_file: "${server.cert}", key_file: "${server.key}"`;
    [plain, tls, mutual, first] = await Promise.all([
      start(""),
      start(`tls { ${files} }`),
      start(`tls { ${files}, ca_file: "${ca}", verify: true }`),
      start(`tls { ${files}, handshake_first: true }`),
    ]);
  });

  const at = (server: OwnServer, scheme = "nats"): string => `${scheme}://localhost:${server.port}`;

  test("with a CA of one's own, by options, by tls:// and by the environment", async () => {
    const { ca } = certificates;
    expect(await tellsWith({ servers: at(tls), tls: { ca } })).toContain("ActorSystem");
    expect(await tellsWith({ servers: at(tls, "tls"), tls: { ca } })).toContain("ActorSystem");
    expect(await tellsWith({ servers: `nats://127.0.0.1:${tls.port}`, tls: { ca } })).toContain("ActorSystem");
    expect(await tellsWith({ servers: at(first), tls: { ca, handshakeFirst: true } })).toContain("ActorSystem");
    process.env["NATS_CA"] = ca;
    expect(await tellsWith({ servers: at(tls) })).toContain("ActorSystem");
    expect(await tellsWith({ servers: at(tls, "tls") })).toContain("ActorSystem");
  });

  test("with a client's certificate, where the server asks for one", async () => {
    const { ca, client } = certificates;
    expect(await tellsWith({ servers: at(mutual), tls: { ca, ...client } })).toContain("ActorSystem");
    expect(await failure({ servers: at(mutual), tls: { ca } })).toMatchObject({
      code: "NO_SERVER",
      message: expect.stringContaining("if it asks for a client's certificate"),
    });
    process.env["NATS_CERT"] = client.cert;
    process.env["NATS_KEY"] = client.key;
    expect(await tellsWith({ servers: at(mutual), tls: { ca } })).toContain("ActorSystem");
  });

  test("that cannot be says so, and nothing is sent without it", async () => {
    const { ca, otherCa } = certificates;
    for (const options of [
      { servers: at(tls) },
      { servers: at(tls), tls: { ca: otherCa } },
      { servers: at(plain), tls: { ca } },
      { servers: at(plain, "tls") },
    ]) {
      const error = await failure(options);
      expect(error).toMatchObject({ name: "TlsError", code: "TLS_FAILED", cause: expect.any(Error) });
    }
  });

  test("by the command line and its environment", async () => {
    const { ca, client } = certificates;
    const flags = ["--tlsca", ca, "--tlscert", client.cert, "--tlskey", client.key];
    const tell = (servers: string, args: string[], env = {}): ReturnType<typeof inProcess> =>
      inProcess(["tell", "echo", "{}", "--servers", servers, ...args], { cwd: folder, env });
    expect(await tell(at(mutual), flags)).toMatchObject({ code: 0 });
    expect(await tell(at(first), ["--tlsfirst", "--tlsca", ca])).toMatchObject({ code: 0 });
    const env = { NATS_CA: ca, NATS_CERT: client.cert, NATS_KEY: client.key };
    expect(await tell(at(mutual), [], env)).toMatchObject({ code: 0 });
    const { code, stderr } = await tell(at(tls), []);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("--tlsca") });
    expect(stderr).toContain("(TLS_FAILED)");
  });

  test("with files that cannot be used", async () => {
    const { ca, client, server } = certificates;
    const noPem = await write("no.pem", "nothing");
    for (const [files, text] of [
      [{ ca: join(folder, "gone.pem") }, /gone\.pem' of tls\.ca cannot be read \(ENOENT/],
      [{ ca: noPem }, /no\.pem' of tls\.ca is no PEM file/],
      [{ cert: client.cert }, /a cert and no key/],
      [{ key: client.key }, /a key and no cert/],
      [{ ca, cert: client.cert, key: server.key }, /server\.key' \(.*mismatch/],
    ] as const) {
      const error = await failure({ servers: at(mutual), tls: files });
      expect(error).toMatchObject({ code: "INVALID_CONFIG", message: expect.stringMatching(text) });
    }
    process.env["NATS_CERT"] = client.cert;
    expect(await failure({ servers: at(mutual) })).toMatchObject({ code: "INVALID_CONFIG" });
  });
});

describe("an NKey", () => {
  const [good, other] = [nkeys.createUser(), nkeys.createUser()];
  const seedOf = (key: typeof good): string => Buffer.from(key.getSeed()).toString();
  const users = (...keys: (typeof good)[]): string =>
    `authorization { users = [${keys.map((key) => `{ nkey: ${key.getPublicKey()} }`).join(", ")}] }`;

  test("lets in by a file with its seed, shows nothing of it, and one that was replaced holds from the next reconnect on", async () => {
    const server = await start(users(good));
    const servers = `nats://127.0.0.1:${server.port}`;
    const nkey = await write("rotated.nk", `${seedOf(good)}\n`);
    expect(await tellsWith({ servers, nkey })).not.toContain(seedOf(good).slice(5, 30));
    process.env["NATS_NKEY"] = nkey;
    await tellsWith({ servers });
    const wrong = await failure({ servers, nkey: await write("other.nk", seedOf(other)) });
    expect(wrong).toMatchObject({ code: "NOT_AUTHORIZED" });

    const system = await ActorSystem.connect({ servers, nkey, log: "silent" });
    try {
      const back = new Promise<void>((resolve) => void system.parts.connection.onUp(resolve));
      await write("rotated.nk", seedOf(other));
      await server.reload(users(other));
      await back;
      // While a new file is being put there, what it held last holds.
      const again = new Promise<void>((resolve) => void system.parts.connection.onUp(resolve));
      await rm(nkey);
      await system.parts.connection.nc.reconnect();
      await again;
      await system.tell("echo", {});
    } finally {
      await system.close();
    }
  });

  test("that cannot be read, or is none, is told without a word of what the file holds", async () => {
    const broken = `${seedOf(good).slice(0, -4)}AAAA`;
    for (const [content, text] of [
      [undefined, /gone' of nkey cannot be read \(ENOENT/],
      ["secret words", /holds no seed of a user's NKey/],
      [broken, /holds no seed of a user's NKey/],
      [Buffer.from(nkeys.createAccount().getSeed()).toString(), /holds no seed of a user's NKey/],
    ] as const) {
      const nkey = content === undefined ? join(folder, "gone") : await write("bad.nk", content);
      const error = await failure({ servers: "nats://127.0.0.1:1", nkey });
      expect(error).toMatchObject({ code: "INVALID_CONFIG", message: expect.stringMatching(text) });
      expect(inspect(error, { depth: 9 })).not.toContain(content ?? "secret");
    }
  });
});

describe("a .creds file", () => {
  test("lets in by JWT and seed, from options, environment and command line, also with other line ends", async () => {
    const operator = makeOperator();
    const server = await start(hocon(operator.config));
    const servers = `nats://127.0.0.1:${server.port}`;
    const text = operator.creds();
    const creds = await write("user.creds", text);
    const shown = await tellsWith({ servers, creds });
    expect(shown).not.toContain(/SU[A-Z2-7]{56}/.exec(text)?.[0].slice(5, 30));
    expect(shown).not.toContain("eyJ");
    await tellsWith({ servers, creds: await write("windows.creds", text.replaceAll("\n", "\r\n")) });
    process.env["NATS_CREDS"] = creds;
    await tellsWith({ servers });
    // What is given outranks the environment, of whichever kind it is.
    expect(await failure({ servers, token: "t" })).toMatchObject({ code: "NOT_AUTHORIZED" });
    delete process.env["NATS_CREDS"];
    expect(await failure({ servers })).toMatchObject({ code: "NOT_AUTHORIZED" });
    expect(await failure({ servers, creds: await write("o.creds", makeOperator().creds()) })).toMatchObject({
      code: "NOT_AUTHORIZED",
    });

    const run = (args: string[], env = {}): ReturnType<typeof inProcess> =>
      inProcess(["tell", "echo", "{}", "--servers", servers, ...args], { cwd: folder, env });
    expect(await run(["--creds", creds])).toMatchObject({ code: 0 });
    expect(await run([], { NATS_CREDS: creds })).toMatchObject({ code: 0 });
    expect(await run(["--token", "t"], { NATS_CREDS: creds })).toMatchObject({ code: 1 });
    const half = await write("half.creds", text.slice(0, text.indexOf("-----BEGIN USER NKEY")));
    const ended = await run(["--creds", half]);
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining("(INVALID_CONFIG)") });
    expect(ended.stderr).not.toContain("eyJ");
    const seedOnly = await write("seed.creds", text.slice(text.indexOf("-----BEGIN USER NKEY")));
    expect((await failure({ servers, creds: seedOnly })).message).toContain("holds no JWT of a user");
  });
});

test.each<[what: string, options: SystemOptions, env: Record<string, string>]>([
  ["token and creds", { token: "secret", creds: "c" }, {}],
  ["user and pass and nkey", { user: "secret", pass: "secret", nkey: "n" }, {}],
  ["nkey and creds", { servers: "nats://127.0.0.1:1" }, { NATS_NKEY: "n", NATS_CREDS: "c" }],
  ["token of an address and creds", { servers: "nats://secret@127.0.0.1:1", creds: "c" }, {}],
])("two kinds of credentials, %s, are refused", async (_what, options, env) => {
  Object.assign(process.env, env);
  const error = await failure({ servers: "nats://127.0.0.1:1", ...options });
  expect(error).toMatchObject({ code: "INVALID_CONFIG" });
  expect(inspect(error)).not.toContain("secret");
});

test("a first server that is dead does not matter", async () => {
  const server = await start("");
  const dead = `nats://127.0.0.1:${await freePort()}`;
  for (let turn = 0; turn < 4; turn++) {
    expect(await tellsWith({ servers: [dead, `nats://127.0.0.1:${server.port}`] })).toContain("ActorSystem");
  }
});

const Echo = actorOf({ name: "echo" }, (input) => input);

test("all answers arrive below the inbox prefix", async () => {
  const server = await start(
    `authorization { users = [{ user: u, password: p, permissions: { subscribe: { allow: ["_INBOX_u.>", "godwit.>"] } } }] }`,
  );
  const given = { servers: `nats://u:p@127.0.0.1:${server.port}`, log: "silent" } as const;
  const received: string[] = [];
  process.env["NATS_INBOX_PREFIX"] = "_INBOX_u";
  const system = await ActorSystem.connect(given);
  try {
    const errors: Error[] = [];
    system.parts.connection.onError((error) => errors.push(error));
    const worker = await system.work([Echo]);
    worker.on("completed", ({ id }) => received.push(id));
    expect(await system.ask(Echo, { said: 1 }, { id: "a" })).toEqual({ said: 1 });
    // Its body takes the way through the object store.
    await system.tell(Echo, { said: randomBytes(2_000_000) }, { id: "b" });
    await expect.poll(() => received, patient).toEqual(["a", "b"]);
    expect(errors).toEqual([]);
  } finally {
    await system.close();
  }
  delete process.env["NATS_INBOX_PREFIX"];
  await expect(ActorSystem.connect({ ...given, inboxPrefix: "_INBOX.*" })).rejects.toMatchObject({
    code: "INVALID_CONFIG",
  });
});

/** The server's config language takes JSON's objects, not its quoted top level. */
function hocon(config: object): string {
  return Object.entries(config)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
    .join("\n");
}
