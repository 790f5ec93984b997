/** What a terminal would act on does not reach it. */
import { expect, test } from "vitest";
import { clean, cleanJson } from "../../src/cli/io.ts";

const bad = [
  "\u001b[2J",
  "\u009b2J",
  "\u007f",
  "\u202egnp.exe",
  "\u2066x",
  "\u200fx",
  "\u061cx",
  "\u2028x",
  "\r",
  "\u0007",
];

test("text is shown without control characters and without marks that turn its direction", () => {
  for (const one of bad) expect(clean(`a${one}b`)).toMatch(/^a\u00b7[\x21-\x7e]*b$/);
  expect(clean("caf\u00e9 \u{1f600}  \n b")).toBe("caf\u00e9 \u{1f600} b");
});

test("JSON has them as escapes, and says the same", () => {
  const value = { [`k${bad.join("")}`]: bad, list: [1, "caf\u00e9"] };
  const text = cleanJson(JSON.stringify(value, undefined, 2));
  expect(text).toMatch(/^[\n\x20-\x7e\u00e9]*$/);
  expect(JSON.parse(text)).toEqual(value);
});
