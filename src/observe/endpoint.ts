/** Endpoint: what a system tells of itself to Prometheus and to whoever runs the process. */
import * as z from "zod";
import type { Absences } from "../broker/absences.ts";
import type { Duration } from "../kernel/duration.ts";
import { ClosedError } from "../kernel/errors.ts";
import { durationMs, resolveOptions } from "../kernel/options.ts";
import { loopback, type HttpServer } from "./http-server.ts";
import { healthOf, readiness, type HealthReport } from "./health.ts";
import { Metrics, type MetricsSources } from "./metrics.ts";
import { serveProbes, type Probes } from "./probes.ts";

export interface EndpointOptions {
  /** 0 for any free one. Default 9464. */
  port?: number;
  /** Name or address of this host to listen on. Default `"127.0.0.1"`: nobody from elsewhere. */
  host?: string;
  /** `/healthz` fails once messages wait and nothing has arrived for so long. Default 30 s. */
  healthWindow?: Duration;
}

const endpointOptions = z.strictObject({
  port: z
    .int({ message: "must be a whole number" })
    .min(0, "must be 0 to 65535")
    .max(65_535, "must be 0 to 65535")
    .default(9_464),
  host: z.string().min(1, "must not be empty").default(loopback),
  healthWindow: durationMs(100).default(30_000),
});

function resolveEndpoint(options: EndpointOptions): { port: number; host: string; healthWindow: number } {
  return resolveOptions(endpointOptions, options, "options of serveMetrics()");
}

export interface EndpointSources extends MetricsSources {
  absences: Pick<Absences, "reasons">;
  /** The system was asked to close. */
  closing: () => boolean;
}

/** Serves what a system tells of itself, on as many ports as are asked for. */
export class Endpoint {
  readonly #sources: EndpointSources;
  /** With the health window of each, ms. */
  readonly #open = new Map<HttpServer, number>();
  #watchedMs = Infinity;
  /** Made when first asked for: it watches the event loop from then on. */
  #metrics: Metrics | undefined;

  constructor(sources: EndpointSources) {
    this.#sources = sources;
  }

  get metrics(): Metrics {
    this.#metrics ??= new Metrics(this.#sources);
    return this.#metrics;
  }

  /** Resolves once it listens. @throws ConfigError, ListenError where the port cannot be had. */
  async serve(options: EndpointOptions): Promise<HttpServer> {
    const { port, host, healthWindow } = resolveEndpoint(options);
    const server = await serveProbes(this.#probes(healthWindow), { port, host });
    if (this.#sources.closing()) {
      await server.stop();
      throw new ClosedError("system");
    }
    const stop = async (): Promise<void> => {
      this.#open.delete(endpoint);
      await server.stop();
    };
    const endpoint = { ...server, stop };
    this.#open.set(endpoint, healthWindow);
    return endpoint;
  }

  /** Somebody else tells of this system's health, its supervisor. @param windowMs as of an endpoint. */
  watch(windowMs: number): void {
    this.#watchedMs = windowMs;
  }

  /** The shortest of those that are told to anybody, ms; undefined where none is. */
  get healthWindowMs(): number | undefined {
    const shortestMs = Math.min(this.#watchedMs, ...this.#open.values());
    return shortestMs === Infinity ? undefined : shortestMs;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((endpoint) => endpoint.stop()));
    this.#metrics?.close();
  }

  /** @param windowMs for so long nothing may arrive of what waits. */
  health(windowMs: number): HealthReport {
    const { roster, connection, absences } = this.#sources;
    const unfit = connection.unfit === undefined ? [] : [connection.unfit];
    return healthOf(roster.workers, windowMs, connection.up, [...unfit, ...absences.reasons]);
  }

  #probes(windowMs: number): Probes {
    const { roster, connection, closing } = this.#sources;
    return {
      page: () => this.metrics.page(),
      health: () => this.health(windowMs),
      readiness: () =>
        readiness(
          [...roster.workers].map(({ state }) => state),
          connection.up,
          closing(),
        ),
    };
  }
}
