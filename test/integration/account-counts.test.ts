/** An account that is full by count: what it says helps, which another namespace would not. */
import { expect, test } from "vitest";
import { ActorSystem } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { ownServer } from "../support/nats/own-server.ts";

const mend = "; delete what is not needed, or raise that limit, the server's or the account's.";

test("too many streams, or consumers, are told with the limit to raise", async () => {
  const account = (name: string, limit: string): string =>
    `${name}: { users: [{ user: ${name}, password: p }], jetstream: { ${limit} } }`;
  const accounts = [account("streams", "max_streams: 3"), account("consumers", "max_consumers: 1")].join("\n");
  const server = await ownServer({ config: `accounts { ${accounts} }` });
  try {
    const connect = (user: string): Promise<ActorSystem> =>
      ActorSystem.connect({ servers: `nats://${user}:p@127.0.0.1:${server.port}`, log: "silent" });
    await expect(connect("streams")).rejects.toThrow(`maximum number of streams reached${mend}`);
    const system = await connect("consumers");
    const working = system.work([actorOf({ name: "a", lanes: ["high"] }, () => undefined)]);
    await expect(working).rejects.toThrow(`maximum consumers limit reached${mend}`);
    await system.close();
  } finally {
    await server.stop();
  }
});
