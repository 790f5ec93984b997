/** deploy/kubernetes: the values of the Helm charts for NATS and for prometheus-adapter. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nkeys } from "@nats-io/nats-core";
import { describe, expect, test } from "vitest";
import { findBinary } from "../../src/broker/embedded/binary.ts";
import { valueProblems } from "../support/deploy/chart-values.ts";
import { deployFile } from "../support/deploy/files.ts";
import { documentsOf } from "../support/deploy/kubernetes.ts";
import { accountVariables, layOutServer, natsValues } from "../support/deploy/nats-pod.ts";
import { run } from "../support/tools.ts";

const text = (file: string): string => deployFile(`kubernetes/${file}`);

test.each(["nats-values.yaml", "prometheus-adapter.yaml"] as const)("%s has only keys that its chart knows", (file) => {
  expect(documentsOf(text(file)).flatMap((values) => valueProblems(file, values))).toEqual([]);
});

const mistakes = [
  ["a misspelt key", "nats-values.yaml", "jetstream:", "jetStream:", "/config/jetStream: unknown field"],
  [
    "a key one level too high",
    "nats-values.yaml",
    "    replicas: 3",
    "  replicas: 3",
    "/config/replicas: unknown field",
  ],
  [
    "text for a number",
    "nats-values.yaml",
    "replicas: 3",
    'replicas: "3"',
    "/config/cluster/replicas: must be integer",
  ],
  [
    "a size that is none",
    "nats-values.yaml",
    "size: 50Gi",
    "size: 50GiB",
    '/config/jetstream/fileStore/pvc/size: must match pattern "^[0-9]+(m|Ki|Mi|Gi|Ti)?$"',
  ],
  [
    "a file of the Secret without its path",
    "nats-values.yaml",
    ", path: accounts.conf",
    "",
    "/podTemplate/patch/0/value/secret/items/0: must have required property 'path'",
  ],
  [
    "a variable from a Secret's key in a ConfigMap's place",
    "nats-values.yaml",
    "configMapKeyRef",
    "secretKeyRef",
    "/container/env/GODWIT_PROVISIONER/valueFrom/secretKeyRef: unknown field",
  ],
  [
    "a rule without its query",
    "prometheus-adapter.yaml",
    "metricsQuery:",
    "query:",
    "/rules/external/0: must have required property 'metricsQuery'",
  ],
] as const;

test.each(mistakes)("%s is reported", (_, file, right, wrong, problem) => {
  const broken = text(file).replace(right, wrong);
  expect(broken).not.toBe(text(file));
  expect(documentsOf(broken).flatMap((values) => valueProblems(file, values))).toContain(problem);
});

describe("nats-values.yaml", () => {
  const gibibytes = (quantity: string): number => Number(/^(\d+)Gi$/.exec(quantity)?.[1]);

  test("three servers, each on a host of its own, and one at a time taken away", () => {
    const { cluster } = natsValues.config;
    expect(cluster).toEqual({ enabled: true, replicas: 3 });
    expect(natsValues.podTemplate.topologySpreadConstraints["kubernetes.io/hostname"]).toEqual({
      maxSkew: 1,
      minDomains: cluster.replicas,
      whenUnsatisfiable: "DoNotSchedule",
    });
    expect(natsValues.podDisruptionBudget.enabled).toBe(true);
  });

  test("streams are files on a volume that is larger than they may get", () => {
    const { enabled, fileStore } = natsValues.config.jetstream;
    expect({ enabled, onDisk: fileStore.enabled }).toEqual({ enabled: true, onDisk: true });
    expect(gibibytes(fileStore.maxSize)).toBeLessThan(gibibytes(fileStore.pvc.size));
    expect(gibibytes(fileStore.maxSize)).toBeGreaterThan(10);
  });

  test("the server's memory target is below the pod's limit", () => {
    const [, mebibytes = "?"] = /^(\d+)MiB$/.exec(natsValues.container.env.GOMEMLIMIT) ?? [];
    expect(Number(mebibytes) / 1024).toBeLessThan(gibibytes(natsValues.container.resources.limits.memory));
  });

  test("a server takes the include, the store's size and the sync_interval that stands there for `strict`", async () => {
    const strict = /# merge:\n *# +sync_interval: (\w+)/.exec(text("nats-values.yaml"))?.[1];
    expect(strict).toBe("always");
    const folder = await mkdtemp(join(tmpdir(), "godwit-test-"));
    try {
      const config = await layOutServer(folder, `, "sync_interval": "${strict}"`);
      const env = Object.fromEntries(accountVariables.map((name) => [name, nkeys.createUser().getPublicKey()]));
      expect((await run(await findBinary(), ["-t", "-c", config], { env })).stderr).toContain("is valid");
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
