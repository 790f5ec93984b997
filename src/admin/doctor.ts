/** Doctor: gathers the facts, and says what is wrong, what will be, and how to mend each. */
import { checkActors } from "./doctor/actors.ts";
import { gatherFacts, isEmpty, type DoctorServices, type Facts } from "./doctor/facts.ts";
import { sorted, type Check, type Finding } from "./doctor/finding.ts";
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
  const blind = blindChecks(facts);
  const said = checks.flatMap((check) => check(facts));
  const findings = sorted(said.filter(({ check, level }) => level !== "ok" || !blind.has(check)));
  return {
    namespace: services.names.namespace,
    at: new Date().toISOString(),
    healthy: findings.every(({ level }) => level === "ok" || level === "note"),
    findings,
  };
}

const ofStreams: readonly Check[] = [
  "stream-missing",
  "stream-settings",
  "stream-leader",
  "stream-replicas",
  "stream-placement",
];
const ofDurables: readonly Check[] = [
  "no-worker",
  "paused",
  "durable-missing",
  "durable-settings",
  "ack-wait",
  "events-behind",
  "stranded",
];
const ofWorkers: readonly Check[] = ["worker-unhealthy", "worker-versions", "event-loop", "handler-time"];

/** Those that found nothing amiss because they could not look everywhere: of them it is not said that all is well. */
function blindChecks({ streams, durablesUnread, leases, workers }: Facts): Set<Check> {
  return new Set([
    ...([...streams.values()].some((stream) => "unread" in stream) ? ofStreams : []),
    ...(durablesUnread.length > 0 ? ofDurables : []),
    ...("unread" in leases && workers.length === 0 ? ofWorkers : []),
  ]);
}
