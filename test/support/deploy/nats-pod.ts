/** What deploy/kubernetes/nats-values.yaml and the README's commands give to a server's container: its environment, and its files as Kubernetes lays them out. */
import { readdirSync, statSync } from "node:fs";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { deployFile, deployFolder } from "./files.ts";
import { documentsOf } from "./kubernetes.ts";

export interface KeyRef {
  valueFrom: { configMapKeyRef: { name: string; key: string } };
}

export interface NatsValues {
  config: {
    cluster: { enabled: boolean; replicas: number };
    jetstream: { enabled: boolean; fileStore: { enabled: boolean; maxSize: string; pvc: { size: string } } };
    merge: { $include: string };
  };
  container: {
    env: { GOMEMLIMIT: string } & Record<string, string | KeyRef>;
    resources: { limits: { memory: string } };
    patch: [{ value: { name: string; mountPath: string } }];
  };
  podTemplate: {
    topologySpreadConstraints: Record<string, { whenUnsatisfiable: string; minDomains?: number }>;
    patch: [{ value: { name: string; secret: { secretName: string; items: { key: string; path: string }[] } } }];
  };
  podDisruptionBudget: { enabled: boolean };
}

export const natsValues = documentsOf(deployFile("kubernetes/nats-values.yaml"))[0] as NatsValues;

const commands = deployFile("README.md").replaceAll("\\\n", "").split("\n");

/** Each `--from-…=` of the README's one command that makes this Secret or ConfigMap. */
function sources(what: string, name: string, from: string): string[] {
  const making = commands.filter((command) => command.startsWith(`kubectl create ${what} ${name} `));
  if (making.length !== 1) throw new Error(`the README makes the ${what} ${name} ${making.length} times`);
  return making
    .flatMap((command) => [...command.matchAll(/ --from-([\w-]+)=(\S+)/g)])
    .map(([, kind, source = ""]) => {
      if (kind !== from) throw new Error(`the ${what} ${name} takes --from-${kind}`);
      return source;
    });
}

/** The keys that the README gives to a ConfigMap. */
export function configMapKeys(name: string): string[] {
  return sources("configmap", name, "literal").map((source) => source.slice(0, source.indexOf("=")));
}

/** The keys that the README gives to a Secret, and the paths of their files as seen from deploy/kubernetes; of a folder, each file in it. */
export function secretKeys(name: string): Map<string, string> {
  const paths = sources("secret generic", name, "file").flatMap((source) => {
    const isFolder = statSync(join(deployFolder, "kubernetes", source), { throwIfNoEntry: false })?.isDirectory();
    return isFolder ? readdirSync(join(deployFolder, "kubernetes", source)).map((file) => join(source, file)) : source;
  });
  return new Map(paths.map((path) => [basename(path), path]));
}

/** The names of what accounts.conf takes from its environment. */
export const accountVariables = [...deployFile("nats/accounts.conf").matchAll(/\$(GODWIT_\w+)/g)].map(
  ([, name = ""]) => name,
);

/**
 * Lays out the mounted Secret, and beside it the server's config as the chart writes it: strings as JSON, what has a unit bare.
 * @param root stands for `/etc`.
 * @param jetstream more of the block of that name.
 * @returns the path of the config.
 */
export async function layOutServer(root: string, jetstream = ""): Promise<string> {
  const { config, container, podTemplate } = natsValues;
  const { secretName, items } = podTemplate.patch[0].value.secret;
  const keys = secretKeys(secretName);
  const mounted = join(root, container.patch[0].value.mountPath.replace(/^\/etc\//, ""));
  for (const { key, path } of items) {
    await mkdir(dirname(join(mounted, path)), { recursive: true });
    await copyFile(join(deployFolder, "kubernetes", keys.get(key) ?? `no key ${key}`), join(mounted, path));
  }
  const file = join(root, "nats-config/nats.conf");
  await mkdir(dirname(file));
  const storage = `"store_dir": "${root}", "max_file_store": ${config.jetstream.fileStore.maxSize}${jetstream}`;
  await writeFile(file, `{ include ${config.merge.$include};\n"jetstream": { ${storage} } }`);
  return file;
}
