/** An account that demands a size of every stream, as hosted NATS has them: sizes that fit are chosen, and those that are given hold. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { StreamConfig } from "@nats-io/jetstream";
import { ActorSystem, type SystemOptions } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { ownServer, type OwnServer } from "../support/nats/own-server.ts";

let server: OwnServer;
const accounts = { roomy: 12e9, small: 200e6, tiny: 1_000, memory: 0 };
const systems: ActorSystem[] = [];

beforeAll(async () => {
  const account = ([name, bytes]: [string, number]): string =>
    `${name}: { users: [{ user: ${name}, password: p }], jetstream: { max_bytes_required: true, max_file: ${bytes}, max_mem: ${name === "memory" ? 100e6 : 0} } }`;
  server = await ownServer({ config: `accounts { ${Object.entries(accounts).map(account).join("\n")} }` });
});

afterAll(async () => {
  for (const system of systems) await system.close();
  await server.stop();
});

async function connect(user: keyof typeof accounts, options: SystemOptions = {}): Promise<ActorSystem> {
  const servers = `nats://${user}:p@127.0.0.1:${server.port}`;
  const system = await ActorSystem.connect({ servers, log: "silent", ...options });
  systems.push(system);
  return system;
}

async function sizes({ parts }: ActorSystem): Promise<Record<string, number>> {
  const found: StreamConfig[] = [];
  for await (const { config } of parts.connection.jsm.streams.list()) found.push(config);
  return Object.fromEntries(found.map(({ name, max_bytes }) => [name, max_bytes]));
}

const total = (bytes: Record<string, number>): number => Object.values(bytes).reduce((sum, one) => sum + one, 0);

test.each<[user: keyof typeof accounts, most: number, options: SystemOptions]>([
  ["roomy", accounts.roomy, {}],
  ["small", accounts.small, {}],
  ["memory", 100e6, { durability: "dev" }],
])("a system works in the account %s, with no size given, and its sizes fit", async (user, most, options) => {
  const system = await connect(user, options);
  let run = 0;
  const Echo = actorOf<Uint8Array>(
    { name: "echo", result: { ttl: "1m" }, retry: { base: 1, max: 1 } },
    async (input, ctx) => {
      if (++run === 1) throw new Error("once more");
      return ctx.once("size", () => input.length);
    },
  );
  await system.work([Echo]);
  // Too large for a message: the object store is made now.
  const body = new Uint8Array(2_000_000);
  expect(await system.ask(Echo, body, { timeout: "20s" })).toBe(body.length);
  await system.provision([Echo]);
  const found = await sizes(system);
  expect(Object.keys(found)).toHaveLength(12);
  for (const bytes of Object.values(found)) expect(bytes).toBeGreaterThan(0);
  expect(total(found)).toBeLessThanOrEqual(most);
  // Another program that gives none takes them, whatever room is left.
  await connect(user);
  expect(await sizes(system)).toEqual(found);
});

test("sizes that are given hold, and the rest shares what is left", async () => {
  await clear("small");
  const system = await connect("small", { limits: { maxBytes: 150e6, sizes: { events: 10e6, payloads: 5e6 } } });
  await system.provision([]);
  const found = await sizes(system);
  expect(found).toMatchObject({ godwit_TASKS: 150e6, godwit_EVENTS: 10e6, OBJ_godwit_payloads: 5e6 });
  expect(total(found)).toBeLessThanOrEqual(accounts.small);
});

test("two programs that start at once in such an account both work", async () => {
  await clear("small");
  const [one, two] = await Promise.all([connect("small"), connect("small")]);
  expect(await sizes(one)).toEqual(await sizes(two));
  expect(total(await sizes(one))).toBeLessThanOrEqual(accounts.small);
});

test.each<[what: string, user: keyof typeof accounts, options: SystemOptions, named: RegExp]>([
  ["an account with no room at all", "tiny", {}, /its 1000 bytes of storage 1000 are left/],
  ["a size above what it has", "small", { limits: { maxBytes: 1e9 } }, /limits\.maxBytes/],
])("%s is told as such, with what helps", async (_what, user, options, named) => {
  await clear(user);
  const failed = connect(user, options);
  await expect(failed).rejects.toMatchObject({ code: "TOPOLOGY_MISMATCH" });
  await expect(failed).rejects.toThrow(named);
});

/** Deletes all that an account has. */
async function clear(user: keyof typeof accounts): Promise<void> {
  while (systems.length > 0) await systems.pop()?.close();
  const { connect: plain } = await import("@nats-io/transport-node");
  const { jetstreamManager } = await import("@nats-io/jetstream");
  const nc = await plain({ servers: `127.0.0.1:${server.port}`, user, pass: "p" });
  const jsm = await jetstreamManager(nc);
  for await (const name of jsm.streams.names()) await jsm.streams.delete(name);
  await nc.close();
}
