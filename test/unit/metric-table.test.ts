/** The table of metrics: what the docs say of it, and what names and labels must be. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { metricTable, type MetricSpec } from "../../src/observe/metric-table.ts";

const metrics: [string, MetricSpec][] = Object.entries(metricTable);

test("docs/operating.md has the same table", async () => {
  const text = await readFile(new URL("../../docs/operating.md", import.meta.url), "utf8");
  const rows = text
    .split("\n")
    .filter((line) => line.startsWith("| `godwit_"))
    .map((line) => line.split("|").map((cell) => cell.trim()));
  expect(rows.map((cells) => cells.slice(1, -1))).toEqual(
    metrics.map(([name, { type, labels, help }]) => [
      `\`${name}\``,
      type,
      labels.map((label) => `\`${label}\``).join(", "),
      help,
    ]),
  );
});

test("counters end in _total, and what is measured ends in its base unit", () => {
  const wrong = metrics.filter(([name, { type }]) => {
    const measured = type === "histogram" || type === "summary";
    return name.endsWith("_total") !== (type === "counter") || (measured && !/_(seconds|bytes)$/.test(name));
  });
  expect(wrong).toEqual([]);
});
