/** Checks of the streams and buckets: there, as declared, with a leader and its replicas, and how hard it is to lose what they hold. Pure. */
import type { StreamFacts } from "../../broker/survey.ts";
import type { Facts } from "./facts.ts";
import { orOk, unchecked, type Finding } from "./finding.ts";
import { nearlyFull } from "./server.ts";

export function checkStreams(facts: Facts): Finding[] {
  const { names } = facts;
  const there: StreamFacts[] = [];
  const missing: string[] = [];
  const found: Finding[] = [];
  for (const [stream, fact] of facts.streams) {
    if ("unread" in fact) found.push(unchecked("stream-settings", stream, fact));
    else if (fact.value !== undefined) there.push(fact.value);
    else missing.push(stream);
  }
  const own = there.filter(({ stream }) => stream.startsWith(`${names.namespace}_`) || /^(KV|OBJ)_/.test(stream));
  return [
    ...found,
    ...orOk("stream-missing", "the streams", absent(missing), "All that there should be are there."),
    ...orOk("stream-settings", "the streams", own.flatMap(altered(own)), "Their settings are as Godwit declares them."),
    ...orOk("stream-leader", "the streams", there.flatMap(leaderless), "Each has a leader."),
    ...orOk("stream-replicas", "the streams", replicas(own, there), "All replicas are there and in step."),
    ...durability(own, facts),
    ...checkRoom(facts),
  ];
}

/** What the facts say of a stream, where they say anything. */
export function streamOf({ streams }: Facts, name: string): StreamFacts | undefined {
  const fact = streams.get(name);
  return fact !== undefined && "value" in fact ? fact.value : undefined;
}

export function emptyNamespace({ names: { namespace } }: Facts): Finding {
  return {
    check: "stream-missing",
    level: "fault",
    subject: `namespace ${namespace}`,
    finding: "There is nothing of Godwit in it.",
    mend: "Start a worker there first, or correct --namespace or --servers.",
  };
}

function absent(streams: readonly string[]): Finding[] {
  return streams.map((subject) => ({
    check: "stream-missing",
    level: "fault",
    subject,
    finding: "It does not exist; what needs it fails.",
    mend: "Start a worker whose credential may create streams: it makes what is missing.",
  }));
}

const altered =
  (own: readonly StreamFacts[]) =>
  (facts: StreamFacts): Finding[] => {
    const { stream: subject } = facts;
    // One that differs from the rest is told as such.
    const alone = facts.replicas !== mostFrequent(own.map(({ replicas: copies }) => copies));
    const changes = facts.altered.filter(({ field }) => !(alone && field === "num_replicas"));
    const of = (...levels: string[]): string[] =>
      changes.filter(({ level }) => levels.includes(level)).map(({ said }) => said);
    const [worse, kept] = [of("drops", "hurts"), of("kept")];
    const harm: Finding[] =
      worse.length === 0
        ? []
        : [
            {
              check: "stream-settings",
              level: of("drops").length > 0 ? "fault" : "warning",
              subject,
              finding: `Somebody has changed it: ${worse.join("; ")}.`,
              mend: `Start a worker with provision: "create", which puts back what the server lets, or nats stream edit ${subject}; what the server does not change back needs another namespace.`,
            },
          ];
    if (kept.length === 0) return harm;
    const finding = `Somebody has changed it, and it is no less safe: ${kept.join("; ")}.`;
    const mend = "Ask for it as an option of ActorSystem.connect(), where there is one, so that it is recorded.";
    return [...harm, { check: "stream-settings", level: "note", subject, finding, mend }];
  };

function leaderless({ stream: subject, replicas: copies, leader }: StreamFacts): Finding[] {
  if (leader !== undefined && leader !== "") return [];
  const needed = Math.floor(copies / 2) + 1;
  return [
    {
      check: "stream-leader",
      level: "fault",
      subject,
      finding: `It has no leader, so nothing is stored or delivered; ${needed} of its ${copies} replicas must be up to elect one.`,
      mend: `Bring its servers back: nats stream info ${subject} names them.`,
    },
  ];
}

function replicas(own: readonly StreamFacts[], all: readonly StreamFacts[]): Finding[] {
  const usual = mostFrequent(own.map(({ replicas: copies }) => copies));
  const different = own
    .filter(({ replicas: copies }) => copies !== usual)
    .map(({ stream: subject, replicas: copies }): Finding => ({
      check: "stream-replicas",
      level: "warning",
      subject,
      finding: `It has ${count(copies, "replica")} and most of the others ${usual}: a chain is as strong as its weakest link.`,
      mend: `Give it as many: nats stream edit ${subject} --replicas ${usual}.`,
    }));
  return [...different, ...misplaced(own), ...all.flatMap(troubled)];
}

function misplaced(own: readonly StreamFacts[]): Finding[] {
  const placeOf = ({ placement = "anywhere" }: StreamFacts): string => placement;
  const usual = mostFrequent(own.map(placeOf));
  return own
    .filter((facts) => placeOf(facts) !== usual)
    .map((facts): Finding => ({
      check: "stream-placement",
      level: "warning",
      subject: facts.stream,
      finding: `Its servers are asked for as: ${placeOf(facts)}; those of most others as: ${usual}.`,
      mend: "Start a worker, or godwit provision, with the placement that all of them should have.",
    }));
}

function troubled({ stream: subject, followers, replicas: copies }: StreamFacts): Finding[] {
  const offline = followers.filter((peer) => peer.offline);
  const behind = followers.filter((peer) => !peer.offline && !peer.current);
  const spare = Math.floor((copies - 1) / 2) - offline.length;
  const gone: Finding[] = offline.map(({ server }) => ({
    check: "stream-replicas",
    level: "warning",
    subject,
    finding: `Its replica on ${server} is offline; ${spare > 0 ? `${spare} more may go` : "if one more goes, nothing is stored any more"}.`,
    mend: `Start the nats-server ${server} again, or replace it: nats stream cluster peer-remove ${subject} ${server}.`,
  }));
  const late: Finding[] = behind.map(({ server, lag }) => ({
    check: "stream-replicas",
    level: "warning",
    subject,
    finding: `Its replica on ${server} is behind${lag > 0 ? ` by ${count(lag, "operation")}` : ""}: until it has caught up it is no copy.`,
    mend: `Wait for it to catch up; if it does not, look at that server's disk and network.`,
  }));
  return [...gone, ...late];
}

/** The weakest stream decides. */
function durability(own: readonly StreamFacts[], { monitors, names: { namespace } }: Facts): Finding[] {
  const subject = `namespace ${namespace}`;
  if (own.length === 0) return [];
  const memory = own.filter((stream) => stream.memory);
  if (memory.length > 0) {
    return [
      {
        check: "durability",
        level: "warning",
        subject,
        finding: `It is durable as by the profile dev: ${list(memory)} in memory, gone when the server ends.`,
        mend: `For work that counts use a namespace made with durability: "single" or "replicated"; a stream's storage cannot be changed.`,
      },
    ];
  }
  const copies = Math.min(...own.map((stream) => stream.replicas));
  if (copies < 3) {
    const two = copies === 2 ? ", and of two copies both must be up: they protect less than they cost" : "";
    return [
      {
        check: "durability",
        level: copies === 2 ? "warning" : "note",
        subject,
        finding: `It is durable as by the profile single: one disk that fails takes work along${two}.`,
        mend: `On a cluster of three or more servers connect a worker with durability: "replicated".`,
      },
    ];
  }
  const synced = monitors?.map(({ facts }) => "value" in facts && facts.value.syncAlways) ?? [];
  const strict = synced.length >= copies && synced.every(Boolean);
  const finding = `It is durable as by the profile ${strict ? "strict" : "replicated"}: ${copies} copies of all${strict ? ", on the disk at once" : ""}.`;
  return [{ check: "durability", level: "ok", subject, finding }];
}

function checkRoom(facts: Facts): Finding[] {
  const { names, taskSubjects } = facts;
  const [tasks, schedule] = [streamOf(facts, names.tasks), streamOf(facts, names.schedule)];
  if (tasks === undefined) return [];
  return [
    ...orOk("stream-full", names.tasks, fullStream(tasks), "There is room for more tasks."),
    ...("unread" in taskSubjects
      ? [unchecked("actor-full", names.tasks, taskSubjects)]
      : orOk("actor-full", "the actors", fullActors(facts, tasks, taskSubjects.value), "None is near its limit.")),
    ...(schedule === undefined ? [] : [scheduleSize(schedule, tasks.maxBytes ?? Infinity)]),
  ];
}

function fullStream({ stream: subject, bytes, maxBytes }: StreamFacts): Finding[] {
  if (maxBytes === undefined || bytes < maxBytes * nearlyFull) return [];
  return [
    {
      check: "stream-full",
      level: "warning",
      subject,
      finding: `It holds ${bytes} of the ${maxBytes} bytes that it takes; when it is full, every tell() fails with QUEUE_FULL.`,
      mend: "Run more workers for the actors that wait longest (godwit status), or raise limits.maxBytes.",
    },
  ];
}

function fullActors({ names }: Facts, { maxPerSubject }: StreamFacts, subjects: Record<string, number>): Finding[] {
  if (maxPerSubject === undefined) return [];
  return Object.entries(subjects).flatMap(([subject, messages]): Finding[] => {
    const origin = names.origin(names.tasks, subject);
    if (messages < maxPerSubject * nearlyFull || origin.kind !== "task") return [];
    const { actor, lane } = origin;
    return [
      {
        check: "actor-full",
        level: "warning",
        subject: `actor ${actor}`,
        finding: `${messages} of the ${maxPerSubject} tasks that may wait in its lane ${lane} are there; then tell() fails with QUEUE_FULL.`,
        mend: `Run more workers for ${actor}, raise its concurrency, or raise limits.maxPerActor.`,
      },
    ];
  });
}

/** It has no limit of its own, because one would lose what is in it: it is measured by that of the tasks. */
function scheduleSize({ stream: subject, bytes, messages }: StreamFacts, limit: number): Finding {
  const level = bytes < limit * nearlyFull ? "ok" : "warning";
  const finding = `It holds ${count(messages, "delayed task")} in ${bytes} bytes${level === "ok" ? "" : ", and nothing limits it but the disk"}.`;
  if (level === "ok") return { check: "schedule-size", level, subject, finding };
  const mend = "Look which actor's tasks they are (godwit status, SCHEDULED), and send fewer or shorter delays.";
  return { check: "schedule-size", level, subject, finding, mend };
}

/** Of several that are equally frequent the greatest. */
function mostFrequent<Value extends number | string>(values: readonly Value[]): Value | undefined {
  const times = (value: Value): number => values.filter((one) => one === value).length;
  return values.toSorted((a, b) => times(b) - times(a) || (a < b ? 1 : -1))[0];
}

export function count(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? "" : "s"}`;
}

function list(streams: readonly StreamFacts[]): string {
  const names = streams.slice(0, 3).map(({ stream }) => stream);
  const more = streams.length > 3 ? ` and ${streams.length - 3} more` : "";
  return `${names.join(", ")}${more} ${streams.length === 1 ? "is" : "are"}`;
}
