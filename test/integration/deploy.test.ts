/** deploy/: what Prometheus's own tool says of the rules, and that the files agree with each other and with what they name. */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  dashboardExpressions,
  deployFile,
  deployFolder,
  grafanaDashboard,
  ruleExpressions,
  ruleNames,
} from "../support/deploy/files.ts";
import { documentsOf } from "../support/deploy/kubernetes.ts";
import { missingTool, run } from "../support/tools.ts";

const withoutPromtool = missingTool("promtool", "prometheus");
if (withoutPromtool !== undefined) console.warn(`test/integration/deploy.test.ts: ${withoutPromtool}`);

/** What it prints. @throws with that where it finds a fault. */
async function promtool(...args: string[]): Promise<string> {
  const { stdout } = await run("promtool", args, { cwd: `${deployFolder}prometheus` });
  return stdout;
}

describe.skipIf(withoutPromtool !== undefined)("promtool", () => {
  test("finds nothing wrong with the rules and the scrape config", async () => {
    expect(await promtool("check", "rules", "--lint-fatal", "rules.yml")).toContain(
      `SUCCESS: ${ruleNames("alert").length + ruleNames("record").length} rules found`,
    );
    expect(await promtool("check", "config", "--lint-fatal", "prometheus.yml")).toContain(
      "SUCCESS: prometheus.yml is valid",
    );
  });

  test("finds that every rule does what its tests say", async () => {
    expect(await promtool("test", "rules", "rules.test.yml")).toContain("SUCCESS");
  });

  test("can read every expression of the Grafana dashboard", async () => {
    const rules = dashboardExpressions().map((expr, at) => ({ record: `panel:${at}`, expr }));
    const folder = await mkdtemp(join(tmpdir(), "godwit-test-"));
    try {
      // JSON is YAML.
      const file = join(folder, "panels.yml");
      await writeFile(file, JSON.stringify({ groups: [{ name: "panels", rules }] }));
      expect(await promtool("check", "rules", file)).toContain(`SUCCESS: ${rules.length} rules found`);
    } finally {
      await rm(folder, { recursive: true });
    }
    expect(rules.length).toBeGreaterThan(30);
  });
});

test("each alert is shown to fire, and not to fire", () => {
  const tests = deployFile("prometheus/rules.test.yml")
    .split(/^ {2}- name: /m)
    .slice(1);
  const shown = ruleNames("alert").map((alert) => {
    const its = tests.filter((one) => new RegExp(`alertname: ${alert}$`, "m").test(one));
    const firing = its.filter((one) => one.includes("exp_alerts:"));
    return { alert, fires: firing.length > 0, quiet: its.length > firing.length };
  });
  expect(shown.filter(({ fires, quiet }) => !fires || !quiet)).toEqual([]);
});

test("what the dashboard and the alerts take from recorded series is recorded", () => {
  const recorded = new Set(ruleNames("record"));
  const named = [...dashboardExpressions(), ...ruleExpressions()].flatMap((expr) => expr.match(/\b\w+:[\w:]+/g) ?? []);
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter((name) => !recorded.has(name))).toEqual([]);
});

test("each panel of the dashboard has its own id and place", () => {
  const { panels } = grafanaDashboard();
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const taken = new Set<string>();
  for (const { title, gridPos } of panels) {
    const { x, y, w, h } = gridPos;
    expect(x + w).toBeLessThanOrEqual(24);
    for (let row = y; row < y + h; row++) {
      for (let column = x; column < x + w; column++) {
        expect(taken.has(`${row} ${column}`) && title).toBe(false);
        taken.add(`${row} ${column}`);
      }
    }
  }
});

describe("compose.yaml", () => {
  const compose = deployFile("compose.yaml");

  test("names files that there are", () => {
    const mounted = [...compose.matchAll(/- \.\/([^:]+):/g)].map(([, path = ""]) => path);
    const built = [...compose.matchAll(/dockerfile: ([^ ]+)/g)].map(([, path = ""]) => `../${path}`);
    expect(mounted.length).toBeGreaterThan(3);
    expect(built).toHaveLength(1);
    expect([...mounted, ...built].filter((path) => !existsSync(`${deployFolder}${path}`))).toEqual([]);
  });

  test("puts the dashboard and its data source where Grafana's provisioning looks for them", () => {
    const [, folder = "?"] = /path: (.+)/.exec(deployFile("grafana/provisioning/dashboards/godwit.yml")) ?? [];
    expect(compose).toContain(`./grafana/godwit.json:${folder}/godwit.json`);
    expect(deployFile("grafana/provisioning/datasources/prometheus.yml")).toContain("url: http://prometheus:9090");
    expect(compose).toMatch(/^ {2}prometheus:$/m);
  });

  test("has Prometheus scrape the workers where they serve their metrics", () => {
    const [, service = "?"] = /names: \[(\w+)\]/.exec(deployFile("prometheus/prometheus.yml")) ?? [];
    const [, port = "?"] = /port: (\d+)/.exec(deployFile("prometheus/prometheus.yml")) ?? [];
    expect(compose).toMatch(new RegExp(`^ {2}${service}:$`, "m"));
    expect(compose).toContain(`http://127.0.0.1:${port}/healthz`);
    expect(deployFile("Dockerfile")).toContain(`"--metrics-port", "${port}"`);
    expect(deployFile("Dockerfile")).toContain(`EXPOSE ${port}`);
  });

  const { services } = documentsOf(compose)[0] as {
    services: Record<string, { command?: unknown[]; healthcheck?: { test: unknown[] } }>;
  };

  test("has commands that are lists of text, also where a colon is in one", () => {
    const words = Object.values(services).flatMap(({ command = [], healthcheck }) => [
      ...command,
      ...(healthcheck?.test ?? []),
    ]);
    expect(words.length).toBeGreaterThan(10);
    expect(words.filter((word) => typeof word !== "string")).toEqual([]);
  });

  test("finds a worker healthy by what /healthz answers", async () => {
    let status = 200;
    const answers = createServer((_, response) => response.writeHead(status).end()).listen(0, "127.0.0.1");
    await once(answers, "listening");
    const { port } = answers.address() as AddressInfo;
    const [, , ...args] = (services["worker"]?.healthcheck?.test ?? []) as string[];
    const check = (): Promise<unknown> =>
      run(
        process.execPath,
        args.map((arg) => arg.replace("9464", String(port))),
      );
    try {
      await expect(check()).resolves.toBeDefined();
      status = 503;
      await expect(check()).rejects.toMatchObject({ code: 1 });
    } finally {
      answers.close();
      await once(answers, "close");
    }
    await expect(check()).rejects.toMatchObject({ code: 1 });
  });

  test("publishes nothing beyond this host's loopback", () => {
    const published = [...compose.matchAll(/ports: \["([^"]+)"\]/g)].map(([, port = ""]) => port);
    expect(published.length).toBe((compose.match(/ports:/g) ?? []).length);
    expect(published.filter((port) => !port.startsWith("127.0.0.1:"))).toEqual([]);
  });
});
