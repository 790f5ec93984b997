/** Headers: what users may add, what a reply address may be, and the wire form, checked against the client's own parser. */
import { headers as newHeaders, type MsgHdrs } from "@nats-io/transport-node";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NatsHeaders } from "../../src/broker/received-headers.ts";
import { encodeHeaders } from "../../src/broker/publisher.ts";
import { checkUserHeaders, isControlHeader, parseReplyAddress } from "../../src/message/headers.ts";

const fieldName = fc
  .stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}$/)
  .filter((name) => !/^(nats|godwit)-/i.test(name));
/** Values as they come back: NATS takes the blanks at their ends away. */
const fieldValue = fc
  .string({ unit: "binary", maxLength: 40 })
  // oxlint-disable-next-line no-control-regex -- control characters are what is kept out
  .filter((value) => value.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(value) && value.trim() === value);

/** The client's parser, which it keeps to itself but for this way in. */
function parse(bytes: Uint8Array): MsgHdrs {
  return (newHeaders().constructor as unknown as { decode(bytes: Uint8Array): MsgHdrs }).decode(bytes);
}

describe("encodeHeaders", () => {
  test("writes what the client's own parser reads back", () => {
    fc.assert(
      fc.property(fc.dictionary(fieldName, fieldValue, { maxKeys: 6, noNullPrototype: true }), (fields) => {
        const read = new NatsHeaders(parse(encodeHeaders(fields)));
        for (const [name, value] of Object.entries(fields)) {
          // An empty header is as good as none.
          expect(read.get(name)).toBe(value === "" ? undefined : value);
        }
        expect(Object.fromEntries(read.entries())).toEqual(
          Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, [value]])),
        );
      }),
    );
  });

  test("gives the bytes of the protocol", () => {
    expect(Buffer.from(encodeHeaders({ "Godwit-Id": "ü", A: "b" })).toString()).toBe(
      "NATS/1.0\r\nGodwit-Id: ü\r\nA: b\r\n\r\n",
    );
  });
});

describe("a user's headers", () => {
  test("are taken as they are", () => {
    fc.assert(
      fc.property(fc.dictionary(fieldName, fieldValue, { noNullPrototype: true }), (fields) => {
        fc.pre(!Object.keys(fields).some((name) => name.toLowerCase() === "content-type"));
        expect(checkUserHeaders(fields)).toEqual(fields);
      }),
    );
  });

  test("cannot have a reserved or impossible name, in any case", () => {
    const bad = [
      "Nats-TTL",
      "NATS-x",
      "godwit-Id",
      "GODWIT-",
      "Content-Type",
      "content-TYPE",
      "",
      " ",
      "a b",
      "a:",
      "ä",
      "a\n",
    ];
    for (const name of bad) expect(() => checkUserHeaders({ [name]: "x" })).toThrow(/is not free/);
    expect(checkUserHeaders({ Natsy: "x", "X-Godwit-Id": "x" })).toEqual({ Natsy: "x", "X-Godwit-Id": "x" });
  });

  test("cannot have a value that would end the header, or that is no text", () => {
    for (const value of ["a\r\nb", "\n", "\u0000", "\t", "\u007f", 1, null, undefined, ["x"]]) {
      expect(() => checkUserHeaders({ "X-A": value as string })).toThrow(/string value without control characters/);
    }
  });

  test("are copied, not kept", () => {
    const fields = { "X-A": "1" };
    const checked = checkUserHeaders(fields);
    fields["X-A"] = "2";
    expect(checked).toEqual({ "X-A": "1" });
  });
});

test("headers of the server are told from all others", () => {
  for (const name of ["Nats-TTL", "nats-msg-id", "NATS-Expected-Stream"]) expect(isControlHeader(name)).toBe(true);
  for (const name of ["Godwit-Id", "X-Nats-TTL", "Natsy", "Nats"]) expect(isControlHeader(name)).toBe(false);
});

test("a reply address is two tokens and nothing that could mean another subject", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[a-z.*> $]{0,12}$/)), (value) => {
      const parsed = parseReplyAddress(value);
      return (
        parsed === undefined ||
        (parsed === value && /^[A-Za-z0-9_-]+\.[A-Za-z0-9]+$/.test(value) && !/[\r\n]/.test(value))
      );
    }),
    { numRuns: 2_000 },
  );
  expect(parseReplyAddress("aB_-9.z1")).toBe("aB_-9.z1");
  for (const bad of ["a.b\n", "a.b.c", "a", "a.", ".b", "a.*", "*.a", ">", "a.>", "a b.c", undefined, ""]) {
    expect(parseReplyAddress(bad)).toBeUndefined();
  }
});
