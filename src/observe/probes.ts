/** Probes: `/metrics`, `/healthz` and `/readyz` over HTTP, whoever answers them. */
import { Hono } from "hono";
import * as z from "zod";
import type { Duration } from "../kernel/duration.ts";
import { durationMs, resolveOptions } from "../kernel/options.ts";
import type { HealthReport, ReadyReport } from "./health.ts";
import { loopback, startHttpServer, type HttpServer } from "./http-server.ts";
import { metricsContentType } from "./metrics-snapshot.ts";

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

/** @throws ConfigError. */
export function resolveEndpoint(options: EndpointOptions): { port: number; host: string; healthWindow: number } {
  return resolveOptions(endpointOptions, options, "options of serveMetrics()");
}

export interface Probes {
  /** In the Prometheus text format. */
  page(): Promise<string>;
  health(): HealthReport;
  readiness(): ReadyReport;
}

const ok = 200;
const unavailable = 503;

/** Resolves once it listens. @throws ListenError where the port cannot be had. */
export function serveProbes(probes: Probes, { port, host }: { port: number; host: string }): Promise<HttpServer> {
  const app = new Hono();
  app.get("/metrics", async (c) => c.body(await probes.page(), ok, { "content-type": metricsContentType }));
  app.get("/healthz", (c) => {
    const report = probes.health();
    return c.json(report, report.healthy ? ok : unavailable);
  });
  app.get("/readyz", (c) => {
    const report = probes.readiness();
    return c.json(report, report.ready ? ok : unavailable);
  });
  app.notFound((c) => c.text("There is /metrics, /healthz and /readyz.\n", 404));
  return startHttpServer(app, { port, host, what: "metrics" });
}
