/** From the bytes of a log to its report: cutting, counting and adding up, without a server. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tallyLines } from "../../actors/access-log-tally.ts";
import { Chunker } from "../../demo/chunker.ts";
import { formatReport, ReportBuilder, type LogReport } from "../../demo/report.ts";
import { straightCount } from "../support/demo/straight-count.ts";

const line = (path = "/", host = "192.0.2.1"): string =>
  `${host} - - [02/Mar/2026:06:12:31 +0000] "GET ${path} HTTP/1.1" 200 10 "-" "-"`;

function cut(blocks: Buffer[], maxBytes: number, maxLineBytes?: number): Buffer[] {
  const chunker = new Chunker({ maxBytes, ...(maxLineBytes !== undefined && { maxLineBytes }) });
  return [...blocks.flatMap((block) => [...chunker.push(block)]), ...chunker.end()];
}

function reportOf(pieces: Buffer[]): LogReport {
  const builder = new ReportBuilder();
  for (const piece of pieces) builder.add(tallyLines(piece.toString("utf8")));
  return builder.report();
}

describe("tallyLines", () => {
  test("counts lines with LF, with CRLF, and a last one without an end", () => {
    expect(tallyLines(`${line()}\n${line()}\r\n${line()}`)).toMatchObject({ lines: 3, rejected: 0, bytes: 30 });
  });

  test("takes an empty line for a line, and what follows the last line end for none", () => {
    expect(tallyLines("")).toMatchObject({ lines: 0, rejected: 0 });
    expect(tallyLines("\n")).toMatchObject({ lines: 0, rejected: 1 });
    expect(tallyLines(`${line()}\n\n\r\n${line()}\n`)).toMatchObject({ lines: 2, rejected: 2 });
  });

  test("counts a rejected line nowhere else", () => {
    const tally = tallyLines(`${line("/a")} more\n`);
    expect(tally).toEqual({ lines: 0, rejected: 1, bytes: 0, hosts: [], statuses: [], paths: [] });
  });

  test("counts paths that are names of object properties", () => {
    const log = [line("__proto__"), line("constructor"), line("__proto__")].join("\n");
    expect(reportOf([Buffer.from(log)]).top).toEqual([
      { path: "__proto__", hits: 2 },
      { path: "constructor", hits: 1 },
    ]);
  });
});

describe("the chunker", () => {
  const text = fc.array(fc.constantFrom("", "a", "bc", "x".repeat(9), "y".repeat(40)), { maxLength: 40 });
  const sizes = fc.record({ maxBytes: fc.integer({ min: 1, max: 64 }), blockBytes: fc.integer({ min: 1, max: 100 }) });

  test("loses nothing, cuts at line ends only, and keeps pieces small unless a line is long", () => {
    fc.assert(
      fc.property(text, fc.boolean(), sizes, (lines, ended, { maxBytes, blockBytes }) => {
        const log = Buffer.from(lines.join("\n") + (ended ? "\n" : ""));
        const pieces = cut(blocksOf(log, blockBytes), maxBytes);
        expect(Buffer.concat(pieces).equals(log)).toBe(true);
        for (const piece of pieces.slice(0, -1)) expect(piece.at(-1)).toBe(0x0a);
        const isOneLine = (piece: Buffer): boolean => !piece.subarray(0, -1).includes("\n");
        for (const piece of pieces) expect(piece.length <= maxBytes || isOneLine(piece)).toBe(true);
      }),
    );
  });

  test("puts an empty line for one that is too long to hold", () => {
    const log = Buffer.from(`ab\n${"x".repeat(500)}\ncd\n${"y".repeat(500)}`);
    expect(Buffer.concat(cut(blocksOf(log, 7), 16, 100)).toString()).toBe("ab\n\ncd\n\n");
  });
});

test("a report does not depend on where the log is cut", () => {
  const lines = fc.array(
    fc.oneof(
      fc.tuple(fc.nat(30), fc.nat(5)).map(([path, host]) => line(`/${path}`, `192.0.2.${host}`)),
      fc.constantFrom("", "nonsense", line("/\u00e9?q"), `${line()}\r`, `${line("/x")} more`),
    ),
  );
  fc.assert(
    fc.property(lines, fc.integer({ min: 20, max: 2_000 }), fc.boolean(), (lines, maxBytes, ended) => {
      const log = Buffer.from(lines.join("\n") + (ended ? "\n" : ""));
      expect(reportOf(cut(blocksOf(log, 97), maxBytes))).toEqual(straightCount(log));
    }),
  );
});

describe("the report", () => {
  test("names ten paths: by hits, equals in the order of their code units", () => {
    const equals = ["/b", "/B", "/a", "/\u00e4", "/_", "/1", "/aa", "/\ud83d\ude00", "/\uff01", "/Z", "/z"];
    const log = [...equals, "/z"].map((path) => line(path)).join("\n");
    const { top } = reportOf([Buffer.from(log)]);
    expect(top.map(({ path }) => path)).toEqual([
      "/z",
      "/1",
      "/B",
      "/Z",
      "/_",
      "/a",
      "/aa",
      "/b",
      "/\u00e4",
      "/\ud83d\ude00",
    ]);
    expect(top[0]?.hits).toBe(2);
  });

  test("lets no path speak to the terminal", () => {
    const { top, ...rest } = reportOf([Buffer.from(line("/\u001b[2J\u009b"))]);
    expect(formatReport({ ...rest, top })).toContain(String.raw`1  /\u{1b}[2J\u{9b}`);
  });
});

function blocksOf(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => bytes.subarray(n * size, (n + 1) * size));
}
