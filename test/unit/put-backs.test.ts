/** Put-backs: what a worker tells of a message that it has put back. */
import { expect, test } from "vitest";
import { PutBacks } from "../../src/worker/put-backs.ts";

test("A message that has the place of one that was put back is another one", () => {
  const putBacks = new PutBacks();
  const place = { stream: "godwit_TASKS", sequence: 1, storedAtMs: 1_700_000_000_000 };
  putBacks.add(place, "snooze", 60_000);
  expect(putBacks.find({ ...place })).toMatchObject({ phase: "put-back", reason: "snooze" });
  expect(putBacks.find({ ...place, storedAtMs: place.storedAtMs + 1 })).toBeUndefined();
});
