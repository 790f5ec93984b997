/** Checks of the workers: there, well, of one version, and their handlers' times against their limits. Pure. */
import { addHistograms, quantileOf, totalOf } from "../../kernel/histogram.ts";
import { formatMs } from "../../kernel/duration.ts";
import type { ActorSnapshot, WorkerLease, WorkerSnapshot } from "../../worker/snapshot.ts";
import type { Facts } from "./facts.ts";
import { orOk, unchecked, type Finding } from "./finding.ts";
import { nameOf } from "./server.ts";

/** Fewer runs than this say little of P95 and P99. */
const enoughRuns = 20;
/** P99 that is so many times P50, and beyond ack-wait, is worth a limit. */
const farAbove = 20;
/** Quantiles are off by up to a tenth. */
const nearly = 0.9;

export function checkWorkers(facts: Facts): Finding[] {
  const { workers, leases } = facts;
  const actors = [...new Set(workers.flatMap((worker) => Object.keys(worker.perActor)))].toSorted();
  return [
    ...("unread" in leases
      ? [unchecked("worker-silent", "the workers", leases)]
      : orOk("worker-silent", "the workers", silent(facts, leases.value), "Each that is there answers.")),
    ...orOk("worker-unhealthy", "the workers", workers.flatMap(unhealthy), "Each says that it is well."),
    ...orOk("worker-versions", "the workers", versions(workers), "They are of one version of Godwit."),
    ...orOk(
      "puller-rebuilt",
      "the actors",
      actors.flatMap((actor) => rebuilt(actor, workers)),
      "No puller of theirs has fallen silent.",
    ),
    ...orOk("event-loop", "the workers", workers.flatMap(lagging), "Their event loops turn."),
    ...orOk(
      "handler-time",
      "the actors",
      actors.flatMap((actor) =>
        times(
          actor,
          workers.flatMap((worker) => worker.perActor[actor] ?? []),
        ),
      ),
      "Handlers keep within their ack-waits and limits.",
    ),
  ];
}

function silent({ workers, answeredAtMs }: Facts, leases: readonly WorkerLease[]): Finding[] {
  const answered = new Set(workers.map(({ id }) => id));
  return leases
    .filter(({ id, figures }) => !answered.has(id) && figures?.state !== "starting")
    .map((lease) => ({
      check: "worker-silent",
      level: "warning",
      subject: nameOf(lease),
      finding: `It has said that it works, and does not answer: it is stopped, blocked, cut off, or was just killed${lastSaid(lease, answeredAtMs)}.`,
      mend: `Look at process ${lease.pid} on ${lease.host}, and end it if it hangs; what it holds comes back after its ack-wait.`,
    }));
}

function lastSaid({ figures }: WorkerLease, nowMs: number): string {
  if (figures === undefined) return "";
  const { at, state, inHand, rssBytes, loopP99Ms } = figures;
  const ago = formatMs(Math.max(0, nowMs - Date.parse(at)));
  const megabytes = Math.round(rssBytes / 1e6);
  return `; ${ago} ago it was ${state}, with ${inHand} messages in hand, ${megabytes} MB of memory and an event loop late by ${formatMs(Math.round(loopP99Ms))} (P99)`;
}

/** The log of each has when, and for which durable. */
function rebuilt(actor: string, workers: readonly WorkerSnapshot[]): Finding[] {
  const its = workers.filter(({ perActor }) => (perActor[actor]?.rebuilt ?? 0) > 0);
  if (its.length === 0) return [];
  const times = its.reduce((sum, { perActor }) => sum + (perActor[actor]?.rebuilt ?? 0), 0);
  return [
    {
      check: "puller-rebuilt",
      level: "note",
      subject: `actor ${actor}`,
      finding: `Its messages had to wait ${times === 1 ? "once" : `${times} times`} until a worker began anew what pulls for it and had fallen silent: ${its.map(nameOf).join(", ")}.`,
      mend: "Look into the logs of these workers and of the server around that time: did rights change, or a server lose its state?",
    },
  ];
}

function unhealthy(worker: WorkerSnapshot): Finding[] {
  return worker.unhealthyReasons.map((reason) => ({
    check: "worker-unhealthy",
    level: "warning",
    subject: nameOf(worker),
    finding: `It is unwell: ${reason}.`,
    mend: "Replace its process; its messages come back to others.",
  }));
}

function versions(workers: readonly WorkerSnapshot[]): Finding[] {
  const found = [...new Set(workers.map(({ version }) => version))].toSorted();
  if (found.length < 2) return [];
  const counts = found.map((one) => `${workers.filter(({ version }) => version === one).length} of ${one}`);
  return [
    {
      check: "worker-versions",
      level: "warning",
      subject: "the workers",
      finding: `They are of different versions of Godwit: ${counts.join(", ")}.`,
      mend: "Finish the deployment, so that all run the newest.",
    },
  ];
}

function lagging(worker: WorkerSnapshot): Finding[] {
  const waits = Object.values(worker.perActor).map(({ ackWaitMs }) => ackWaitMs);
  const limitMs = Math.min(...waits) / 3;
  const { maxMs } = worker.loop;
  const mend = `Find what computes so long without a pause (the worker's log names it, "blocked"), and move it into a thread: isolate: "thread".`;
  if (maxMs > limitMs) {
    const finding = `Its event loop stood still for ${formatMs(Math.round(maxMs))}, more than a third of the shortest ack-wait: what it held may have been handed to others.`;
    return [{ check: "event-loop", level: "warning", subject: nameOf(worker), finding, mend }];
  }
  if (worker.blocked === 0) return [];
  const finding = `Its event loop has stood still for long ${worker.blocked === 1 ? "once" : `${worker.blocked} times`} since it began.`;
  return [{ check: "event-loop", level: "note", subject: nameOf(worker), finding, mend }];
}

function times(actor: string, snapshots: readonly ActorSnapshot[]): Finding[] {
  const all = addHistograms(snapshots.map(({ handlerMs }) => handlerMs));
  const [p50Ms, p95Ms, p99Ms] = [quantileOf(all, 0.5), quantileOf(all, 0.95), quantileOf(all, 0.99)];
  const [first] = snapshots;
  if (first === undefined || p50Ms === undefined || p95Ms === undefined || p99Ms === undefined) return [];
  if (totalOf(all) < enoughRuns) return [];
  const { ackWaitMs, hardLimitMs } = first;
  const subject = `actor ${actor}`;
  const told = `P95 ${shown(p95Ms)}, P99 ${shown(p99Ms)}`;
  const found: Finding[] = [];
  if (hardLimitMs !== undefined && p95Ms >= hardLimitMs * nearly) {
    found.push({
      check: "handler-time",
      level: "warning",
      subject,
      finding: `One run in twenty or more is ended by its hard limit of ${formatMs(hardLimitMs)} (${told}).`,
      mend: `Raise timeLimit.hard above ${shown(p99Ms)}, or make the handler faster.`,
    });
  }
  if (p99Ms <= ackWaitMs) return found;
  if (hardLimitMs === undefined && p99Ms > farAbove * p50Ms) {
    found.push({
      check: "handler-time",
      level: "note",
      subject,
      finding: `Some runs take far longer than most (P50 ${shown(p50Ms)}, ${told}) and no limit ends one that hangs.`,
      mend: `Set timeLimit: { soft, hard } in its config, the hard one above ${shown(p99Ms)}.`,
    });
  }
  found.push({
    check: "handler-time",
    level: "note",
    subject,
    finding: `Runs outlast its ack-wait of ${formatMs(ackWaitMs)} (${told}), so they rest on their progress marks; when a worker dies, its messages come back only after that.`,
    mend: `Nothing need be done while the event loop turns; an ackWait above ${shown(p99Ms)} spares the marks.`,
  });
  return found;
}

/** Quantiles are off by up to a tenth: two digits. */
function shown(ms: number): string {
  return formatMs(Math.max(1, Math.round(Number(ms.toPrecision(2)))));
}
