/** Supervisors of the same actors know of one another, and forget one that is gone. */
import { expect, test } from "vitest";
import { Peers } from "../../src/fleet/peers.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

test("each counts those that run the same actors, and no longer one that has fallen silent", async () => {
  const peersOf = async (id: string, ...actors: string[]): Promise<Peers> => {
    const { parts } = await stage.connect();
    return new Peers({ ...parts, id, actors: () => actors });
  };
  const [one, two, other] = [
    await peersOf("1", "mail", "pay"),
    await peersOf("2", "mail", "pay"),
    await peersOf("3", "mail"),
  ];
  const counts = (): number[] => [one, two, other].map((peers) => peers.count());
  one.start();
  expect(one.count()).toBe(1);
  two.start();
  other.start();
  // At once, and not when the first one speaks again.
  await expect.poll(counts, { timeout: 2_000, interval: 20 }).toEqual([2, 2, 1]);
  const client = await stage.client();
  client.nc.publish(stage.names.supervisorsPresentSubject, "no announcement");
  two.stop();
  await expect.poll(() => one.count(), { ...patient, timeout: 25_000 }).toBe(1);
  one.stop();
  other.stop();
});
