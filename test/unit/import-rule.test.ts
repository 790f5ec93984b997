/** The import rule, shown to work: the very script of `npm run check:imports` runs on trees with violations planted in them. */
import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const trees: string[] = [];

afterAll(async () => {
  await Promise.all(trees.map((tree) => rm(tree, { recursive: true })));
});

/** One file per folder, with every import that is easily mistaken for a violation. */
const clean: Record<string, string> = {
  "src/index.ts": `export { System } from "./system/system.ts"; export { Fleet } from "./fleet/fleet.ts";`,
  "src/kernel/errors.ts": `import { inspect } from "node:util"; export const errors = inspect;`,
  "src/message/codec.ts": `import { pack } from "msgpackr"; import { errors } from "../kernel/errors.ts"; export const codec = [pack, errors];`,
  "src/broker/connection.ts": `import type { NatsConnection } from "@nats-io/nats-core"; import { codec } from "../message/codec.ts"; export const connection = (c: NatsConnection) => [c, codec];`,
  "src/actor/actor.ts": `import { codec } from "../message/codec.ts"; export const actor = codec;`,
  "src/producer/tell.ts": `import { actor } from "../actor/actor.ts"; import { connection } from "../broker/connection.ts"; export const tell = [actor, connection];`,
  "src/lifecycle/machine.ts": `import { setup } from "xstate"; import { tell } from "../producer/tell.ts"; export const machine = [setup, tell];`,
  "src/guard/breaker.ts": `import Opossum from "opossum"; export const breaker = Opossum;`,
  "src/result/store.ts": `import { connection } from "../broker/connection.ts"; export const store = connection;`,
  "src/worker/executor.ts": `import { machine } from "../lifecycle/machine.ts"; import { breaker } from "../guard/breaker.ts"; export const executor = [machine, breaker];`,
  "src/worker/deep/slots.ts": `import { store } from "../../result/store.ts"; import { executor } from "../executor.ts"; export const slots = [store, executor];`,
  "src/system/system.ts": `import { slots } from "../worker/deep/slots.ts"; import { metrics } from "../observe/metrics.ts"; export class System { slots = slots; metrics = metrics; }`,
  "src/fleet/fleet.ts": `import { metrics } from "../observe/metrics.ts"; import { System } from "../system/system.ts"; export class Fleet { parts = [System, metrics]; }`,
  "src/observe/metrics.ts": `import { Counter } from "prom-client"; import { pino } from "pino"; export const metrics = [Counter, pino];`,
  "src/admin/api.ts": `import type { errors } from "../kernel/errors.ts"; export interface Frame { errors: typeof errors }`,
  "src/dashboard/live/feed.ts": `import type { Frame } from "../../admin/api.ts"; export type Live = Frame;`,
  "src/dashboard/app.tsx": `import { render } from "preact"; import type { Live } from "./live/feed.ts"; export const App = (live: Live) => <b>{[live, render]}</b>;`,
  "src/admin/dashboard.ts": `import { metrics } from "../observe/metrics.ts"; export const dashboard = metrics;`,
  "src/cli/main.ts": `import { Command } from "commander"; import { dashboard } from "../admin/dashboard.ts"; export const main = [Command, dashboard];`,
  "src/testing/index.ts": `import { System } from "../system/system.ts"; export const kit = System;`,
  "actors/pay.ts": `import { readFile } from "node:fs/promises"; import { Actor } from "godwit"; import { Pay } from "../schemas/pay.ts"; export const all = [readFile, Actor, Pay];`,
  "schemas/pay.ts": `import { event } from "godwit"; import { z } from "zod"; export const Pay = [z, event];`,
  "demo/start.ts": `import { ActorSystem } from "godwit"; import { all } from "../actors/pay.ts"; import { Pay } from "../schemas/pay.ts"; import { say } from "./say.ts"; export const start = [ActorSystem, all, Pay, say];`,
  "demo/say.ts": `export const say = console.error;`,
};

/** A file added to the clean tree, its source, and the rule that must report it. */
const planted: [file: string, source: string, rule: string][] = [
  // Wrong direction, in every form that an import can take.
  ["src/kernel/a.ts", `import { codec } from "../message/codec.ts"; export const a = codec;`, "kernel-imports-up-only"],
  [
    "src/message/a.ts",
    `import type { connection } from "../broker/connection.ts"; export type A = typeof connection;`,
    "message-imports-up-only",
  ],
  [
    "src/broker/a.ts",
    `import { type actor } from "../actor/actor.ts"; export type A = typeof actor;`,
    "broker-imports-up-only",
  ],
  ["src/actor/a.ts", `export type { tell } from "../producer/tell.ts";`, "actor-imports-up-only"],
  ["src/producer/a.ts", `export * from "../lifecycle/machine.ts";`, "producer-imports-up-only"],
  ["src/lifecycle/a.ts", `export const a = async () => import("../guard/breaker.ts");`, "lifecycle-imports-up-only"],
  ["src/guard/a.ts", `import "../result/store.ts";`, "guard-imports-up-only"],
  ["src/result/deep/a.ts", `import * as a from "../../worker/executor.ts"; export { a };`, "result-imports-up-only"],
  ["src/worker/a.ts", `export * as a from "../system/system.ts";`, "worker-imports-up-only"],
  ["src/system/a.ts", `export { Fleet } from "../fleet/fleet.ts";`, "system-imports-up-only"],
  ["src/fleet/a.ts", `export { dashboard } from "../admin/dashboard.ts";`, "fleet-imports-up-only"],
  ["src/observe/a.ts", `export { System } from "../system/system.ts";`, "observe-imports-up-only"],
  ["src/admin/a.ts", `export { main } from "../cli/main.ts";`, "admin-imports-up-only"],
  ["src/cli/a.ts", `export { kit } from "../testing/index.ts";`, "cli-imports-up-only"],
  [
    "src/dashboard/a.tsx",
    `import type { A } from "../cli/main.ts"; export const B = (a: A) => <b>{a}</b>;`,
    "dashboard-imports-up-only",
  ],
  ["src/dashboard/b.ts", `export type { metrics } from "../admin/dashboard.ts";`, "dashboard-knows-the-api-only"],
  ["src/testing/a.ts", `export { Fleet } from "../fleet/fleet.ts";`, "testing-imports-up-only"],
  ["src/worker/b.ts", `export { System } from "../index.ts";`, "worker-imports-up-only"],
  ["src/util/a.ts", `export { errors } from "../kernel/errors.ts";`, "folder-has-a-row"],
  // Fences.
  ["src/worker/nats.ts", `import type { JsMsg } from "@nats-io/jetstream"; export type A = JsMsg;`, "fence-nats-io"],
  ["src/worker/opossum.ts", `export { default as Breaker } from "opossum";`, "fence-opossum"],
  ["src/worker/xstate.ts", `export { setup } from "xstate";`, "fence-xstate"],
  ["src/broker/msgpackr.ts", `export { pack } from "msgpackr";`, "fence-msgpackr"],
  ["src/actor/pino.ts", `import type { Logger } from "pino"; export type A = Logger;`, "fence-pino"],
  ["src/admin/prom-client.ts", `export { Counter } from "prom-client";`, "fence-prom-client"],
  ["src/admin/preact.ts", `import type { VNode } from "preact"; export type A = VNode;`, "fence-preact"],
  // It is built into the dashboard's program, and nobody else has it.
  ["src/admin/preact.ts", `import type { VNode } from "preact"; export type A = VNode;`, "declared-dependency"],
  ["src/fleet/commander.ts", `export { Command } from "commander";`, "fence-commander"],
  ["actors/nats.ts", `export { connect } from "@nats-io/transport-node";`, "fence-nats-io"],
  ["src/worker/dev.ts", `export { test } from "vitest";`, "declared-dependency"],
  // The public API, from both sides.
  ["src/system/self.ts", `export { Actor } from "godwit";`, "src-imports-src"],
  ["src/system/actors.ts", `export { all } from "../../actors/pay.ts";`, "src-imports-src"],
  ["actors/src.ts", `export { System } from "../src/index.ts";`, "actors-import-the-public-api"],
  ["actors/testing.ts", `export { kit } from "godwit/testing";`, "actors-import-the-public-api"],
  [
    "schemas/src.ts",
    `import type { errors } from "../src/kernel/errors.ts"; export type A = typeof errors;`,
    "schemas-import-the-public-api",
  ],
  ["schemas/actors.ts", `export { all } from "../actors/pay.ts";`, "schemas-import-the-public-api"],
  ["actors/demo.ts", `export { start } from "../demo/start.ts";`, "actors-import-the-public-api"],
  ["demo/src.ts", `export { System } from "../src/index.ts";`, "demo-import-the-public-api"],
  ["demo/nats.ts", `export { connect } from "@nats-io/transport-node";`, "fence-nats-io"],
  ["src/system/demo.ts", `export { start } from "../../demo/start.ts";`, "src-imports-src"],
  // A cycle, one half of it in types only; it is reported once, and src/worker/hen.ts makes it below.
  ["src/worker/egg.ts", `import { hen } from "./hen.ts"; export type Egg = typeof hen;`, "no-cycle"],
];

describe.concurrent("the import rule", () => {
  test("passes a clean tree, all of which it has read", async () => {
    const tree = await plant(clean);
    const [{ violations, read, imports }, { status }] = await Promise.all([report(tree), checkImports(tree)]);
    expect(violations).toEqual([]);
    expect(read).toEqual(expect.arrayContaining(Object.keys(clean)));
    expect(imports).toBeGreaterThan(Object.keys(clean).length);
    expect(status).toBe(0);
  });

  test("reports every planted violation and nothing else", async () => {
    const files = Object.fromEntries(planted.map(([file, source]) => [file, source]));
    const hen = `import type { Egg } from "./egg.ts"; export const hen = (egg: Egg) => egg;`;
    const tree = await plant({ ...clean, ...files, "src/worker/hen.ts": hen });
    const [{ violations }, { status }] = await Promise.all([report(tree), checkImports(tree)]);
    expect(violations).toEqual(planted.map(([file, , rule]) => `${file}: ${rule}`).toSorted());
    expect(status).toBe(planted.length);
  });

  test("reports an import that reaches the public API past its name or shows too much of it", async () => {
    const tree = await plant({
      ...clean,
      "dist/src/index.js": `export const built = true;`,
      "dist/src/index.d.ts": `export declare const built: true;`,
      "actors/dist.ts": `export { built } from "../dist/src/index.js";`,
      "src/index.ts": `export { dashboard } from "./admin/dashboard.ts";`,
    });
    expect((await report(tree)).violations).toEqual([
      "actors/dist.ts: dist-by-its-name",
      "src/index.ts: public-api-is-public",
    ]);
  });
});

/** Writes the files into a tree of their own, beside this repository's package.json and import rule. */
async function plant(files: Record<string, string>): Promise<string> {
  const tree = await mkdtemp(join(tmpdir(), "godwit-import-rule-"));
  trees.push(tree);
  await Promise.all(["package.json", "import-rule.config.js"].map((name) => cp(join(root, name), join(tree, name))));
  await symlink(join(root, "node_modules"), join(tree, "node_modules"));
  for (const [file, source] of Object.entries(files)) {
    await mkdir(dirname(join(tree, file)), { recursive: true });
    await writeFile(join(tree, file), source);
  }
  return tree;
}

/** Runs the script as it stands in package.json, as npm does. It ends with the number of violations as its status. */
async function checkImports(tree: string, ...args: string[]): Promise<{ status: number | null; stdout: string }> {
  const { scripts } = JSON.parse(await readFile(join(tree, "package.json"), "utf8")) as Package;
  const child = spawn("/bin/sh", ["-c", [scripts["check:imports"], ...args].join(" ")], {
    cwd: tree,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"]}` },
  });
  let stdout = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once("error", reject).once("close", (status) => resolve({ status, stdout }));
  });
}

interface Package {
  scripts: { "check:imports": string };
}

interface Cruise {
  modules: { source: string; dependencies: unknown[] }[];
  summary: { violations: { from: string; rule: { name: string } }[] };
}

/** What the script reports: `"<file>: <rule>"` for each violation, the files that it read, and how many imports. */
async function report(tree: string): Promise<{ violations: string[]; read: string[]; imports: number }> {
  const { modules, summary } = JSON.parse((await checkImports(tree, "--output-type", "json")).stdout) as Cruise;
  return {
    violations: summary.violations.map(({ from, rule }) => `${from}: ${rule.name}`).toSorted(),
    read: modules.map(({ source }) => source),
    imports: modules.reduce((sum, { dependencies }) => sum + dependencies.length, 0),
  };
}
