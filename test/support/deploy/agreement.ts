/** What the manifests of deploy/kubernetes say of one another, and where that does not fit; no schema sees it. */
import type { Manifest } from "./kubernetes.ts";

type Labels = Record<string, string>;
interface Selector {
  matchLabels: Labels;
}

export interface Probe {
  httpGet: { path: string; port: string };
  periodSeconds: number;
  failureThreshold?: number;
}

export interface Container {
  name: string;
  args: string[];
  env: { name: string; value: string }[];
  ports: { name: string; containerPort: number }[];
  startupProbe: Probe;
  readinessProbe: Probe;
  livenessProbe: Probe;
  resources: { limits: { memory: string; cpu?: string } };
  securityContext: object;
  volumeMounts: { name: string; mountPath: string }[];
}

export interface Worker extends Manifest {
  spec: {
    selector: Selector;
    template: {
      metadata: { labels: Labels };
      spec: {
        terminationGracePeriodSeconds: number;
        securityContext: object;
        topologySpreadConstraints: { labelSelector: Selector }[];
        containers: [Container];
        volumes: { name: string }[];
      };
    };
  };
}

interface Target {
  apiVersion: string;
  kind: string;
  name: string;
}

export interface Manifests {
  worker: Worker;
  service: Manifest & { spec: { selector: Labels; ports: { port: number; targetPort: string }[] } };
  pdb: Manifest & { spec: { selector: Selector } };
  hpa: Manifest & { spec: { scaleTargetRef: Target; minReplicas: number; maxReplicas: number; behavior: object } };
  keda: Manifest & {
    spec: {
      scaleTargetRef: Target;
      minReplicaCount: number;
      maxReplicaCount: number;
      advanced: { horizontalPodAutoscalerConfig: { behavior: object } };
    };
  };
}

/** Each as a sentence; empty where all fits. */
export function disagreements({ worker, service, pdb, hpa, keda }: Manifests): string[] {
  const { selector, template } = worker.spec;
  const { labels } = template.metadata;
  const { containers, volumes, topologySpreadConstraints } = template.spec;
  const [container] = containers;
  const portNames = container.ports.map(({ name }) => name);
  const probes = [container.startupProbe, container.readinessProbe, container.livenessProbe];
  const selectors: [string, Labels][] = [
    ["the Deployment", selector.matchLabels],
    ["the Service", service.spec.selector],
    ["the PodDisruptionBudget", pdb.spec.selector.matchLabels],
    ...topologySpreadConstraints.map(({ labelSelector }): [string, Labels] => [
      "the spread",
      labelSelector.matchLabels,
    ]),
  ];
  const ports = [
    ...probes.map(({ httpGet }) => `a probe's ${httpGet.port}`),
    ...service.spec.ports.map(({ targetPort }) => `the Service's ${targetPort}`),
  ];
  const targets: [string, Target][] = [
    ["the HorizontalPodAutoscaler", hpa.spec.scaleTargetRef],
    ["the ScaledObject", keda.spec.scaleTargetRef],
  ];
  return [
    ...selectors.filter(([, wanted]) => !selects(wanted, labels)).map(([whose]) => `${whose} selects no worker`),
    ...ports.filter((port) => !portNames.includes(port.split(" ").at(-1) ?? "")).map((port) => `no port is ${port}`),
    ...targets.filter(([, target]) => !isAt(worker, target)).map(([whose]) => `${whose} scales something else`),
    ...container.volumeMounts
      .filter(({ name }) => !volumes.some((volume) => volume.name === name))
      .map(({ name }) => `no volume is ${name}`),
  ];
}

const selects = (wanted: Labels, labels: Labels): boolean =>
  Object.keys(wanted).length > 0 && Object.entries(wanted).every(([name, value]) => labels[name] === value);

const isAt = ({ apiVersion, kind, metadata }: Manifest, target: Target): boolean =>
  apiVersion === target.apiVersion && kind === target.kind && metadata.name === target.name;
