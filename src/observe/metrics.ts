/**
 * Metrics: the page that Prometheus scrapes.
 * 1. Nothing is done for a message: values are read off the tallies when somebody asks.
 * 2. A registry of its own, made from the table; nothing global.
 */
import { Gauge, Registry } from "prom-client";
import type { PublishTally } from "../broker/publish-tally.ts";
import type { GuardRegistry } from "../guard/registry.ts";
import { LoopLagWatch } from "../worker/loop-lag.ts";
import { memoryUse } from "../worker/snapshot.ts";
import type { Worker } from "../worker/worker.ts";
import { BacklogCache, type BacklogSources } from "./backlog-cache.ts";
import type { DemandOptions } from "./demand.ts";
import { DemandWatch } from "./demand-watch.ts";
import { loadOf } from "./load.ts";
import { metricTable, type MetricName, type MetricSpec } from "./metric-table.ts";
import { snapshotOf, type MetricsSnapshot } from "./metrics-snapshot.ts";
import type { Roster } from "./roster.ts";
import { samplesOf, type Sample, type Samples } from "./samples.ts";

export interface MetricsSources extends Omit<BacklogSources, "durables"> {
  roster: Roster;
  guards: Pick<GuardRegistry, "snapshot">;
  /** Undefined where no histograms are kept. */
  publishing: PublishTally | undefined;
  demand: DemandOptions;
}

/** One metric of any type, whose values come from elsewhere. */
class Family extends Gauge {
  readonly type: MetricSpec["type"];
  readonly #samples: () => Sample[];

  constructor(name: MetricName, samples: () => Sample[]) {
    const { help, labels, type } = metricTable[name];
    super({ name, help, labelNames: [...labels], registers: [] });
    this.type = type;
    this.#samples = samples;
  }

  override async get() {
    const values = this.#samples();
    return { ...(await super.get()), values };
  }
}

export class Metrics {
  readonly #sources: MetricsSources;
  readonly #registry = new Registry();
  readonly #backlogs: BacklogCache;
  readonly #demand: DemandWatch;
  readonly #loop = new LoopLagWatch();
  #samples: Samples | undefined;

  constructor(sources: MetricsSources) {
    this.#sources = sources;
    this.#backlogs = new BacklogCache({ ...sources, durables: () => durablesOf(sources.roster.workers) });
    this.#demand = new DemandWatch(sources.demand);
    for (const name of Object.keys(metricTable) as MetricName[]) {
      this.#registry.registerMetric(new Family(name, () => this.#samples?.[name] ?? []));
    }
    this.#loop.start();
  }

  /** In the Prometheus text format. Never rejects because the server is away. */
  async page(): Promise<string> {
    await this.#look();
    return this.#registry.metrics();
  }

  /** The same as data, for one who puts those of several processes together. */
  async snapshot(): Promise<MetricsSnapshot> {
    await this.#look();
    return snapshotOf(this.#samples ?? {});
  }

  async #look(): Promise<void> {
    const { roster, guards, publishing, connection } = this.#sources;
    const { backlogs, queues } = await this.#backlogs.get();
    // Every family reads them before the first of them waits for anything.
    this.#samples = samplesOf({
      workers: roster.facts(),
      backlogs,
      demand: this.#demand.look([loadOf(roster)], queues),
      guards: guards.snapshot(),
      published: publishing?.snapshot(),
      connectionUp: connection.up,
      memory: memoryUse(),
      loop: this.#loop.take(),
    });
  }

  close(): void {
    this.#loop.stop();
  }
}

function durablesOf(workers: Iterable<Worker>): ReturnType<BacklogSources["durables"]> {
  return new Map(
    [...workers].flatMap((worker) => [...worker.looks()].map(([actor, { durables }]) => [actor, durables])),
  );
}
