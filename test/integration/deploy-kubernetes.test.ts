/** deploy/kubernetes: that the manifests agree with each other, with the rest of deploy/ and with what a worker does. */
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { toMs } from "../../src/kernel/duration.ts";
import { metricTable, type MetricSpec } from "../../src/observe/metric-table.ts";
import { inProcess } from "../support/cli/in-process.ts";
import { godwit } from "../support/cli/run.ts";
import { disagreements, type Manifests } from "../support/deploy/agreement.ts";
import { deployFile, deployFolder } from "../support/deploy/files.ts";
import { documentsOf, manifestsOf } from "../support/deploy/kubernetes.ts";
import { natsValues } from "../support/deploy/nats-pod.ts";
import { missingTool, run } from "../support/tools.ts";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const [worker, service] = manifestsOf("worker.yaml");
const [provision] = manifestsOf("provision.yaml");
const [pdb] = manifestsOf("pdb.yaml");
const [hpa] = manifestsOf("scale-hpa.yaml");
const [keda] = manifestsOf("scale-keda.yaml");
const manifests = { worker, provision, service, pdb, hpa, keda } as unknown as Manifests;
const pod = manifests.worker.spec.template.spec;
const jobPod = manifests.provision.spec.template.spec;
const [container] = pod.containers;
const env = new Map(container.env.map(({ name, value }) => [name, value]));
const [scrapeConfig] = documentsOf(deployFile("kubernetes/prometheus-scrape.yml")) as [
  { scrape_configs: [{ job_name: string; dns_sd_configs: [{ names: [string]; port: number }] }] },
];
const [job] = scrapeConfig.scrape_configs;

/** The value of a flag as `--name=value`. */
function flag(name: string): string {
  const all = container.args.filter((arg) => arg.startsWith(`--${name}=`));
  expect(all).toHaveLength(1);
  return all[0]?.slice(`--${name}=`.length) ?? "";
}

describe("the manifests agree with each other", () => {
  test("selectors, ports, targets and volumes", () => {
    expect(disagreements(manifests)).toEqual([]);
  });

  const mistakes: [what: string, plant: (wrong: Manifests) => void, said: string[]][] = [
    [
      "a label of the pod that no selector knows",
      ({ worker: { spec } }) => (spec.template.metadata.labels = { "app.kubernetes.io/name": "worker" }),
      [
        "the Deployment selects no worker",
        "the Service selects no worker",
        "the PodDisruptionBudget selects no worker",
        "the spread selects no worker",
      ],
    ],
    [
      "a selector that says nothing",
      (wrong) => (wrong.pdb.spec.selector.matchLabels = {}),
      ["the PodDisruptionBudget selects no worker"],
    ],
    [
      "a probe of a port that is not there",
      ({ worker: { spec } }) => (spec.template.spec.containers[0].livenessProbe.httpGet.port = "http"),
      ["no port is a probe's http"],
    ],
    [
      "an autoscaler of another Deployment",
      (wrong) => (wrong.keda.spec.scaleTargetRef.name = "worker"),
      ["the ScaledObject scales something else"],
    ],
    [
      "a Job that is taken for a worker",
      ({ provision: { spec }, worker }) => (spec.template.metadata.labels = worker.spec.template.metadata.labels),
      [
        "the Deployment selects the Job",
        "the Service selects the Job",
        "the PodDisruptionBudget selects the Job",
        "the spread selects the Job",
      ],
    ],
    [
      "a Job of another image",
      ({ provision: { spec } }) => (spec.template.spec.containers[0].image = "godwit:0.9.0"),
      ["the Job's image is not the worker's"],
    ],
    [
      "a Job that makes other streams, for other actors",
      ({ provision: { spec } }) => (spec.template.spec.containers[0].args = ["provision", "actors"]),
      ["the Job has no dist/actors", "the Job has no --durability=replicated"],
    ],
    [
      "a Job at other servers",
      ({ provision: { spec } }) => (spec.template.spec.containers[0].env = []),
      ["the Job's servers are not the worker's"],
    ],
    ["a mount without its volume", ({ worker: { spec } }) => (spec.template.spec.volumes = []), ["no volume is nats"]],
  ];
  test.each(mistakes)("%s is reported", (_, plant, said) => {
    const wrong = structuredClone(manifests);
    plant(wrong);
    expect(disagreements(wrong)).toEqual(said);
  });

  test("both autoscalers do the same, and never leave nobody to tell the metric", () => {
    const { minReplicaCount, maxReplicaCount, advanced } = manifests.keda.spec;
    const { minReplicas, maxReplicas, behavior } = manifests.hpa.spec;
    expect({ min: minReplicas, max: maxReplicas, behavior }).toEqual({
      min: minReplicaCount,
      max: maxReplicaCount,
      behavior: advanced.horizontalPodAutoscalerConfig.behavior,
    });
    expect(minReplicas).toBeGreaterThanOrEqual(1);
  });

  test("no number of workers stands in the Deployment, which would fight with the autoscaler's", () => {
    expect(manifests.worker.spec).not.toHaveProperty("replicas");
  });
});

describe("the worker's pod", () => {
  test("has longer to end than the worker takes to drain", () => {
    expect(pod.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(toMs(flag("grace"), "--grace"));
  });

  test("serves on the port that the container, the Service and Prometheus name", () => {
    const port = Number(flag("metrics-port"));
    expect([container.ports[0]?.containerPort, manifests.service.spec.ports[0]?.port]).toEqual([port, port]);
    expect(job.dns_sd_configs[0].port).toBe(port);
    expect(deployFile("Dockerfile")).toContain(`EXPOSE ${port}`);
  });

  test("knows each of the chart's servers by its name", () => {
    const servers = Array.from(
      { length: natsValues.config.cluster.replicas },
      (_, n) => `nats://nats-${n}.nats-headless:4222`,
    );
    expect(env.get("NATS_URL")?.split(",")).toEqual(servers);
    expect(flag("durability")).toBe("replicated");
    expect(flag("provision"), "a worker has no right to make what is missing").toBe("check");
  });

  test("has a heap that leaves a quarter of its memory to everything else", () => {
    const [, limitMebibytes = "?"] = /^(\d+)Mi$/.exec(container.resources.limits.memory) ?? [];
    const [, heapMebibytes = "?"] = /^--max-old-space-size=(\d+)$/.exec(env.get("NODE_OPTIONS") ?? "") ?? [];
    expect(Number(heapMebibytes)).toBe(Number(limitMebibytes) * 0.75);
    expect(container.resources.limits).not.toHaveProperty("cpu");
  });

  test("may do nothing that it does not need, and no more may the Job's", () => {
    for (const { automountServiceAccountToken, securityContext, containers } of [pod, jobPod]) {
      expect(automountServiceAccountToken).toBe(false);
      expect(securityContext).toEqual({
        runAsNonRoot: true,
        runAsUser: 1000,
        runAsGroup: 1000,
        fsGroup: 1000,
        seccompProfile: { type: "RuntimeDefault" },
      });
      expect(containers[0].securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
    }
  });
});

describe.each([
  ["worker", container],
  ["provision", jobPod.containers[0]],
])("the command godwit %s", (command, { args, env: given }) => {
  test("reads the environment that it is given", async () => {
    const { stdout } = await inProcess([command, "--help"], { cwd: repository });
    const read = [...stdout.matchAll(/env:\s+(NATS_\w+)/g)].map(([, name]) => name);
    const names = given.map(({ name }) => name).filter((name) => name !== "NODE_OPTIONS");
    expect(names.filter((name) => !read.includes(name))).toEqual([]);
  });

  test("is one that godwit takes as it is: all that is missing is a server", async () => {
    const { stderr } = await godwit(args, { cwd: repository, env: { NATS_URL: "nats://127.0.0.1:1" } });
    expect(stderr).toContain("NO_SERVER");
  });
});

describe("Prometheus and the autoscalers", () => {
  const text = { keda: deployFile("kubernetes/scale-keda.yaml"), hpa: deployFile("kubernetes/scale-hpa.yaml") };

  test("the job has the name that the autoscalers ask for, and that rules know workers by", () => {
    expect(text.keda).toContain(`query: max(godwit_processes_wanted{job="${job.job_name}"})`);
    expect(text.hpa).toContain(`job: ${job.job_name}`);
    expect(deployFile("prometheus/rules.yml")).toContain('up{job=~"godwit.*"}');
    expect(job.job_name).toMatch(/^godwit/);
  });

  test("the metric is one that a worker has, and tells once", () => {
    const metrics = new Map<string, MetricSpec>(Object.entries(metricTable));
    expect(metrics.get("godwit_processes_wanted")).toMatchObject({ type: "gauge", labels: [] });
  });

  test("the job finds the pods by the Service", () => {
    expect(job.dns_sd_configs[0].names[0]).toBe(`${manifests.service.metadata.name}.default.svc.cluster.local`);
    expect(manifests.service.spec).toMatchObject({ clusterIP: "None", publishNotReadyAddresses: true });
  });

  test("the adapter offers the metric that the HPA asks for", () => {
    const adapter = deployFile("kubernetes/prometheus-adapter.yaml");
    const [, offered = "?"] = /seriesQuery: (\w+)/.exec(adapter) ?? [];
    expect(text.hpa).toContain(`name: ${offered}\n`);
    expect(adapter).toContain("metricsQuery: max(");
  });

  test("KEDA's trigger has only fields that its scaler for Prometheus reads, which the schema does not know", () => {
    const [, trigger = ""] = /^ {6}metadata:\n([^]+)/m.exec(text.keda) ?? [];
    const fields = [...trigger.matchAll(/^ {8}(\w+):/gm)].map(([, field]) => field);
    expect(fields).toEqual(["serverAddress", "query", "threshold", "ignoreNullValues"]);
  });

  const withoutPromtool = missingTool("promtool", "prometheus");
  test.skipIf(withoutPromtool !== undefined)("promtool finds nothing wrong with the job", async () => {
    const { stdout } = await run("promtool", ["check", "config", `${deployFolder}kubernetes/prometheus-scrape.yml`]);
    expect(stdout).toContain("is valid prometheus config file syntax");
  });
});

test("the README names every file, and each file that it names is there", () => {
  const readme = deployFile("README.md");
  const named = [...readme.matchAll(/`(kubernetes\/[\w.-]+)`/g)].map(([, path = ""]) => path);
  expect(named.filter((path) => !existsSync(`${deployFolder}${path}`))).toEqual([]);
  const there = readdirSync(`${deployFolder}kubernetes`).map((file) => `kubernetes/${file}`);
  expect(there.filter((path) => !named.includes(path))).toEqual([]);
});
