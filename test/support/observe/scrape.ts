/** What a system's endpoint says, as a test reads it. */
import type { HealthReport, ReadyReport } from "../../../src/observe/health.ts";

/** The value of each series of a page, by its name and labels as they stand there. */
export function readPage(page: string): Map<string, number> {
  const lines = page.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

export interface Answered<Body> {
  status: number;
  body: Body;
}

async function ask<Body>(url: string): Promise<Answered<Body>> {
  const response = await fetch(url);
  return { status: response.status, body: (await response.json()) as Body };
}

export function healthOf(url: string): Promise<Answered<HealthReport>> {
  return ask(`${url}/healthz`);
}

export function readinessOf(url: string): Promise<Answered<ReadyReport>> {
  return ask(`${url}/readyz`);
}

export async function scrape(url: string): Promise<Map<string, number>> {
  return readPage(await (await fetch(`${url}/metrics`)).text());
}
