/** Metrics of a process as data, and those of several put together, as prom-client does for the processes of a cluster. */
import { AggregatorRegistry, Registry, type Metric } from "prom-client";
import { metricTable, type MetricName, type MetricSpec } from "./metric-table.ts";
import type { Sample, Samples } from "./samples.ts";

/** How a page is to be announced: `text/plain; version=0.0.4; charset=utf-8`. */
export const metricsContentType: string = Registry.PROMETHEUS_CONTENT_TYPE;

export interface MetricSnapshot {
  name: string;
  help: string;
  type: string;
  /** How those of several processes become one. */
  aggregator: "sum" | "max" | "min";
  values: Sample[];
}

export type MetricsSnapshot = MetricSnapshot[];

/** Of the metrics that there are samples of. */
export function snapshotOf(samples: Partial<Samples>): MetricsSnapshot {
  return (Object.keys(samples) as MetricName[]).map((name) => {
    const { help, type, together }: MetricSpec = metricTable[name];
    return { name, help, type, aggregator: together ?? "sum", values: samples[name] ?? [] };
  });
}

/** In the Prometheus text format. */
export async function pageOf(snapshots: readonly MetricsSnapshot[]): Promise<string> {
  return merged(snapshots).metrics();
}

/** What stays of processes that have ended: what they counted. What they measured last is true no more. */
export async function pastOf(snapshots: readonly MetricsSnapshot[]): Promise<MetricsSnapshot> {
  const counts = snapshots.map((metrics) =>
    metrics
      .filter(({ type }) => type !== "gauge")
      .map((metric) => ({ ...metric, values: metric.values.filter(({ labels }) => !("quantile" in labels)) })),
  );
  // The library's declarations take its own objects alone; of what it reads there is no more than this.
  return (await merged(counts).getMetricsAsJSON()) as object[] as MetricsSnapshot;
}

function merged(snapshots: readonly MetricsSnapshot[]): AggregatorRegistry<"text/plain; version=0.0.4; charset=utf-8"> {
  return AggregatorRegistry.aggregate(
    snapshots as object as Metric[],
  ) as AggregatorRegistry<"text/plain; version=0.0.4; charset=utf-8">;
}
