/** A program that uses everything of the kit and closes nothing before it exits. Its server must end with it. */
import { testServer, testSystem, waitFor } from "godwit/testing";
import { ChargePayment } from "./charge-payment.ts";

const { url } = await testServer();
const system = await testSystem();
const worker = await system.work([ChargePayment]);
const completed = waitFor(worker, "completed");
await system.tell(ChargePayment, { paymentId: "p1", amount: 10 });
await completed;
process.stdout.write(`${url}\n`, () => process.exit(0));
