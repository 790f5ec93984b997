/** The files of deploy/, read for what they say to one another. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const deployFolder = fileURLToPath(new URL("../../../deploy/", import.meta.url));

export function deployFile(path: string): string {
  return readFileSync(`${deployFolder}${path}`, "utf8");
}

export interface Panel {
  id: number;
  title: string;
  type: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string }[];
}

export interface Dashboard {
  panels: Panel[];
  templating: { list: { name: string; definition?: string }[] };
  annotations: { list: { expr: string }[] };
}

export function grafanaDashboard(): Dashboard {
  return JSON.parse(deployFile("grafana/godwit.json")) as Dashboard;
}

/** Every expression of the dashboard, as Prometheus gets to see it. */
export function dashboardExpressions(): string[] {
  const { panels, templating, annotations } = grafanaDashboard();
  const inVariables = templating.list.flatMap(
    ({ definition }) => /^label_values\((.+), \w+\)$/.exec(definition ?? "")?.[1] ?? [],
  );
  const inPanels = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  return [...inPanels, ...inVariables, ...annotations.list.map(({ expr }) => expr)].map((expr) =>
    expr.replaceAll("$__rate_interval", "5m").replaceAll(/"\$\w+"/g, '".*"'),
  );
}

/** The expressions of rules.yml, those of several lines too. */
export function ruleExpressions(): string[] {
  const lines = deployFile("prometheus/rules.yml").split("\n");
  return lines.flatMap((line, at) => {
    const [, indent = "", rest = ""] = /^( +)expr: (.+)$/.exec(line) ?? [];
    if (rest === "") return [];
    if (rest !== "|") return [rest];
    const below = lines.slice(at + 1);
    const end = below.findIndex((one) => !one.startsWith(`${indent} `));
    return [below.slice(0, end).join("\n")];
  });
}

/** What follows a key in rules.yml: the names of its alerts or of what it records. */
export function ruleNames(key: "alert" | "record"): string[] {
  return [...deployFile("prometheus/rules.yml").matchAll(/- (\w+): ([\w:]+)\n/g)].flatMap(([, kind, name = ""]) =>
    kind === key ? [name] : [],
  );
}
