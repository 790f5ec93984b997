/** Probes: `/metrics`, `/healthz` and `/readyz` over HTTP, whoever answers them. */
import type { HealthReport, ReadyReport } from "./health.ts";
import { startHttpServer, type HttpServer } from "./http-server.ts";
import { metricsContentType } from "./metrics-snapshot.ts";

export interface Probes {
  /** In the Prometheus text format. */
  page(): Promise<string>;
  health(): HealthReport;
  readiness(): ReadyReport;
}

const ok = 200;
const unavailable = 503;

/** Resolves once it listens. @throws ListenError where the port cannot be had. */
export async function serveProbes(probes: Probes, { port, host }: { port: number; host: string }): Promise<HttpServer> {
  // Loaded here: most processes serve nothing.
  const { Hono } = await import("hono");
  const app = new Hono();
  app.get("/metrics", async (c) => c.body(await probes.page(), ok, { "content-type": metricsContentType }));
  app.get("/healthz", (c) => {
    const report = probes.health();
    return c.json(report, report.restart ? unavailable : ok);
  });
  app.get("/readyz", (c) => {
    const report = probes.readiness();
    return c.json(report, report.ready ? ok : unavailable);
  });
  app.notFound((c) => c.text("There is /metrics, /healthz and /readyz.\n", 404));
  return startHttpServer(app, { port, host, what: "metrics" });
}
