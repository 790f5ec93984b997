/** A test file for node:test, as a user writes it; testing-kit.test.ts runs it with `node --test`. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { runActor, testSystem, waitFor } from "godwit/testing";
import { ChargePayment } from "./charge-payment.ts";

const system = await testSystem();
after(() => system.close());

void test("a declined card is a dead letter at once", async () => {
  const { outcome } = await runActor(ChargePayment, { paymentId: "declined", amount: 5 });
  assert.deepEqual([outcome.kind, outcome.kind === "dead" && outcome.reason], ["dead", "terminal"]);
});

void test("a charge goes through a real server", async () => {
  const worker = await system.work([ChargePayment]);
  const completed = waitFor(worker, "completed");
  await system.tell(ChargePayment, { paymentId: "p1", amount: 10 }, { id: "p1" });
  assert.equal((await completed).id, "p1");
});
