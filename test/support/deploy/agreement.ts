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

export interface PodContainer {
  name: string;
  image: string;
  args: string[];
  env: { name: string; value: string }[];
  resources: { limits: { memory: string; cpu?: string } };
  securityContext: object;
  volumeMounts: { name: string; mountPath: string }[];
}

export interface WorkerContainer extends PodContainer {
  ports: { name: string; containerPort: number }[];
  startupProbe: Probe;
  readinessProbe: Probe;
  livenessProbe: Probe;
}

interface Pod<Container extends PodContainer> {
  automountServiceAccountToken: boolean;
  securityContext: object;
  containers: [Container];
  volumes: { name: string }[];
}

interface Template<Spec> {
  metadata: { labels: Labels };
  spec: Spec;
}

export interface Worker extends Manifest {
  spec: {
    selector: Selector;
    template: Template<
      Pod<WorkerContainer> & {
        terminationGracePeriodSeconds: number;
        topologySpreadConstraints: { labelSelector: Selector }[];
      }
    >;
  };
}

export interface Job extends Manifest {
  spec: { activeDeadlineSeconds: number; template: Template<Pod<PodContainer>> };
}

interface Target {
  apiVersion: string;
  kind: string;
  name: string;
}

export interface Manifests {
  worker: Worker;
  provision: Job;
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
export function disagreements({ worker, provision, service, pdb, hpa, keda }: Manifests): string[] {
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
  const job = provision.spec.template;
  const [jobContainer] = job.spec.containers;
  const mounts = [
    ...container.volumeMounts.map(({ name }) => ({ name, volumes })),
    ...jobContainer.volumeMounts.map(({ name }) => ({ name, volumes: job.spec.volumes })),
  ];
  return [
    ...selectors.filter(([, wanted]) => !selects(wanted, labels)).map(([whose]) => `${whose} selects no worker`),
    ...ports.filter((port) => !portNames.includes(port.split(" ").at(-1) ?? "")).map((port) => `no port is ${port}`),
    ...targets.filter(([, target]) => !isAt(worker, target)).map(([whose]) => `${whose} scales something else`),
    ...mounts
      .filter((mount) => !mount.volumes.some((volume) => volume.name === mount.name))
      .map(({ name }) => `no volume is ${name}`),
    ...selectors
      .filter(([, wanted]) => selects(wanted, job.metadata.labels))
      .map(([whose]) => `${whose} selects the Job`),
    ...(jobContainer.image === container.image ? [] : ["the Job's image is not the worker's"]),
    ...topologyFlags(container)
      .filter((flag) => !topologyFlags(jobContainer).includes(flag))
      .map((flag) => `the Job has no ${flag}`),
    ...(serversOf(jobContainer) === serversOf(container) ? [] : ["the Job's servers are not the worker's"]),
  ];
}

/** What says which streams there have to be, and the paths of the actors, who say which durables. */
const topologyFlags = ({ args }: PodContainer): string[] =>
  args.slice(1).filter((arg) => !arg.startsWith("--") || /^--(durability|replicas|placement|max-bytes)=/.test(arg));

const serversOf = ({ env }: PodContainer): string | undefined => env.find(({ name }) => name === "NATS_URL")?.value;

const selects = (wanted: Labels, labels: Labels): boolean =>
  Object.keys(wanted).length > 0 && Object.entries(wanted).every(([name, value]) => labels[name] === value);

const isAt = ({ apiVersion, kind, metadata }: Manifest, target: Target): boolean =>
  apiVersion === target.apiVersion && kind === target.kind && metadata.name === target.name;
