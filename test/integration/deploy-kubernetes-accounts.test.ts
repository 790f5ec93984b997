/** deploy/kubernetes and deploy/nats: users, rights and keys are the same in both, and with them the manifests' commands work. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { nkeys } from "@nats-io/nats-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findBinary } from "../../src/broker/embedded/binary.ts";
import { inProcess } from "../support/cli/in-process.ts";
import { Running } from "../support/cli/run.ts";
import type { Job, PodContainer, Worker } from "../support/deploy/agreement.ts";
import { deployFile, deployFolder } from "../support/deploy/files.ts";
import { manifestsOf } from "../support/deploy/kubernetes.ts";
import { accountVariables, configMapKeys, layOutServer, natsValues, secretKeys } from "../support/deploy/nats-pod.ts";
import { startDeployed, type Deployed } from "../support/nats/deployed.ts";
import { run } from "../support/tools.ts";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const [deployment] = manifestsOf("worker.yaml") as [Worker];
const [job] = manifestsOf("provision.yaml") as [Job];
const pods = { worker: deployment.spec.template.spec, provisioner: job.spec.template.spec };
const envOf = ({ env }: PodContainer): Map<string, string> => new Map(env.map(({ name, value }) => [name, value]));
const [mount] = natsValues.container.patch;
const [volume] = natsValues.podTemplate.patch;

describe("the servers", () => {
  test("have the Secret with the accounts mounted where the config includes it from", () => {
    expect(mount.value.name).toBe(volume.value.name);
    expect(join("/etc/nats-config", natsValues.config.merge.$include)).toBe(`${mount.value.mountPath}/accounts.conf`);
  });

  test("have in it each file that accounts.conf includes, and the Secret of the README has no other", async () => {
    const { secretName, items } = volume.value.secret;
    const includes = [...deployFile("nats/accounts.conf").matchAll(/include "(.+?)"/g)].map(([, path]) => path);
    expect(items.map(({ path }) => path)).toEqual(["accounts.conf", ...includes]);
    const files = items.map(({ key, path }): [string, string] => [key, `../nats/${path}`]);
    expect(Object.fromEntries(secretKeys(secretName))).toEqual(Object.fromEntries(files));
    const there = await readdir(`${deployFolder}nats/permissions`);
    expect(new Set(there.map((file) => `permissions/${file}`))).toEqual(new Set(includes));
  });

  test("have each variable that accounts.conf reads from the README's ConfigMap, under its own name", () => {
    const { GOMEMLIMIT: _, ...env } = natsValues.container.env;
    expect(accountVariables.length).toBeGreaterThan(0);
    const expected = accountVariables.map((key) => [
      key,
      { valueFrom: { configMapKeyRef: { name: "nats-users", key } } },
    ]);
    expect(Object.entries(env)).toEqual(expected);
    expect(configMapKeys("nats-users")).toEqual(accountVariables);
  });

  describe("with the files as the Secret lays them out", () => {
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), "godwit-test-"));
    });
    afterEach(() => rm(folder, { recursive: true }));
    const keys = Object.fromEntries(accountVariables.map((name) => [name, nkeys.createUser().getPublicKey()]));
    const check = async (config: string, env: NodeJS.ProcessEnv): Promise<string> =>
      (await run(await findBinary(), ["-t", "-c", config], { env })).stderr;

    test("take their config", async () => {
      expect(await check(await layOutServer(folder), keys)).toContain("is valid");
    });

    test("refuse it without one of the users", async () => {
      const config = await layOutServer(folder);
      for (const name of accountVariables) {
        const { [name]: _, ...others } = keys;
        await expect(check(config, others)).rejects.toThrow(`variable reference for '${name}'`);
      }
    });

    test("refuse it without one of the files", async () => {
      const config = await layOutServer(folder);
      await rm(join(folder, "nats-accounts/permissions/worker.conf"));
      await expect(check(config, keys)).rejects.toThrow("permissions/worker.conf: no such file");
    });
  });
});

describe.each(["worker", "provisioner"] as const)("the pod of the %s", (role) => {
  const { containers, volumes } = pods[role];
  const [container] = containers;
  const env = envOf(container);

  test("has the seed of its key from the README's Secret, readable by the process", () => {
    expect(volumes).toEqual([{ name: "nats", secret: { secretName: `godwit-${role}-nats`, defaultMode: 0o440 } }]);
    expect(secretKeys(`godwit-${role}-nats`)).toEqual(new Map([[`${role}.nk`, `${role}.nk`]]));
    expect(container.volumeMounts).toMatchObject([{ name: "nats" }]);
    expect(env.get("NATS_NKEY")).toBe(`${container.volumeMounts[0]?.mountPath}/${role}.nk`);
  });

  test("hears its answers where its rights let it", () => {
    expect(deployFile(`nats/permissions/${role}.conf`)).toContain(`"${env.get("NATS_INBOX_PREFIX")}.>"`);
  });
});

test("the README has NATS, the Job, the workers and their autoscaling in this order", () => {
  const readme = deployFile("README.md");
  const steps = [
    "upgrade --install --wait nats",
    "-f provision.yaml",
    "job/godwit-provision",
    "-f worker.yaml",
    "-f scale-keda",
  ];
  const at = steps.map((step) => readme.indexOf(step));
  expect(at).not.toContain(-1);
  expect(at).toEqual(at.toSorted((a, b) => a - b));
  expect(readme).toContain(`--timeout=${job.spec.activeDeadlineSeconds / 60}m job/${job.metadata.name}\n`);
});

describe("on the three servers of deploy/nats", () => {
  let deployed: Deployed;
  let running: Running | undefined;
  beforeAll(async () => {
    deployed = await startDeployed();
  }, 60_000);
  afterEach(async () => {
    running?.signal("SIGKILL");
    await running?.ended;
  });
  afterAll(() => deployed?.stop());

  /** The container's environment, with the servers and the seed of this test. */
  function environment(role: keyof typeof pods): NodeJS.ProcessEnv {
    const { servers, nkey } = deployed.as(role);
    const own = Object.fromEntries(envOf(pods[role].containers[0]));
    return { ...own, NATS_URL: servers.join(","), NATS_NKEY: nkey };
  }

  /** Only what the machine of a test has not: room for 10 GB three times, and the pod's port to itself. */
  function swapped(args: readonly string[]): string[] {
    const swaps = new Map([
      ["--metrics-port=9464", "--metrics-port=0"],
      ["--metrics-host=0.0.0.0", "--metrics-host=127.0.0.1"],
    ]);
    return [...args.map((arg) => swaps.get(arg) ?? arg), "--max-bytes=100MB"];
  }

  test(
    "a worker's command refuses until the Job's has made everything; then it becomes ready, answers the probes, and drains",
    { timeout: 120_000 },
    async () => {
      const [container] = pods.worker.containers;
      const start = (): Running =>
        new Running(swapped(container.args), { cwd: repository, env: environment("worker") });
      const provision = async (role: keyof typeof pods) =>
        inProcess(swapped(pods.provisioner.containers[0].args), { cwd: repository, env: environment(role) });
      running = start();
      expect(await running.ended).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("TOPOLOGY_MISMATCH") as string,
      });
      const refused = await provision("worker");
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("NOT_AUTHORIZED") as string });
      expect(await provision("provisioner")).toMatchObject({
        code: 0,
        stderr: expect.stringContaining("provisioned: ") as string,
      });

      running = start();
      await running.says(/ready: .+; metrics on http:\/\/127\.0\.0\.1:\d+\/metrics/);
      const [, url = ""] = /metrics on (\S+)\/metrics/.exec(running.stderr) ?? [];
      const probes = [container.startupProbe, container.readinessProbe, container.livenessProbe];
      const answers = probes.map(
        async ({ httpGet }) => `${httpGet.path} ${(await fetch(`${url}${httpGet.path}`)).status}`,
      );
      expect(await Promise.all(answers)).toEqual(["/readyz 200", "/readyz 200", "/healthz 200"]);
      const metrics = await (await fetch(`${url}/metrics`)).text();
      expect(metrics, "what the autoscalers go by").toMatch(/^godwit_processes_wanted 1$/m);
      expect(metrics, "for which the README names the role monitor").not.toMatch(/^godwit_queue_depth{/m);
      running.signal("SIGTERM");
      expect((await running.ended).code).toBe(0);
    },
  );
});
