/** Checks of the actors and their durables: served, unchanged, and not so late that what they wait for is forgotten. Pure. */
import { formatMs } from "../../kernel/duration.ts";
import { isoEnd } from "../../kernel/until.ts";
import type { ActorSnapshot } from "../../worker/snapshot.ts";
import { isServed } from "../durables.ts";
import { pausedUntilMs } from "../pause.ts";
import type { Durable, Facts } from "./facts.ts";
import { orOk, seconds, unchecked, type Finding } from "./finding.ts";
import { count, streamOf } from "./streams.ts";

/** How long a sender tries; a repeat beyond the window is stored again. */
const sendsForMs = 30_000;

export function checkActors(facts: Facts): Finding[] {
  const { durables } = facts;
  const actors = [...new Set(durables.map(({ actor }) => actor))].toSorted();
  const each = (check: (actor: string, own: Durable[]) => Finding[]): Finding[] =>
    actors.flatMap((actor) =>
      check(
        actor,
        durables.filter((durable) => durable.actor === actor),
      ),
    );
  return [
    ...facts.durablesUnread.map(({ stream, unread }) => unchecked("no-worker", stream, { unread })),
    ...orOk("no-worker", "the actors", each(unserved(facts)), "Each is served by a worker."),
    ...orOk("durable-missing", "the workers", missing(facts), "What they run has its durables."),
    ...orOk("paused", "the actors", each(paused), "None is paused."),
    ...orOk(
      "durable-settings",
      "the durables",
      durables.flatMap(changed),
      "Their settings are as Godwit declares them.",
    ),
    ...orOk("ack-wait", "the durables", each(differing(facts)), "Their ack-wait is what the workers go by."),
    ...orphans(facts),
    ...orOk("stranded", "the durables", stranded(facts), "They will hand out, or have out, all that is stored."),
    ...dedup(facts),
    ...lateness(facts),
  ];
}

function unserved({ workers }: Facts) {
  return (actor: string, own: Durable[]): Finding[] => {
    if (workers.some((worker) => worker.actors.includes(actor))) return [];
    const subject = `actor ${actor}`;
    const waiting = own.reduce((sum, { pending, inFlight }) => sum + pending + inFlight, 0);
    if (waiting > 0) {
      const finding = `${count(waiting, "message")} wait${waiting === 1 ? "s" : ""} for it and no worker serves it.`;
      const mend = `Start a worker that has it: godwit worker PATHS; or, if it is gone for good, godwit actor retire ${actor} --force.`;
      return [{ check: "no-worker", level: "warning", subject, finding, mend }];
    }
    const finding = "No worker serves it, and nothing waits for it.";
    const mend = `If it is gone for good: godwit actor retire ${actor}.`;
    return [{ check: "no-worker", level: "note", subject, finding, mend }];
  };
}

/** Every actor has a durable for tasks and one for those whose time has come. */
function missing({ names, workers, durables, durablesUnread }: Facts): Finding[] {
  const unread = new Set(durablesUnread.map(({ stream }) => stream));
  const streams = [names.tasks, names.schedule].filter((stream) => !unread.has(stream));
  const actors = new Set(workers.filter(({ state }) => state === "running").flatMap((worker) => worker.actors));
  return [...actors].toSorted().flatMap((actor): Finding[] => {
    const own = new Set(durables.filter((durable) => durable.actor === actor).map(({ stream }) => stream));
    const gone = streams.filter((stream) => !own.has(stream));
    if (gone.length === 0) return [];
    return [
      {
        check: "durable-missing",
        level: "fault",
        subject: `actor ${actor}`,
        finding: `Workers serve it, and it has no durable on ${gone.join(" and ")}: somebody deleted it, and nothing is handed out from there.`,
        mend: "Restart its workers, which make it anew; messages that were in flight begin again, without their attempts.",
      },
    ];
  });
}

function paused(actor: string, own: Durable[]): Finding[] {
  const held = own.filter((durable) => durable.pausedUntilMs !== undefined);
  const untilMs = pausedUntilMs(own);
  if (untilMs === undefined) return [];
  const waiting = held.reduce((sum, { pending }) => sum + pending, 0);
  const all = held.length === own.length ? "" : `${held.length} of its ${own.length} durables: `;
  return [
    {
      check: "paused",
      level: "warning",
      subject: `actor ${actor}`,
      finding: `It is paused (${all}until ${isoEnd(untilMs) ?? "it is resumed"}), and ${count(waiting, "message")} wait${waiting === 1 ? "s" : ""}.`,
      mend: `Resume it: godwit actor resume ${actor}.`,
    },
  ];
}

function changed(facts: Durable): Finding[] {
  const { actor, stream, durable, maxDeliver, maxAckPending, headersOnly, unusedMs, altered } = facts;
  const changes: string[] = [...altered];
  const edits: string[] = [];
  if (maxDeliver > 0)
    changes.push(`max_deliver is ${maxDeliver}, so that a message is dropped unseen after as many deliveries`);
  if (maxDeliver > 0) edits.push("--max-deliver=-1");
  if (maxAckPending > 0) {
    edits.push("--max-pending=-1");
    changes.push(`max_ack_pending is ${maxAckPending}, so that as many messages put back for later stop all others`);
  }
  if (headersOnly) {
    edits.push("--no-headers-only");
    changes.push("headers_only is set, so that every message comes without its body, which is lost");
  }
  if (unusedMs !== undefined) {
    edits.push("--inactive-threshold=0s");
    changes.push(`inactive_threshold is ${formatMs(unusedMs)}, so that it is deleted once no worker runs for so long`);
  }
  if (changes.length === 0) return [];
  return [
    {
      check: "durable-settings",
      level: maxDeliver > 0 || headersOnly || altered.length > 0 ? "fault" : "warning",
      subject: `actor ${actor}`,
      finding: `Somebody has changed its durable ${durable} on ${stream}: ${changes.join("; ")}.`,
      mend: `A running worker that may change it puts it back within seconds: start one with provision: "create"${edits.length === 0 ? "" : `, or nats consumer edit ${stream} '${durable}' ${edits.join(" ")}`}.`,
    },
  ];
}

function differing({ workers }: Facts) {
  return (actor: string, own: Durable[]): Finding[] => {
    const waits = new Set(perActor({ workers }, actor).map(({ ackWaitMs }) => ackWaitMs));
    const subject = `actor ${actor}`;
    if (waits.size > 1) {
      const finding = `Its workers go by different ack-waits: ${[...waits].map(formatMs).join(", ")}.`;
      return [
        { check: "ack-wait", level: "warning", subject, finding, mend: "Deploy the same config to all of them." },
      ];
    }
    const [wait] = waits;
    return own
      .filter(({ ackWaitMs }) => wait !== undefined && ackWaitMs !== wait)
      .map(({ stream, durable, ackWaitMs }) => ({
        check: "ack-wait",
        level: "warning",
        subject,
        finding: `Its durable ${durable} on ${stream} waits ${formatMs(ackWaitMs)} and its workers go by ${formatMs(wait ?? 0)}${ackWaitMs < (wait ?? 0) ? ": messages are handed out again while they run" : ""}.`,
        mend: `${ackWaitMs > (wait ?? 0) ? "A worker that may change durables shortens it once nothing in flight needs it, or" : "Start its workers again, which sets it, or"} nats consumer edit ${stream} '${durable}' --wait=${seconds(wait ?? 0)}.`,
      }));
  };
}

function orphans({ names, durables, durablesUnread, taskSubjects, dueSubjects }: Facts): Finding[] {
  for (const subjects of [taskSubjects, dueSubjects, ...durablesUnread]) {
    if ("unread" in subjects) return [unchecked("orphan-subject", names.tasks, subjects)];
  }
  const stored = [
    { stream: names.tasks, subjects: "value" in taskSubjects ? taskSubjects.value : {} },
    { stream: names.schedule, subjects: "value" in dueSubjects ? dueSubjects.value : {} },
  ];
  const found = stored.flatMap(({ stream, subjects }) =>
    Object.entries(subjects)
      .filter(([subject]) => !isServed(durables, stream, subject))
      .map(([subject, messages]): Finding => {
        const origin = names.origin(stream, subject);
        const actor = "actor" in origin ? origin.actor : subject;
        return {
          check: "orphan-subject",
          level: "warning",
          subject,
          finding: `${count(messages, "message")} for which no actor has a durable: nothing will ever hand them out.`,
          mend: `Start a worker that has the actor ${actor}; if its name was misspelt: nats stream purge ${stream} --subject '${subject}'.`,
        };
      }),
  );
  return orOk("orphan-subject", "the tasks", found, "Each is somebody's.");
}

function stranded({ stranded: found }: Facts): Finding[] {
  return found.map(({ actor, stream, messages }): Finding => {
    const [subject, one] = [`actor ${actor}`, messages === 1];
    if (messages === undefined) {
      const finding = `Its durable on ${stream} has nothing in flight and has not settled all that it handed out: an event or more will not come again.`;
      const mend = "Look which failed (the log, or godwit explain ID), and publish to the actor what is to be done.";
      return { check: "stranded", level: "warning", subject, finding, mend };
    }
    const finding = `${count(messages, "message")} of ${stream} ${one ? "is" : "are"} stored, and no durable will ever hand ${one ? "it" : "them"} out again.`;
    const mend = `Send ${one ? "it" : "them"} again: godwit doctor --mend stranded.`;
    return { check: "stranded", level: "fault", subject, finding, mend };
  });
}

function dedup(facts: Facts): Finding[] {
  const { names, workers } = facts;
  const subject = names.tasks;
  const windowMs = streamOf(facts, subject)?.dedupWindowMs;
  if (windowMs === undefined) return [];
  const setting = "limits: { dedupWindow: … } of ActorSystem.connect()";
  const found: Finding[] = [];
  if (windowMs < sendsForMs) {
    found.push({
      check: "dedup-window",
      level: "warning",
      subject,
      finding: `It knows an id for ${formatMs(windowMs)} and a sender tries for ${formatMs(sendsForMs)}: what is sent again late is stored twice.`,
      mend: `Make the window at least ${formatMs(sendsForMs)}: ${setting}, or nats stream edit ${subject} --dupe-window=${seconds(sendsForMs)}.`,
    });
  }
  for (const actor of [...new Set(workers.flatMap((worker) => Object.keys(worker.perActor)))].toSorted()) {
    // A worker of a version before this knows nothing of it.
    const horizonMs = Math.max(0, ...perActor(facts, actor).map((one) => one.retryHorizonMs ?? 0));
    if (horizonMs <= windowMs) continue;
    found.push({
      check: "dedup-window",
      level: "note",
      subject: `actor ${actor}`,
      finding: `Its retries reach over ${formatMs(horizonMs)} and an id is known for ${formatMs(windowMs)}: what its handler sends with ctx.tell() or ctx.publish() may be stored again by a late retry, if it sends any.`,
      mend: `Make the window at least ${formatMs(horizonMs)}: ${setting}; or shorten its retry.max, or send within ctx.once().`,
    });
  }
  return orOk("dedup-window", subject, found, `An id is known for ${formatMs(windowMs)}, longer than anybody tries.`);
}

/** What a stream forgets by age must be seen to before half of it is over. */
function lateness(facts: Facts): Finding[] {
  const { names, clock, durables, waitingSinceMs } = facts;
  const nowMs = facts.answeredAtMs - ("value" in clock ? clock.value.aheadMs : 0);
  const behind = durables.flatMap((durable): Finding[] => {
    const [sinceMs, maxAgeMs] = [waitingSinceMs.get(durable), streamOf(facts, durable.stream)?.maxAgeMs];
    if (sinceMs === undefined || maxAgeMs === undefined || nowMs - sinceMs < maxAgeMs / 2) return [];
    return [
      {
        check: "events-behind",
        level: "warning",
        subject: `actor ${durable.actor}`,
        finding: `It has not been handed a message of ${durable.stream} that is ${formatMs(Math.round(nowMs - sinceMs))} old, and that stream keeps messages for ${formatMs(maxAgeMs)}.`,
        mend: `Run more workers for it, or keep more: nats stream edit ${durable.stream} --max-age=${seconds(maxAgeMs * 2)}.`,
      },
    ];
  });
  const dead = streamOf(facts, names.dead);
  const oldMs = dead?.firstAtMs === undefined ? 0 : nowMs - dead.firstAtMs;
  const old: Finding[] =
    dead?.maxAgeMs === undefined || oldMs < dead.maxAgeMs / 2
      ? []
      : [
          {
            check: "dead-letters-old",
            level: "warning",
            subject: names.dead,
            finding: `The oldest of ${count(dead.messages, "dead letter")} is ${formatMs(Math.round(oldMs))} old, and they are kept for ${formatMs(dead.maxAgeMs)}.`,
            mend: "Look at them with godwit dead list, and then godwit dead requeue or godwit dead purge.",
          },
        ];
  return [
    ...orOk("events-behind", "the actors", behind, "None is about to miss a message."),
    ...orOk("dead-letters-old", names.dead, old, "None is about to be forgotten."),
  ];
}

function perActor({ workers }: Pick<Facts, "workers">, actor: string): ActorSnapshot[] {
  return workers.flatMap((worker) => worker.perActor[actor] ?? []);
}
