/** One line of an access log: what is read from it, and what is not taken for one. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseLine } from "../../actors/access-log-line.ts";

const time = "[02/Mar/2026:06:12:31 +0000]";

function line(parts: Partial<Record<"host" | "user" | "request" | "size" | "agent", string>> = {}): string {
  const { host = "192.0.2.1", user = "-", request = "GET / HTTP/1.1", size = "12", agent = "curl/8" } = parts;
  return `${host} - ${user} ${time} "${request}" 200 ${size} "-" "${agent}"`;
}

describe("parseLine reads", () => {
  test("host, status, bytes and path", () => {
    const text = `2001:db8::1 - ada ${time} "POST /cart?item=7 HTTP/2.0" 302 87 "https://shop.example/" "Mozilla/5.0 (X11)"`;
    expect(parseLine(text)).toEqual({ host: "2001:db8::1", status: "302", bytes: 87, path: "/cart" });
  });

  test.each([
    ["GET /a/b?x=1?y=2 HTTP/1.1", "/a/b"],
    ["PROPFIND /dav HTTP/1.1", "/dav"],
    ["GET /old", "/old"],
    ["GET /two words HTTP/1.1", "/two words"],
    ["GET http://shop.example/a?b HTTP/1.1", "http://shop.example/a"],
    ["OPTIONS * HTTP/1.1", "*"],
    ["CONNECT shop.example:443 HTTP/1.1", "shop.example:443"],
    ["GET ?q HTTP/1.1", ""],
    [String.raw`GET /say/\"hi\" HTTP/1.1`, String.raw`/say/\"hi\"`],
    ["GET /HTTP/1.1 HTTP/1.1", "/HTTP/1.1"],
    ["GET /\u2028\u00a0\ufffd HTTP/1.1", "/\u2028\u00a0\ufffd"],
    ["-", undefined],
    ["", undefined],
    [String.raw`\x16\x03\x01`, undefined],
    ["GET  HTTP/1.1", undefined],
  ])("the path of %j", (request, path) => {
    expect(parseLine(line({ request }))).toEqual({ host: "192.0.2.1", status: "200", bytes: 12, path });
  });

  test("a size of - as 0", () => {
    expect(parseLine(line({ size: "-" }))?.bytes).toBe(0);
  });

  test("escaped quotes and backslashes, and the empty user that Apache quotes", () => {
    expect(parseLine(line({ agent: String.raw`a \"bot\" \\` }))).toBeDefined();
    expect(parseLine(line({ agent: "" }))).toBeDefined();
    expect(parseLine(line({ user: '""' }))).toBeDefined();
  });

  test("a line of many megabytes in one pass, well-formed or not", () => {
    const long = line({ agent: String.raw`x\"`.repeat(2_000_000) });
    expect(parseLine(long)).toBeDefined();
    expect(parseLine(long.slice(0, -1))).toBeUndefined();
    expect(parseLine("x".repeat(10_000_000))).toBeUndefined();
  });
});

describe("parseLine refuses", () => {
  test.each([
    ["nothing", ""],
    ["the common format", line().replace(' "-" "curl/8"', "")],
    ["a virtual host in front", `shop.example:443 ${line()}`],
    ["a duration behind", `${line()} 1234`],
    ["a blank behind", `${line()} `],
    ["tabs", line().replaceAll(" ", "\t")],
    ["two blanks between fields", line().replace(" - ", "  - ")],
    ["another time", line().replace("02/Mar/2026", "2026-03-02")],
    ["a status of two digits", line().replace(" 200 ", " 20 ")],
    ["a size that is no number", line({ size: "12k" })],
    ["a negative size", line({ size: "-1" })],
    ["a size beyond all sizes", line({ size: "1234567890123456" })],
    ["a quote that is not escaped", line({ agent: 'a "bot"' })],
    ["a last quote that is escaped", line({ agent: "a\\" })],
    ["a line cut short", line().slice(0, -9)],
  ])("%s", (_what, text) => {
    expect(parseLine(text)).toBeUndefined();
  });
});

test("what was formatted is parsed back, whatever the fields hold", () => {
  const word = fc.string({ minLength: 1, unit: "grapheme" }).map((text) => text.replaceAll(/[ \n"]/g, "") || "-");
  const escaped = fc.string({ unit: "binary" }).map((text) => text.replaceAll("\n", "").replaceAll(/["\\]/g, "\\$&"));
  const entry = fc.record({
    host: word,
    user: word,
    method: word,
    path: fc.webPath({ size: "medium" }).map((path) => path || "/"),
    query: fc.option(fc.webQueryParameters()),
    protocol: fc.constantFrom(" HTTP/1.0", " HTTP/1.1", " HTTP/2.0", ""),
    status: fc.integer({ min: 100, max: 599 }),
    bytes: fc.option(fc.nat()),
    referer: escaped,
    agent: escaped,
  });
  fc.assert(
    fc.property(entry, ({ host, user, method, path, query, protocol, status, bytes, referer, agent }) => {
      const request = `${method.replaceAll("\\", "")} ${path}${query === null ? "" : `?${query}`}${protocol}`;
      const text = `${host} - ${user} ${time} "${request}" ${status} ${bytes ?? "-"} "${referer}" "${agent}"`;
      expect(parseLine(text)).toEqual({ host, status: String(status), bytes: bytes ?? 0, path });
    }),
  );
});
