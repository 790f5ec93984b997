/** Kubernetes manifests and what is wrong with them, by the schemas of Kubernetes and KEDA, which come as packages: nothing is asked of a cluster. */
import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { HorizontalPodAutoscaler } from "kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler";
import { Job } from "kubernetes-models/batch/v1/Job";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import { Service } from "kubernetes-models/v1/Service";
import { parseAllDocuments } from "yaml";
import { deployFile } from "./files.ts";

/** A manifest as it was written. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels?: Record<string, string> };
  [field: string]: unknown;
}

interface Checkable {
  validate(): void;
}

/** By apiVersion and kind, as far as deploy/ uses them. */
const models = new Map<string, (manifest: object) => Checkable>([
  ["v1 Service", (manifest) => new Service(manifest)],
  ["apps/v1 Deployment", (manifest) => new Deployment(manifest)],
  ["batch/v1 Job", (manifest) => new Job(manifest)],
  ["policy/v1 PodDisruptionBudget", (manifest) => new PodDisruptionBudget(manifest)],
  ["autoscaling/v2 HorizontalPodAutoscaler", (manifest) => new HorizontalPodAutoscaler(manifest as never)],
  ["keda.sh/v1alpha1 ScaledObject", (manifest) => new ScaledObject(manifest as never)],
]);

/** @throws Error for what is no YAML, with a key that is there twice among it. */
export function documentsOf(text: string): unknown[] {
  return parseAllDocuments(text, { uniqueKeys: true }).map((document) => {
    const [error] = [...document.errors, ...document.warnings];
    if (error !== undefined) throw error;
    return document.toJS() as unknown;
  });
}

/** The manifests of a file in deploy/kubernetes. */
export function manifestsOf(file: string): Manifest[] {
  return documentsOf(deployFile(`kubernetes/${file}`)) as Manifest[];
}

/**
 * What is wrong with a manifest, each as `<path>: <what>`; empty where nothing is. Unknown fields too: a validator reads every
 * field that its schema has, so one that it left unread is not of the schema.
 */
export function problemsOf(manifest: Manifest): string[] {
  const model = models.get(`${manifest.apiVersion} ${manifest.kind}`)?.(manifest);
  if (model === undefined) return [`/: there is no ${manifest.kind} of ${manifest.apiVersion}`];
  const unread = new Set<string>();
  const wrong: string[] = [];
  try {
    watched(model, "", unread).validate();
  } catch (error) {
    if (!isInvalid(error)) throw error;
    wrong.push(...error.errors.map(({ instancePath, message }) => `${instancePath || "/"}: ${message}`));
  }
  return [...wrong, ...[...unread].map((path) => `${path}: unknown field`)];
}

interface Invalid {
  errors: { instancePath: string; message: string }[];
}

function isInvalid(error: unknown): error is Invalid {
  return error instanceof Error && "errors" in error && Array.isArray(error.errors);
}

/** The value, with the paths of all that is in it in `unread` until somebody reads them. */
function watched<T extends object>(value: T, path: string, unread: Set<string>): T {
  const inside = new Map<string, unknown>();
  for (const [key, below] of Object.entries(value)) {
    const at = `${path}/${key}`;
    unread.add(at);
    inside.set(key, typeof below === "object" && below !== null ? watched(below as object, at, unread) : below);
  }
  return new Proxy(value, {
    get(target, key): unknown {
      if (typeof key === "symbol" || !inside.has(key)) return Reflect.get(target, key);
      unread.delete(`${path}/${key}`);
      return inside.get(key);
    },
  });
}
