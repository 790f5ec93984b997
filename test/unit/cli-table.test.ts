/** Tables for a terminal: what does not fit is cut, or goes on below where that is what people came for. */
import { expect, test } from "vitest";
import { table } from "../../src/cli/table.ts";

test("a last column that wraps goes on below itself, and nothing of it is lost", () => {
  const by = "the circuit of carrier-api was opened by hand, until it is closed";
  const columns = [
    { title: "HELD UP", flexible: true },
    { title: "BY", flexible: true, wraps: true },
  ];
  expect(table(columns, [["orders.ship", by]], 50).split("\n")).toEqual([
    "HELD UP      BY",
    "orders.ship  the circuit of carrier-api was opened",
    "             by hand, until it is closed",
  ]);
  expect(table(columns, [["orders.ship", by]], Infinity).split("\n")).toHaveLength(2);
});

test("any other is cut short", () => {
  expect(table([{ title: "ID", flexible: true }], [["abcdefghijkl"]], 9)).toBe("ID\nabcdefgh…");
});
