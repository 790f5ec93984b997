/** Doctor: gathers the facts, and says what is wrong, what will be, and how to mend each. */
import { checkActors } from "./doctor/actors.ts";
import { gatherFacts, isEmpty, type DoctorServices } from "./doctor/facts.ts";
import { sorted, type Finding } from "./doctor/finding.ts";
import { checkRights } from "./doctor/rights.ts";
import { checkServers } from "./doctor/server.ts";
import { checkStreams, emptyNamespace } from "./doctor/streams.ts";
import { checkWorkers } from "./doctor/workers.ts";

export interface DoctorOptions {
  /** Addresses of the servers' monitoring ports, such as `http://127.0.0.1:8222`. Default: none, and what only they tell is left open. */
  monitors?: readonly string[];
}

export interface Diagnosis {
  namespace: string;
  /** ISO time. */
  at: string;
  /** False with a warning or a fault. */
  healthy: boolean;
  /** The worst first. */
  findings: Finding[];
}

/**
 * Changes nothing. What it tries in order to learn its rights the server refuses, and says so in its log.
 * @throws nothing but for a lost connection: what could not be read is a finding.
 */
export async function diagnose(services: DoctorServices, { monitors }: DoctorOptions = {}): Promise<Diagnosis> {
  const facts = await gatherFacts(services, monitors);
  const checks = isEmpty(facts)
    ? [checkServers, (): Finding[] => [emptyNamespace(facts)], checkRights]
    : [checkServers, checkStreams, checkActors, checkWorkers, checkRights];
  const findings = sorted(checks.flatMap((check) => check(facts)));
  return {
    namespace: services.names.namespace,
    at: new Date().toISOString(),
    healthy: findings.every(({ level }) => level === "ok" || level === "note"),
    findings,
  };
}
