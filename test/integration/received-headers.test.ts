/** Received headers are read from their text; what comes out is what the client's own parsing gives. */
import { headers as newHeaders, type Msg } from "@nats-io/transport-node";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { NatsHeaders, readHeaders } from "../../src/broker/received-headers.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,12}$/);
const value = fc.string({ unit: "grapheme", maxLength: 20 }).map((text) => text.replaceAll(/[\r\n\0]/g, " "));

test("every header of every message, present or not, repeated or not, empty or not", async () => {
  const client = await stage.client();
  const arrived: Msg[] = [];
  client.nc.subscribe("headers", { callback: (_error, message) => void arrived.push(message) });
  const property = fc.asyncProperty(fc.array(fc.tuple(name, value), { maxLength: 6 }), async (fields) => {
    const sent = newHeaders();
    for (const [field, text] of fields) sent.append(field, text);
    client.nc.publish("headers", "body: x\r\nGodwit-Id: not a header", fields.length > 0 ? { headers: sent } : {});
    await client.nc.flush();
    const message = arrived.pop() as Msg;
    const own = readHeaders(message);
    const theirs = message.headers && new NatsHeaders(message.headers);
    expect(own.entries()).toEqual(theirs?.entries() ?? []);
    for (const asked of [...fields.map(([field]) => field), "Godwit-Id", "NATS/1.0", "d"]) {
      expect(own.get(asked)).toBe(theirs?.get(asked));
    }
  });
  await fc.assert(property, { numRuns: 300 });
});

test("a message of a client that keeps its bytes elsewhere is read by that client's parsing", () => {
  const headers = newHeaders();
  headers.set("Godwit-Id", "a");
  expect(readHeaders({ headers }).get("Godwit-Id")).toBe("a");
  expect(readHeaders({}).get("Godwit-Id")).toBeUndefined();
});
