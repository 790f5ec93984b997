/** `godwit schema`: documents that AsyncAPI's own schema accepts, and that say what the actors take. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { beforeAll, describe, expect, test } from "vitest";
import { godwit, type Ended } from "../support/cli/run.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const odd = "dist/test/support/schema/odd-actors.js";

interface Message {
  contentType?: string;
  payload: { $ref?: string };
}
interface Document {
  asyncapi: string;
  info: { title: string; version: string };
  servers?: object;
  channels: Record<string, { address: string; parameters?: object; messages: Record<string, { $ref: string }> }>;
  operations: Record<string, { action: string; "x-godwit"?: object; reply?: object; messages: { $ref: string }[] }>;
  components: { messages: Record<string, Message>; schemas: Record<string, object> };
}

let accepts: (document: unknown) => string;
beforeAll(async () => {
  const path = createRequire(import.meta.url).resolve("@asyncapi/specs/schemas/3.0.0-without-$id.json");
  // Formats need a package of their own; what the schema says of them is about URIs.
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: false });
  const validate = ajv.compile(JSON.parse(await readFile(path, "utf8")) as object);
  accepts = (document) => (validate(document) ? "" : ajv.errorsText(validate.errors));
});

function run(...args: string[]): Promise<Ended> {
  return godwit(["schema", ...args], { cwd: root });
}

async function documentOf(...args: string[]): Promise<{ document: Document; stderr: string }> {
  const { code, stdout, stderr } = await run(...args);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  return { document: JSON.parse(stdout) as Document, stderr };
}

/** Where a reference of the document leads; fails where it leads nowhere. */
function resolve(document: Document, ref: string): object {
  let at: unknown = document;
  for (const part of ref.replace(/^#\/?/, "").split("/")) {
    at = (at as Record<string, unknown>)[part];
    if (at === undefined) throw new Error(`${ref} leads nowhere`);
  }
  return at as object;
}

function references(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name === "$ref" && typeof inner === "string" ? [inner] : references(inner),
  );
}

describe("a document", () => {
  test("of this repository's actors is valid, whole, and says where to send what", async () => {
    const { document, stderr } = await documentOf("actors", "--servers", "nats://u:secret@nats-1:4222,nats-2");
    expect(accepts(document)).toBe("");
    // Bytes, which JSON has no word for.
    expect(stderr).toMatch(/^godwit: The input of accesslog\.count is not described in full: [^\n]+\n$/);
    expect(document.info).toMatchObject({ title: "godwit", version: "0.1.0" });
    expect(document.servers).toEqual({
      "nats-1": { host: "nats-1:4222", protocol: "nats" },
      "nats-2": { host: "nats-2", protocol: "nats" },
    });
    for (const ref of references(document)) expect(resolve(document, ref)).toBeDefined();
    expect(document.channels["task-payments.charge"]).toMatchObject({
      address: "godwit.task.{lane}.payments.charge",
      parameters: { lane: { enum: ["critical", "high", "normal", "low"], default: "normal" } },
    });
    expect(document.components.schemas["task-payments.charge"]).toMatchObject({
      type: "object",
      properties: { paymentId: { type: "string" } },
    });
    expect(document.operations["payments.charge"]).toMatchObject({
      action: "receive",
      reply: { channel: { $ref: "#/channels/answers" } },
      "x-godwit": { ackWaitMs: expect.any(Number), retry: { attempts: expect.any(Number) } },
    });
    expect(document.operations["dead-letters"]).toMatchObject({ action: "send" });
  });

  test("of odd actors is too, and says what it does not know", async () => {
    const { document, stderr } = await documentOf(odd, "--namespace", "shop", "--title", "Odd", "--api-version", "7");
    expect(accepts(document)).toBe("");
    expect(document.info).toMatchObject({ title: "Odd", version: "7" });
    expect(document.servers).toBeUndefined();
    for (const ref of references(document)) expect(resolve(document, ref)).toBeDefined();

    const { schemas, messages } = document.components;
    expect(schemas["task-odd.recursive"]).toMatchObject({
      properties: { children: { items: { $ref: "#/components/schemas/task-odd.recursive" } } },
    });
    expect(schemas["task-odd.dated"]).toMatchObject({ properties: { at: {}, note: { type: "string" } } });
    expect(messages["task-odd.dated"]).toMatchObject({ contentType: "application/json" });
    expect(schemas["task-odd.mute"]).toEqual({});
    expect(schemas["task-odd.bare"]).toEqual({});
    expect(stderr.trim().split("\n")).toEqual([
      expect.stringMatching(/^godwit: The input of odd\.dated is not described in full: .*Date/),
      expect.stringMatching(/^godwit: The input of odd\.mute .*\(mute\) gives no JSON Schema/),
      expect.stringMatching(/^godwit: The event users\.\*\.signed\.> of odd\.mute .*gives no JSON Schema/),
    ]);

    const addresses = Object.values(document.channels).map(({ address }) => address);
    expect(addresses).toEqual(
      expect.arrayContaining([
        "shop.task.{lane}.odd.mute",
        "shop.due.{lane}.odd.mute",
        "shop.event.orders.placed",
        "shop.event.users.{part3}.signed.{rest}",
        "$weird.{part1}.{rest}",
        "shop.reply.{address}",
        "shop.dead.{origin}",
      ]),
    );
    // Two hear the same event: one knows its schema, one takes it as it comes.
    expect(Object.keys(document.channels["event-orders.placed"]?.messages ?? {})).toEqual([
      "event-orders.placed",
      "event-orders.placed-for-odd.bare",
    ]);
    expect(schemas["event-orders.placed"]).toMatchObject({ properties: { orderId: { type: "string" } } });
    expect(document.operations["odd.dated"]?.["x-godwit"]).toMatchObject({
      lanes: ["high"],
      hardLimitMs: 2_000,
      retry: { backoff: "function" },
      breaker: { name: "api", resetAfterMs: 30_000 },
      rateLimit: { name: "api", perMs: 1_000, keyed: true },
      concurrencyLimit: { limit: 3, keyed: false },
    });
    expect(JSON.stringify(document)).not.toContain("fallback");
  });

  test("that AsyncAPI would not accept is noticed by this test", async () => {
    const { document } = await documentOf(odd);
    expect(accepts({ ...document, operations: { wrong: { action: "receive" } } })).toContain("channel");
  });
});

test("what holds no actor is refused in a sentence", async () => {
  expect(await run("schemas")).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("(NO_ACTOR)") });
});
