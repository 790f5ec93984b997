/** Large bodies afterwards: of events that come again, and of objects that others have spoiled. */
import { randomBytes } from "node:crypto";
import { Objm } from "@nats-io/obj";
import { headers as newHeaders } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { actorOf } from "../support/actors.ts";
import { onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage({ maxPayloadBytes: 64 * 1_024 });

test("an event that one reader could not take, and that came to it again, keeps its body for the others", async () => {
  const system = await stage.connect();
  const narrow = await stage.connect({ payload: { maxBytes: 100_000 } });
  const subscribe = ["orders.placed"];
  const lengths: number[] = [];
  const note = (input: unknown): void => void lengths.push((input as Uint8Array).length);
  const One = actorOf({ name: "one", subscribe }, note);
  const Slow = actorOf({ name: "slow", subscribe }, note);
  await (await system.work([Slow])).stop();
  const first = await narrow.work([One]);
  const refusing = record(first);
  await system.publish("orders.placed", randomBytes(200_000));
  await refusing.until("dead");
  await first.stop();
  const again = record(await system.work([One]));
  await system.dead.requeue((await onlyDead(system)).sequence);
  await again.until("completed");
  // Removed behind the confirmation, if at all.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const late = record(await system.work([Slow]));
  await expect.poll(() => late.of("completed").length + late.of("dead").length, patient).toBe(1);
  expect(lengths).toEqual([200_000, 200_000]);
});

test.each([
  ["no JSON", "{"],
  ["no digest", "digest"],
])(
  "an object whose entry is spoiled (%s) makes a dead letter, and no message that comes for ever",
  async (_, spoil) => {
    const system = await stage.connect();
    const client = await stage.client();
    const recorder = record(await system.work([actorOf({ name: "taker" }, () => undefined)]));
    const bucket = `${stage.namespace}_payloads`;
    const name = "A".repeat(24);
    const info = await (await new Objm(client.nc).create(bucket)).putBlob({ name }, new Uint8Array(1));
    const entry = spoil === "{" ? spoil : JSON.stringify({ ...info, digest: undefined, chunks: 0 });
    const headers = newHeaders();
    headers.set("Nats-Rollup", "sub");
    const subject = `$O.${bucket}.M.${Buffer.from(name).toString("base64")}`;
    await client.jsm.jetstream().publish(subject, entry, { headers });
    await client.publish(stage.names.taskSubject("taker"), "", { "Godwit-Body-Object": name });
    expect((await recorder.until("dead", 1, 5_000))[0]?.data.reason).toBe("undecodable");
  },
);
