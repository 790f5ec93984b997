/** deploy/: rules and dashboard name metrics, labels and flags that there are. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { metricTable, type MetricSpec } from "../../src/observe/metric-table.ts";
import { Running } from "../support/cli/run.ts";
import { dashboardExpressions, deployFile, ruleExpressions } from "../support/deploy/files.ts";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const table = new Map<string, MetricSpec>(Object.entries(metricTable));
/** What scraping and recording add. */
const addedLabels = ["job", "instance", "le", "quantile"];

function specOf(series: string): MetricSpec | undefined {
  const [, base = "", suffix = ""] = /^(.+?)(_bucket|_sum|_count)?$/.exec(series) ?? [];
  const spec = table.get(series) ?? table.get(base);
  const suffixed = suffix !== "" && !table.has(series);
  return suffixed && spec?.type !== "histogram" && spec?.type !== "summary" ? undefined : spec;
}

const expressions = [...ruleExpressions(), ...dashboardExpressions()];

test("each metric in rules and dashboard is one of the table, with its labels", () => {
  const used = expressions.flatMap((expr) => [...expr.matchAll(/(?<![\w:])(godwit_\w+)(?:\{([^}]*)\})?/g)]);
  expect(used.length).toBeGreaterThan(40);
  const strange = used.filter(([, series = "", matchers = ""]) => {
    const spec = specOf(series);
    const labels = [...matchers.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)].map(([, label = ""]) => label);
    return spec === undefined || labels.some((label) => ![...spec.labels, ...addedLabels].includes(label));
  });
  expect(strange.map(([text]) => text)).toEqual([]);
});

test("each series of the rules' tests is one of the table, so that they test what there is", () => {
  const used = [...deployFile("prometheus/rules.test.yml").matchAll(/series: .?(godwit_\w+)\{([^}]*)\}/g)];
  expect(used.length).toBeGreaterThan(40);
  const strange = used.filter(([, series = "", labels = ""]) => {
    const known = [...(specOf(series)?.labels ?? []), ...addedLabels];
    return [...labels.matchAll(/(\w+)="/g)].some(([, label = ""]) => !known.includes(label));
  });
  expect(strange.map(([text]) => text)).toEqual([]);
});

/** Commands in the files' own words. */
const commands = [
  ["the image's command", /^CMD (\[.+\])$/m.exec(deployFile("Dockerfile"))?.[1]],
  ["the dashboard's", /command: (\["dashboard".+\])/.exec(deployFile("compose.yaml"))?.[1]],
] as const;

test.each(commands)("%s is one that godwit takes: all that is missing is a server", async (_, command = "[]") => {
  const env = { NATS_URL: "nats://127.0.0.1:1", GODWIT_DASHBOARD_TOKEN: "0123456789abcdef" };
  const running = new Running(JSON.parse(command) as string[], { cwd: repository, env });
  expect((await running.ended).stderr).toContain("NO_SERVER");
});
