/**
 * What the values of a Helm chart may hold, as JSON Schema: only the keys that deploy/kubernetes uses, since the charts bring
 * no schema, and Helm drops a key that it does not know without a word.
 */
import { Ajv } from "ajv";

const text = { type: "string" };
const count = { type: "integer", minimum: 1 };
const bool = { type: "boolean" };
const quantity = { type: "string", pattern: "^[0-9]+(m|Ki|Mi|Gi|Ti)?$" };
const shape = (properties: Record<string, object>, required: string[] = []): object => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});

const computeResources = shape({ cpu: quantity, memory: quantity });
const list = (items: object): object => ({ type: "array", minItems: 1, items });
const add = (path: string, value: object): object =>
  list(shape({ op: { const: "add" }, path: { const: path }, value }, ["op", "path", "value"]));
const mounts = add("/volumeMounts/-", shape({ name: text, mountPath: text, readOnly: bool }, ["name", "mountPath"]));
const item = shape({ key: text, path: text }, ["key", "path"]);
const secret = shape({ secretName: text, items: list(item) }, ["secretName"]);
const volumes = add("/spec/volumes/-", shape({ name: text, secret }, ["name", "secret"]));
const keyRef = shape({ name: text, key: text }, ["name", "key"]);
const fromElsewhere = shape({ valueFrom: shape({ configMapKeyRef: keyRef }, ["configMapKeyRef"]) }, ["valueFrom"]);
const spread = shape(
  { maxSkew: count, minDomains: count, whenUnsatisfiable: { enum: ["DoNotSchedule", "ScheduleAnyway"] } },
  ["maxSkew", "whenUnsatisfiable"],
);

/** Read from the chart nats 2.14.2 of github.com/nats-io/k8s. `merge` and `patch` go into what the chart renders: servers' config, and pods. */
const nats = shape(
  {
    config: shape({
      cluster: shape({ enabled: bool, replicas: count }),
      jetstream: shape({
        enabled: bool,
        fileStore: shape({
          enabled: bool,
          maxSize: quantity,
          pvc: shape({ enabled: bool, size: quantity, storageClassName: text }),
        }),
        merge: shape({ sync_interval: text }),
      }),
      monitor: shape({ enabled: bool }),
      merge: shape({ $include: text }),
    }),
    container: shape({
      env: {
        type: "object",
        properties: { GOMEMLIMIT: text },
        additionalProperties: fromElsewhere,
      },
      resources: shape({ requests: computeResources, limits: computeResources }),
      patch: mounts,
    }),
    podTemplate: shape({
      topologySpreadConstraints: { type: "object", additionalProperties: spread },
      patch: volumes,
    }),
    podDisruptionBudget: shape({ enabled: bool }),
  },
  ["config"],
);

/** Read from the chart prometheus-adapter 5.3.0 of github.com/prometheus-community/helm-charts; a rule's fields from the adapter's own docs. */
const prometheusAdapter = shape(
  {
    prometheus: shape({ url: text, port: count }, ["url", "port"]),
    rules: shape({
      external: {
        type: "array",
        items: shape({ seriesQuery: text, metricsQuery: text, resources: shape({ namespaced: bool }) }, [
          "seriesQuery",
          "metricsQuery",
        ]),
      },
    }),
  },
  ["prometheus", "rules"],
);

const ajv = new Ajv({ allErrors: true });
const validators = { "nats-values.yaml": ajv.compile(nats), "prometheus-adapter.yaml": ajv.compile(prometheusAdapter) };

/** What is wrong with a chart's values, each as `<path>: <what>`; empty where nothing is. */
export function valueProblems(file: keyof typeof validators, values: unknown): string[] {
  const validate = validators[file];
  if (validate(values)) return [];
  return (validate.errors ?? []).map(({ instancePath, message, params }) => {
    const { additionalProperty: unknown } = params as { additionalProperty?: string };
    return unknown === undefined ? `${instancePath || "/"}: ${message}` : `${instancePath}/${unknown}: unknown field`;
  });
}
