/** deploy/kubernetes: what the schemas of Kubernetes and KEDA say of the manifests, and that each kind of mistake is noticed. */
import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { deployFolder } from "../support/deploy/files.ts";
import { documentsOf, manifestsOf, problemsOf, type Manifest } from "../support/deploy/kubernetes.ts";

const values = ["nats-values.yaml", "prometheus-adapter.yaml"];
const files = readdirSync(`${deployFolder}kubernetes`).filter(
  (file) => file.endsWith(".yaml") && !values.includes(file),
);

test("every file but the charts' values is checked", () => {
  expect(files).toEqual(["pdb.yaml", "provision.yaml", "scale-hpa.yaml", "scale-keda.yaml", "worker.yaml"]);
});

test.each(files)("%s has no field that is unknown or of the wrong type, and none is missing", (file) => {
  const manifests = manifestsOf(file);
  expect(manifests.length).toBeGreaterThan(0);
  expect(manifests.flatMap(problemsOf)).toEqual([]);
});

/** The first manifest of a file with one mistake in it. */
function planted(file: string, right: string | RegExp, wrong: string): Manifest {
  const text = manifestText(file);
  const broken = text.replace(right, wrong);
  expect(broken).not.toBe(text);
  return documentsOf(broken)[0] as Manifest;
}

const manifestText = (file: string): string => JSON.stringify(manifestsOf(file)[0]);

const mistakes: [what: string, file: string, right: string | RegExp, wrong: string, problem: string][] = [
  [
    "a misspelt field of a container",
    "worker.yaml",
    '"livenessProbe"',
    '"livenesProbe"',
    "/spec/template/spec/containers/0/livenesProbe: unknown field",
  ],
  [
    "a field in the wrong place",
    "worker.yaml",
    '"terminationGracePeriodSeconds":40',
    '"readOnlyRootFilesystem":true',
    "/spec/template/spec/readOnlyRootFilesystem: unknown field",
  ],
  [
    "a field misspelt in its case, deep inside",
    "worker.yaml",
    '"readOnly":true',
    '"readonly":true',
    "/spec/template/spec/containers/0/volumeMounts/0/readonly: unknown field",
  ],
  [
    "a number as text",
    "worker.yaml",
    '"terminationGracePeriodSeconds":40',
    '"terminationGracePeriodSeconds":"40"',
    "/spec/template/spec/terminationGracePeriodSeconds: must be integer",
  ],
  [
    "a number where an environment variable needs text",
    "worker.yaml",
    '"--max-old-space-size=384"',
    "384",
    "/spec/template/spec/containers/0/env/3/value: must be string",
  ],
  [
    "a quantity in no unit",
    "worker.yaml",
    '"memory":"512Mi"',
    '"memory":"512Mx"',
    '/spec/template/spec/containers/0/resources/requests/memory: must match format "quantity"',
  ],
  [
    "a word that is none of the choice",
    "worker.yaml",
    "ScheduleAnyway",
    "ScheduleAnyhow",
    "/spec/template/spec/topologySpreadConstraints/0/whenUnsatisfiable: must be equal to one of the allowed values",
  ],
  [
    "a field of a Job in its pod",
    "provision.yaml",
    '"enableServiceLinks"',
    '"backoffLimit"',
    "/spec/template/spec/backoffLimit: unknown field",
  ],
  [
    "no selector",
    "worker.yaml",
    /"selector":\{"matchLabels":\{[^}]*\}\},/,
    "",
    "/spec: must have required property selector",
  ],
  [
    "a version of the API that is gone",
    "pdb.yaml",
    "policy/v1",
    "policy/v1beta1",
    "/: there is no PodDisruptionBudget of policy/v1beta1",
  ],
  [
    "a version that never was",
    "scale-hpa.yaml",
    "autoscaling/v2",
    "autoscaling/v4",
    "/: there is no HorizontalPodAutoscaler of autoscaling/v4",
  ],
  ["no maximum", "scale-hpa.yaml", '"maxReplicas":16,', "", "/spec: must have required property maxReplicas"],
  [
    "the HPA's word in KEDA's object",
    "scale-keda.yaml",
    '"minReplicaCount"',
    '"minReplicas"',
    "/spec/minReplicas: unknown field",
  ],
  [
    "a threshold that is no text",
    "scale-keda.yaml",
    '"threshold":"1"',
    '"threshold":1',
    "/spec/triggers/0/metadata/threshold: must be string",
  ],
  [
    "a fallback that KEDA does not have",
    "scale-keda.yaml",
    "currentReplicasIfHigher",
    "keepHigher",
    "/spec/fallback/behavior: must be equal to one of the allowed values",
  ],
  [
    "a policy with a misspelt field",
    "scale-keda.yaml",
    '"periodSeconds":60',
    '"periodSeconds":60,"period":60',
    "/spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleDown/policies/0/period: unknown field",
  ],
];

test.each(mistakes)("%s is reported", (_, file, right, wrong, problem) => {
  expect(problemsOf(planted(file, right, wrong))).toContain(problem);
});

test("a key that is there twice is refused, since one of the two would be lost without a word", () => {
  expect(() => documentsOf("spec:\n  replicas: 1\n  replicas: 2\n")).toThrow("Map keys must be unique");
});
