/** A real Prometheus on this host that scrapes once a second, and what it answers. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../embedded/until.ts";
import { freePort } from "../free-port.ts";

export interface Prometheus {
  /** The value of a query that gives one, as of a time, wall-clock ms; undefined where it gives none. */
  value(query: string, atMs?: number): Promise<number | undefined>;
  stop(): Promise<void>;
}

interface Answer {
  data: { result: { value: [number, string] }[] };
}

/** @param targets `127.0.0.1:9464` each. */
export async function startPrometheus(targets: readonly string[]): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), "godwit-prometheus-"));
  const config = {
    global: { scrape_interval: "1s", scrape_timeout: "1s" },
    scrape_configs: [{ job_name: "godwit", static_configs: [{ targets }] }],
  };
  // JSON is YAML too.
  await writeFile(join(folder, "prometheus.yml"), JSON.stringify(config));
  const address = `127.0.0.1:${await freePort()}`;
  const child = spawn(
    "prometheus",
    [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=${address}`,
      "--log.level=error",
    ],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  const exited = once(child, "exit");
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  const ready = async (): Promise<boolean> => {
    if (child.exitCode !== null) throw new Error(`prometheus ended with code ${child.exitCode}`);
    return fetch(`http://${address}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  };
  try {
    await until("prometheus is ready", ready, 30_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    async value(query, atMs = Date.now()) {
      const search = new URLSearchParams({ query, time: String(atMs / 1_000) });
      const response = await fetch(`http://${address}/api/v1/query?${search.toString()}`);
      if (!response.ok) throw new Error(await response.text());
      const { data } = (await response.json()) as Answer;
      const value = data.result[0]?.value[1];
      return value === undefined ? undefined : Number(value);
    },
    stop,
  };
}
