/** The actors that ship, handler by handler, with dependencies that fail on purpose. */
import { readdir } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { RetryAfter, Terminal, type Context, type Duration } from "godwit";
import { afterEach, describe, expect, test } from "vitest";
import { AnalyzeDataset } from "../../actors/analyze-dataset.ts";
import { BuildReport } from "../../actors/build-report.ts";
import { CallPartner } from "../../actors/call-partner.ts";
import { ChargePayment } from "../../actors/charge-payment.ts";
import { CountLogLines } from "../../actors/count-log-lines.ts";
import { SimulatedPayments } from "../../actors/payments-api.ts";
import { SendNotification, SimulatedMailer } from "../../actors/send-notification.ts";
import { isActorClass } from "../../src/actor/actor.ts";
import { PartnerCall } from "../../schemas/partners.ts";

const root = join(import.meta.dirname, "../..");
const actorNames = [
  "accesslog.count",
  "datasets.analyze",
  "notifications.send",
  "partners.call",
  "payments.charge",
  "reports.build",
];

/** What a handler is handed, as far as these handlers look at it. */
function context(
  given: {
    id?: string;
    signal?: AbortSignal;
    progress?: (value: unknown) => void;
    penalize?: (limit: string, delay: Duration) => void;
  } = {},
): Context {
  const { id = "id-1", signal = new AbortController().signal, progress = () => undefined, penalize } = given;
  const rateLimit: Context["rateLimit"] = (name) => ({ penalize: async (delay) => penalize?.(name, delay) });
  return { id, signal, progress, rateLimit } as Partial<Context> as Context;
}

test("every actor class in actors/ can be made without arguments, which is how it is loaded from the folder", async () => {
  const files = (await readdir(join(root, "actors"))).filter((name) => name.endsWith(".ts"));
  const modules = await Promise.all(
    files.map(async (name) => (await import(join(root, "actors", name))) as Record<string, unknown>),
  );
  const classes = modules.flatMap((module) => Object.values(module)).filter((value) => isActorClass(value));
  for (const actor of classes) expect(new (actor as new () => object)()).toBeInstanceOf(actor);
  expect(classes.map(({ config }) => config.name).toSorted()).toEqual(actorNames);
});

describe("payments.charge", () => {
  const charge = { paymentId: "p1", amount: 10 };

  test("gives the provider the message's id, so that a second run charges nothing", async () => {
    const api = new SimulatedPayments();
    const actor = new ChargePayment(api);
    const first = await actor.receive(charge, context());
    expect(await actor.receive(charge, context())).toEqual(first);
    expect(api.receipts).toEqual(new Map([["id-1", first]]));
  });

  test("calls a declined card terminal, leaves anything else to the retries, and compensates", async () => {
    const api = new SimulatedPayments();
    const actor = new ChargePayment(api);
    await expect(actor.receive({ ...charge, amount: 5_001 }, context())).rejects.toBeInstanceOf(Terminal);
    const aborted = actor.receive(charge, context({ signal: AbortSignal.abort(new Error("too late")) }));
    await expect(aborted).rejects.toThrow("too late");
    await expect(aborted).rejects.not.toBeInstanceOf(Terminal);
    await actor.onDead(charge);
    expect(api.released).toEqual(["p1"]);
  });
});

test("notifications.send hands the mail over under the message's id", async () => {
  const mailer = new SimulatedMailer();
  const mail = { to: "ada@example.com", subject: "Hello", text: "" };
  await new SendNotification(mailer).receive(mail, context());
  expect(mailer.sent).toEqual([mail]);
});

test("reports.build sums up a month and names the best products first", async () => {
  const ofMonth = async function* (): AsyncIterable<{ product: string; amount: number }> {
    yield { product: "kettle", amount: 30 };
    yield { product: "teapot", amount: 20 };
    yield { product: "teapot", amount: 25 };
    yield { product: "cup", amount: 5 };
  };
  const report = await new BuildReport({ ofMonth }).receive({ month: "2026-03", top: 2 });
  const top = [
    { product: "teapot", revenue: 45 },
    { product: "kettle", revenue: 30 },
  ];
  expect(report).toEqual({ month: "2026-03", orders: 4, revenue: 80, top });
});

describe("datasets.analyze", () => {
  test("reads page by page, tells how far it is, and sums up", async () => {
    const seen: unknown[] = [];
    const read = async function* (): AsyncIterable<number[]> {
      yield [3, 1];
      yield [8];
    };
    const actor = new AnalyzeDataset({ open: () => ({ pages: 2, read }) });
    const summary = await actor.receive({ datasetId: "d" }, context({ progress: (value) => seen.push(value) }));
    expect(summary).toEqual({ rows: 3, min: 1, max: 8, mean: 4 });
    expect(seen).toEqual([
      { page: 1, of: 2 },
      { page: 2, of: 2 },
    ]);
  });

  test("stops at the page at which its signal has aborted", async () => {
    const stop = new AbortController();
    const pages: number[] = [];
    const read = async function* (): AsyncIterable<number[]> {
      for (let page = 0; page < 10; page++) {
        pages.push(page);
        if (page === 3) stop.abort(new Error("the worker stops"));
        yield [page];
      }
    };
    const actor = new AnalyzeDataset({ open: () => ({ pages: 10, read }) });
    await expect(actor.receive({ datasetId: "d" }, context({ signal: stop.signal }))).rejects.toThrow(
      "the worker stops",
    );
    expect(pages).toEqual([0, 1, 2, 3]);
  });

  test("gives up at once on a dataset that is not there", async () => {
    await expect(new AnalyzeDataset().receive({ datasetId: "missing" }, context())).rejects.toBeInstanceOf(Terminal);
  });
});

describe("partners.call", () => {
  const closers: (() => void)[] = [];
  afterEach(() => {
    for (const close of closers.splice(0)) close();
  });

  async function partner(listener: RequestListener): Promise<CallPartner> {
    const server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closers.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return new CallPartner(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  const answering = (status: number, headers: Record<string, string> = {}): Promise<CallPartner> =>
    partner((_request, response) => response.writeHead(status, headers).end("body"));

  const get = PartnerCall.parse({ path: "/orders?since=1" });

  test("passes on method, body and an idempotency key, and gives back the answer", async () => {
    const seen: unknown[] = [];
    const actor = await partner((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        seen.push(request.method, request.url, request.headers["idempotency-key"], Buffer.concat(chunks).toString());
        response.writeHead(201).end("made");
      });
    });
    const call = PartnerCall.parse({ method: "POST", path: "/orders", body: { n: 1 } });
    expect(await actor.receive(call, context())).toEqual({ status: 201, body: "made" });
    expect(seen).toEqual(["POST", "/orders", "id-1", '{"n":1}']);
  });

  test.each([429, 503])("comes back when a partner that answers %i says so, within reason", async (status) => {
    const soon = await answering(status, { "retry-after": "7" });
    await expect(soon.receive(get, context())).rejects.toMatchObject({ name: "RetryAfter", delayMs: 7_000 });
    const date = await answering(status, { "retry-after": "Thu, 01 Jan 1970 00:00:00 GMT" });
    await expect(date.receive(get, context())).rejects.toMatchObject({ name: "RetryAfter", delayMs: 0 });
    const late = await answering(status, { "retry-after": "999999999" });
    await expect(late.receive(get, context())).rejects.toMatchObject({ name: "RetryAfter", delayMs: 3_600_000 });
  });

  test("holds the fleet back for as long as a partner says that had too many calls, and for no other reason", async () => {
    const held: unknown[] = [];
    const given = context({ penalize: (...penalty) => held.push(penalty) });
    for (const status of [429, 503, 500]) {
      const actor = await answering(status, { "retry-after": "7" });
      await expect(actor.receive(get, given)).rejects.toThrow(`${status}`);
    }
    expect(held).toEqual([["partner", 7_000]]);
  });

  test.each([
    [404, {}, true],
    [400, {}, true],
    [302, { location: "http://192.0.2.1/" }, true],
    [408, {}, false],
    [429, {}, false],
    [503, { "retry-after": "soon" }, false],
    [500, { "retry-after": "7" }, false],
  ])("takes %i with %j for terminal: %s", async (status, headers, terminal) => {
    const actor = await answering(status, headers);
    const error = await actor.receive(get, context()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(error instanceof Terminal).toBe(terminal);
    expect(error).not.toBeInstanceOf(RetryAfter);
  });

  test("ends a request that hangs with its attempt", async () => {
    const stop = new AbortController();
    const actor = await partner(() => stop.abort(new Error("the soft time limit has passed")));
    await expect(actor.receive(get, context({ signal: stop.signal }))).rejects.toThrow("the soft time limit");
  });

  test("lets no sender choose another host", async () => {
    const actor = new CallPartner("http://partner.example");
    for (const path of ["//192.0.2.1/", "/\\192.0.2.1/", "/\t/192.0.2.1"]) {
      await expect(actor.receive({ method: "GET", path }, context())).rejects.toThrow("away from the partner");
    }
  });
});

test("accesslog.count counts text as it counts bytes", () => {
  const lines = `192.0.2.1 - - [02/Mar/2026:06:12:31 +0000] "GET /\u00e9 HTTP/1.1" 200 10 "-" "-"\n`;
  const actor = new CountLogLines();
  expect(actor.receive({ lines: Buffer.from(lines) })).toEqual(actor.receive({ lines }));
  expect(actor.receive({ lines }).paths).toEqual([["/\u00e9", 1]]);
});
