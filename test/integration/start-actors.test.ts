/** The actors that ship, at work on a real server. */
import { ActorSystem, type Worker } from "godwit";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { AnalyzeDataset } from "../../actors/analyze-dataset.ts";
import { BuildReport } from "../../actors/build-report.ts";
import { ChargePayment } from "../../actors/charge-payment.ts";
import { SimulatedPayments } from "../../actors/payments-api.ts";
import { SendNotification, SimulatedMailer } from "../../actors/send-notification.ts";
import { OrderPlaced } from "../../schemas/orders.ts";
import { until } from "../support/embedded/until.ts";

let system: ActorSystem;
let worker: Worker;
let payments: SimulatedPayments;
let mailer: SimulatedMailer;

beforeAll(async () => {
  system = await ActorSystem.connect({ embedded: true, log: "silent" });
});

beforeEach(async () => {
  payments = new SimulatedPayments();
  mailer = new SimulatedMailer();
  worker = await system.work([
    () => new ChargePayment(payments),
    () => new SendNotification(mailer),
    BuildReport,
    AnalyzeDataset,
  ]);
});

afterEach(() => worker.stop());
afterAll(() => system.close());

test("one event: the order is charged and its customer told, once each, though it was published twice", async () => {
  const order = { orderId: "o1", total: 42, email: "ada@example.com" };
  expect((await system.publish(OrderPlaced, order, { id: "o1" })).duplicate).toBe(false);
  expect((await system.publish(OrderPlaced, order, { id: "o1" })).duplicate).toBe(true);
  await until("both have heard", () => payments.receipts.size > 0 && mailer.sent.length > 0);
  expect([...payments.receipts.values()]).toEqual([{ receiptId: "simulated-1", paymentId: "o1", amount: 42 }]);
  expect(mailer.sent).toMatchObject([{ to: "ada@example.com", subject: "Your order o1" }]);
});

test("a declined card is a dead letter at once, and what was reserved is released", async () => {
  await expect(system.ask(ChargePayment, { paymentId: "p1", amount: 9_000 }, { id: "p1" })).rejects.toThrow("declined");
  await until("it was compensated", () => payments.released.includes("p1"));
  const outcome = await system.result(ChargePayment, "p1");
  expect(outcome).toMatchObject({ state: "failed" });
});

test("a report is answered, and kept for who asks later", async () => {
  const report = await system.ask(BuildReport, { month: "2026-03", top: 1 }, { id: "march" });
  expect(report).toMatchObject({ month: "2026-03", orders: 500 });
  expect(report.top).toHaveLength(1);
  expect(await system.result(BuildReport, "march")).toEqual({ state: "completed", value: report });
});

test("an analysis tells its progress", async () => {
  const pages: unknown[] = [];
  worker.on("progress", ({ value }) => pages.push(value));
  expect(await system.ask(AnalyzeDataset, { datasetId: "d1" })).toMatchObject({ rows: 20_000, min: 0, max: 96 });
  expect(pages).toHaveLength(20);
  expect(pages.at(-1)).toEqual({ page: 20, of: 20 });
});
