/** Values of threads: what arrives there is what arrives elsewhere, and what is sent from there is refused as elsewhere. */
import { expect, test } from "vitest";
import { checkCrossing } from "../../src/message/value-check.ts";
import { useStage } from "../support/stage.ts";
import { Moneyed, ReadsBytes, SendsAtHome, SendsInThread } from "../support/isolation/values.ts";

const stage = useStage();

test("a handler in a thread is refused what any other is, by the settings of the actor that it sends to", async () => {
  const system = await stage.connect();
  await system.work([SendsAtHome, SendsInThread]);
  const ended = {
    deep: "UNENCODABLE",
    many: "UNENCODABLE",
    large: "PAYLOAD_TOO_LARGE",
    json: "INVALID_CONFIG",
    moneyed: "UNENCODABLE",
    wide: "sent",
    bytes: "sent",
  };
  expect(await system.ask(SendsAtHome, {})).toEqual(ended);
  expect(await system.ask(SendsInThread, {})).toEqual(ended);
});

test("what a schema makes of a body and no thread can be given is refused by the sender", async () => {
  const system = await stage.connect();
  await expect(system.tell(Moneyed, "5 EUR" as never)).rejects.toThrow(
    "An instance of Money cannot be sent between threads; send plain data, such as a plain object with its fields.",
  );
});

test("bytes are a Buffer in a thread too, in a body and from ctx.once", async () => {
  const system = await stage.connect();
  await system.work([ReadsBytes]);
  const files = [Buffer.from("a"), new Uint8Array([98]), Buffer.alloc(0)];
  expect(await system.ask(ReadsBytes, { files })).toEqual(["YQ==", "Yg==", "", "dGV4dA=="]);
});

test("between threads a subclass and a Proxy are refused with their path, not stripped", () => {
  for (const [value, what] of [
    [new (class Day extends Date {})(0), "A Date"],
    [new (class Bag extends Map {})(), "A Map"],
    [new (class Ring extends Set {})(), "A Set"],
    [new Proxy({ a: 1 }, {}), "A Proxy"],
    [new Proxy([1], {}), "A Proxy"],
  ] as const) {
    expect(() => checkCrossing({ at: [value] })).toThrow(`${what} cannot be sent between threads (at[0])`);
  }
});
