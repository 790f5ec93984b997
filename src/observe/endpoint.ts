/** Endpoint: `/metrics`, `/healthz` and `/readyz` over HTTP, for Prometheus and for whoever runs the process. */
import { Hono } from "hono";
import * as z from "zod";
import type { Duration } from "../kernel/duration.ts";
import { durationMs, resolveOptions } from "../kernel/options.ts";
import { loopback, startHttpServer, type HttpServer } from "./http-server.ts";
import { healthOf, readiness } from "./health.ts";
import { Metrics, metricsContentType, type MetricsSources } from "./metrics.ts";

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

export interface EndpointSources extends MetricsSources {
  /** The system was asked to close. */
  closing: () => boolean;
}

const ok = 200;
const unavailable = 503;

/** Serves what a system tells of itself, on as many ports as are asked for. */
export class Endpoint {
  readonly #sources: EndpointSources;
  /** With the health window of each, ms. */
  readonly #open = new Map<HttpServer, number>();
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
    const { port, host, healthWindow } = resolveOptions(endpointOptions, options, "options of serveMetrics()");
    const server = await startHttpServer(this.#app(healthWindow), { port, host, what: "metrics" });
    const stop = async (): Promise<void> => {
      this.#open.delete(endpoint);
      await server.stop();
    };
    const endpoint = { ...server, stop };
    this.#open.set(endpoint, healthWindow);
    return endpoint;
  }

  /** The shortest of those that are served, ms; undefined where none is. */
  get healthWindowMs(): number | undefined {
    return this.#open.size === 0 ? undefined : Math.min(...this.#open.values());
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((endpoint) => endpoint.stop()));
    this.#metrics?.close();
  }

  #app(windowMs: number): Hono {
    const { roster, connection, closing } = this.#sources;
    const app = new Hono();
    app.get("/metrics", async (c) => c.body(await this.metrics.page(), ok, { "content-type": metricsContentType }));
    app.get("/healthz", (c) => {
      const report = healthOf(roster.workers, windowMs, connection.up);
      return c.json(report, report.healthy ? ok : unavailable);
    });
    app.get("/readyz", (c) => {
      const states = [...roster.workers].map(({ state }) => state);
      const report = readiness(states, connection.up, closing());
      return c.json(report, report.ready ? ok : unavailable);
    });
    app.notFound((c) => c.text("There is /metrics, /healthz and /readyz.\n", 404));
    return app;
  }
}
