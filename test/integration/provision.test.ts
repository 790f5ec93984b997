/** The ways to provision against a real server: who makes streams, who changes them, and who leaves them alone. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { alteredServer } from "../support/embedded/altered-server.ts";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { ActorSystem } from "../../src/system/actor-system.ts";
import type { SystemOptions } from "../../src/system/options.ts";

let server: EmbeddedServer;

beforeAll(async () => {
  server = await EmbeddedServer.start();
});

afterAll(() => server.stop());

/** Connects, and gives the limit that the task stream of the namespace then has. */
async function taskBytes(options: SystemOptions): Promise<number> {
  const system = await ActorSystem.connect({ servers: server.url, log: "silent", ...options });
  try {
    const { connection, names } = system.parts;
    return (await connection.jsm.streams.info(names.tasks)).config.max_bytes;
  } finally {
    await system.close();
  }
}

test("who asks for nothing takes the limits that another one asked for; who asks for others gets them by create, and is refused by check", async () => {
  const own = { namespace: "own", limits: { maxBytes: 5_000_000 } };
  expect(await taskBytes(own)).toBe(5_000_000);
  expect(await taskBytes({ namespace: "own", provision: "keep" })).toBe(5_000_000);
  expect(await taskBytes({ namespace: "own", provision: "use" })).toBe(5_000_000);
  expect(await taskBytes({ namespace: "own", provision: "check" })).toBe(5_000_000);
  expect(await taskBytes({ namespace: "own" })).toBe(5_000_000);
  const more = { namespace: "own", limits: { maxBytes: 6_000_000 } };
  expect(await taskBytes({ ...more, provision: "keep" })).toBe(5_000_000);
  await expect(taskBytes({ ...more, provision: "check" })).rejects.toMatchObject({
    code: "TOPOLOGY_MISMATCH",
    missing: undefined,
  });
  expect(await taskBytes(more)).toBe(6_000_000);
});

test("a server without room for the task stream is told as such, with the setting that asks for less", async () => {
  const small = await alteredServer({ maxFileStoreBytes: 3_000_000_000 });
  try {
    const servers = small.url;
    await expect(taskBytes({ servers })).rejects.toMatchObject({
      code: "TOPOLOGY_MISMATCH",
      cause: expect.any(Error),
      message:
        "The server has no room to reserve 10 GB for the stream godwit_TASKS (insufficient storage resources available); ask for less with limits.maxBytes, or --max-bytes of godwit worker, or give its JetStream more storage.",
    });
    await expect(taskBytes({ servers, limits: { maxBytes: 4_500_000_000 } })).rejects.toThrow("to reserve 4.5 GB for");
    expect(await taskBytes({ servers, limits: { maxBytes: 2_000_000_000 } })).toBe(2_000_000_000);
    const more = { servers, limits: { maxBytes: 10_000_000_000 } };
    await expect(taskBytes(more), "an update asks for room too").rejects.toThrow("to reserve 10 GB for");
  } finally {
    await small.stop();
  }
});

test("keep makes what is missing; use and check say what is missing and make nothing", async () => {
  for (const provision of ["use", "check"] as const) {
    await expect(taskBytes({ namespace: "fresh", provision })).rejects.toMatchObject({
      code: "TOPOLOGY_MISMATCH",
      missing: "stream fresh_TASKS",
    });
  }
  expect(await taskBytes({ namespace: "fresh", provision: "keep" })).toBe(10_000_000_000);
});
