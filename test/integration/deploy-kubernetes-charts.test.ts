/** deploy/kubernetes: the values of the Helm charts for NATS and for prometheus-adapter. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findBinary } from "../../src/broker/embedded/binary.ts";
import { valueProblems } from "../support/deploy/chart-values.ts";
import { deployFile } from "../support/deploy/files.ts";
import { documentsOf } from "../support/deploy/kubernetes.ts";
import { run } from "../support/tools.ts";

interface NatsValues {
  config: {
    cluster: { enabled: boolean; replicas: number };
    jetstream: { enabled: boolean; fileStore: { enabled: boolean; maxSize: string; pvc: { size: string } } };
    merge: { $include: string };
  };
  container: {
    env: { GOMEMLIMIT: string };
    resources: { limits: { memory: string } };
    patch: { value: { name: string; mountPath: string } }[];
  };
  podTemplate: {
    topologySpreadConstraints: Record<string, { whenUnsatisfiable: string; minDomains?: number }>;
    patch: { value: { name: string } }[];
  };
  podDisruptionBudget: { enabled: boolean };
}

const text = (file: string): string => deployFile(`kubernetes/${file}`);
const nats = documentsOf(text("nats-values.yaml"))[0] as NatsValues;

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
    const { cluster } = nats.config;
    expect(cluster).toEqual({ enabled: true, replicas: 3 });
    expect(nats.podTemplate.topologySpreadConstraints["kubernetes.io/hostname"]).toEqual({
      maxSkew: 1,
      minDomains: cluster.replicas,
      whenUnsatisfiable: "DoNotSchedule",
    });
    expect(nats.podDisruptionBudget.enabled).toBe(true);
  });

  test("streams are files on a volume that is larger than they may get", () => {
    const { enabled, fileStore } = nats.config.jetstream;
    expect({ enabled, onDisk: fileStore.enabled }).toEqual({ enabled: true, onDisk: true });
    expect(gibibytes(fileStore.maxSize)).toBeLessThan(gibibytes(fileStore.pvc.size));
    expect(gibibytes(fileStore.maxSize)).toBeGreaterThan(10);
  });

  test("the server's memory target is below the pod's limit", () => {
    const [, mebibytes = "?"] = /^(\d+)MiB$/.exec(nats.container.env.GOMEMLIMIT) ?? [];
    expect(Number(mebibytes) / 1024).toBeLessThan(gibibytes(nats.container.resources.limits.memory));
  });

  test("the accounts are mounted where the config includes them from", () => {
    const [mount] = nats.container.patch;
    const [volume] = nats.podTemplate.patch;
    expect(mount?.value.name).toBe(volume?.value.name);
    expect(join("/etc/nats-config", nats.config.merge.$include)).toBe(`${mount?.value.mountPath}/accounts.conf`);
  });

  test("a server takes the include, the store's size and the sync_interval that stands there for `strict`", async () => {
    const strict = /# merge:\n *# +sync_interval: (\w+)/.exec(text("nats-values.yaml"))?.[1];
    expect(strict).toBe("always");
    const folder = await mkdtemp(join(tmpdir(), "godwit-test-"));
    try {
      await Promise.all([mkdir(join(folder, "nats-config")), mkdir(join(folder, "nats-accounts"))]);
      await writeFile(
        join(folder, "nats-accounts/accounts.conf"),
        "accounts { A { jetstream: enabled, users: [ { user: a, password: b } ] } }",
      );
      // As the chart writes it: strings as JSON, what has a unit bare.
      const config = join(folder, "nats-config/nats.conf");
      const { $include } = nats.config.merge;
      const { maxSize } = nats.config.jetstream.fileStore;
      await writeFile(
        config,
        `{ include ${$include};\n"jetstream": { "store_dir": "${folder}", "max_file_store": ${maxSize}, "sync_interval": "${strict}" } }`,
      );
      expect((await run(await findBinary(), ["-t", "-c", config])).stderr).toContain("is valid");
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
