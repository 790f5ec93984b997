/**
 * The table of rights: what each role needs at the server, derived from the names and durables that there are. It is the one source: the
 * permissions that are given out and the trials of the doctor both come from it. Pure.
 * 1. Roles are of those who make nothing themselves (`provision: "check"`), but for the provisioner.
 * 2. No worker or publisher may make consumers or read messages as they are stored (direct gets): both would hand out what is not theirs. A
 *    worker may look for the dead letters of its own actors, to know whether one that it is to store is there.
 *    Where an answer may go is not a matter of rights, since the server does not look: accounts.ts sees to that.
 */
import type { ResolvedConfig } from "../../actor/config.ts";
import { advisoriesOf } from "../../broker/puller.ts";
import { concurrencyKey, concurrencyPrefix } from "../../guard/concurrency-limit/limit.ts";
import { recordKey } from "../../guard/rate-limit/record.ts";
import { subjectMatches } from "../../message/names.ts";
import type { Names } from "../../message/subjects.ts";
import { holdKey } from "../../worker/declared.ts";
import { durablesOf } from "../../worker/durables.ts";

/** Who needs a right. `provisioner` makes streams and durables; `monitor` reads how much waits and for how long, for `/metrics`. */
export const roles = ["publisher", "worker", "monitor", "provisioner", "admin"] as const;
export type Role = (typeof roles)[number];

export interface Right {
  role: Role;
  operation: "publish" | "subscribe";
  /** May have `*` and a last `>`. */
  subject: string;
  /** What is published there would be stored in a stream. */
  stored?: true;
}

/**
 * @param actors only what is needed for these. Default: for all there may be; streams that somebody else made and actors subscribe to are
 * known by the actors alone.
 * @param domain of JetStream, for those who name one.
 */
export function rightsOf(names: Names, actors?: readonly ResolvedConfig[], domain?: string): Right[] {
  const rights = rightsIn(names, actors);
  if (domain === undefined) return rights;
  const api = `$JS.${domain}.API.`;
  const inDomain = ({ operation, subject }: Right): string => {
    if (subject.startsWith("$JS.API.")) return api + subject.slice("$JS.API.".length);
    return operation === "publish" && subject.startsWith("$KV.") ? api + subject : subject;
  };
  return rights.map((right) => ({ ...right, subject: inDomain(right) }));
}

function rightsIn(names: Names, actors?: readonly ResolvedConfig[]): Right[] {
  const { namespace, tasks, schedule, events, dead } = names;
  const of = (role: Role) => ({
    publish: (...subjects: string[]): Right[] => subjects.map((subject) => ({ role, operation: "publish", subject })),
    store: (...subjects: string[]): Right[] =>
      subjects.map((subject) => ({ role, operation: "publish", subject, stored: true })),
    subscribe: (...subjects: string[]): Right[] =>
      subjects.map((subject) => ({ role, operation: "subscribe", subject })),
    /** Of JetStream's API. */
    ask: (request: string, ...what: string[]): Right[] =>
      what.map((one) => ({ role, operation: "publish", subject: `$JS.API.${request}.${one}` })),
  });
  const work = [tasks, schedule, events];
  const own = [...work, dead];
  const kv = (...buckets: string[]): string[] => buckets.map((bucket) => `KV_${bucket}`);
  const kvKeys = (...buckets: string[]): string[] => buckets.map((bucket) => `$KV.${bucket}.>`);
  const chunks = (bucket: string): string[] => [`$O.${bucket}.C.*`, `$O.${bucket}.M.*`];
  const [bodies, payloads] = [`OBJ_${names.bodiesBucket}`, `OBJ_${names.payloadsBucket}`];
  const shared = [names.limitsBucket, names.breakersBucket];
  const notices = shared.map((bucket) => names.noticeSubject(bucket, ">"));
  const limits = limitKeys(actors);
  /** Handlers may use any breaker. Claims of dead letters, which are in the bucket of the limits, are the admin's. */
  const workersNotices = [
    ...limits.map((one) => names.noticeSubject(names.limitsBucket, one)),
    names.noticeSubject(names.breakersBucket, ">"),
  ];
  /** For each actor, or with a wildcard that stands for all. An actor's name may have dots. */
  const each = (one: (actor: string) => string[], all: string[]): string[] =>
    actors === undefined ? all : actors.flatMap(({ name }) => one(name));
  const durables =
    actors?.flatMap((config) =>
      durablesOf(names, config).map(({ stream, spec }) => ({ stream, name: spec.durable_name })),
    ) ?? work.map((stream) => ({ stream, name: "*" }));
  const ofDurables = durables.map(({ stream, name }) => `${stream}.${name}`);
  const foreign = durables.map(({ stream }) => stream).filter((stream) => !work.includes(stream));
  const anyDurable = [...new Set([...work, ...foreign])].map((stream) => `${stream}.*`);

  /** The streams that every system looks for when it connects. */
  const connect = (role: Role): Right[] => [
    ...of(role).publish("$JS.API.INFO"),
    ...of(role).ask("STREAM.INFO", ...own, ...kv(...names.buckets)),
  ];
  const publisher = of("publisher");
  const worker = of("worker");
  const monitor = of("monitor");
  const provisioner = of("provisioner");
  const admin = of("admin");
  const sendsTasks = each(
    (actor) => [names.taskSubject(actor, "*"), names.scheduleSubject(actor, "").concat("*")],
    [`${namespace}.task.>`, `${namespace}.schedule.>`],
  );
  const deadLetters = each((actor) => [names.deadFilter(actor)], [names.deadFilter()]);
  return [
    ...connect("publisher"),
    ...publisher.store(...sendsTasks, names.eventSubject(">")),
    // Whether anyone has ever served an actor.
    ...publisher.ask("CONSUMER.INFO", ...each((actor) => [`${schedule}.${names.durable(actor)}`], [`${schedule}.*`])),
    ...publisher.subscribe(
      names.replySubject("*.*"),
      ...each((actor) => [`${namespace}.done.${actor}.*`], [`${namespace}.done.>`]),
    ),
    ...publisher.ask("STREAM.MSG.GET", ...kv(names.resultsBucket)),
    ...publisher.store(...each((actor) => [`$KV.${names.resultsBucket}.${actor}.*`], kvKeys(names.resultsBucket))),
    ...publisher.ask("STREAM.INFO", payloads),
    ...publisher.store(...chunks(names.payloadsBucket)),

    ...connect("worker"),
    ...worker.ask("CONSUMER.INFO", ...ofDurables),
    ...worker.ask("CONSUMER.MSG.NEXT", ...ofDurables),
    // The exact number of words: one word more or less could be an acknowledgement of another consumer, and with it a pull. The
    // second form, with domain and account before the stream, is announced.
    ...worker.publish(...ofDurables.flatMap((one) => [`$JS.ACK.${one}.*.*.*.*.*`, `$JS.ACK.*.*.${one}.*.*.*.*.*.>`])),
    ...worker.ask("STREAM.MSG.GET", ...kv(names.runsBucket, ...shared, names.onceBucket)),
    ...worker.store(
      ...durables.map(({ stream, name }) => `$KV.${names.runsBucket}.${stream}.*.${name}`),
      ...each((actor) => [`$KV.${names.resultsBucket}.${actor}.*`], kvKeys(names.resultsBucket)),
      ...each((actor) => [`$KV.${names.onceBucket}.${actor}.*.*`], kvKeys(names.onceBucket)),
      ...limits.map((one) => `$KV.${names.limitsBucket}.${one}`),
      ...kvKeys(names.breakersBucket),
      `$KV.${names.workersBucket}.*`,
      ...deadLetters,
    ),
    ...worker.ask("DIRECT.GET", ...deadLetters.map((subject) => `${dead}.${subject}`)),
    ...worker.publish(
      names.replySubject("*.*"),
      ...each((actor) => [`${namespace}.done.${actor}.*`], [`${namespace}.done.>`]),
      ...workersNotices,
      names.supervisorsPresentSubject,
    ),
    ...worker.subscribe(
      ...ofDurables.map(advisoriesOf),
      names.workersSubject,
      names.supervisorsSubject,
      names.supervisorsPresentSubject,
      ...each((actor) => [names.workerSubject(actor)], [names.workerSubject(">")]),
      ...workersNotices,
    ),
    // Whether those that others made were made anew while the worker was cut off.
    ...worker.ask("STREAM.INFO", payloads, bodies, ...new Set(foreign)),
    ...worker.ask("STREAM.MSG.GET", payloads),
    ...worker.store(...chunks(names.payloadsBucket), ...chunks(names.bodiesBucket)),

    ...connect("monitor"),
    ...monitor.ask("CONSUMER.INFO", ...anyDurable),
    ...monitor.ask("DIRECT.GET", ...own),

    ...connect("provisioner"),
    ...provisioner.ask("STREAM.INFO", bodies, payloads),
    ...provisioner.ask("STREAM.CREATE", ...own, ...kv(...names.buckets), bodies, payloads),
    ...provisioner.ask("STREAM.UPDATE", ...own, ...kv(...names.buckets), bodies, payloads),
    ...provisioner.ask("CONSUMER.INFO", ...anyDurable),
    // What the client makes durables with that have several filters, and updates them.
    ...provisioner.ask("CONSUMER.DURABLE.CREATE", ...anyDurable),
    ...provisioner.ask("CONSUMER.PAUSE", ...anyDurable),
    // One process at a time changes an actor's durables, and none takes an ack-wait from a worker that needs it.
    // A lane gets a durable of its own once none of its messages is in hand.
    ...provisioner.ask("STREAM.MSG.GET", ...kv(names.workersBucket), tasks),
    ...provisioner.store(`$KV.${names.workersBucket}.${holdKey("")}*`),

    ...connect("admin"),
    ...admin.publish("$JS.API.STREAM.NAMES"),
    ...admin.ask("STREAM.INFO", bodies, payloads),
    // Streams that somebody else made, and actors may subscribe to, are found out by asking for the consumers of each.
    ...admin.ask("CONSUMER.LIST", "*"),
    ...admin.ask("CONSUMER.INFO", ...anyDurable),
    ...admin.ask("CONSUMER.PAUSE", ...anyDurable),
    ...admin.ask("CONSUMER.DELETE", ...anyDurable),
    ...admin.ask(
      "STREAM.MSG.GET",
      ...own,
      ...kv(names.resultsBucket, names.runsBucket, ...shared, names.workersBucket),
      bodies,
    ),
    ...admin.ask("DIRECT.GET", ...own),
    // What is sent again, dead letters and stranded messages, is then deleted; also large ones with their bodies.
    ...admin.ask("STREAM.MSG.DELETE", tasks, schedule, dead),
    ...admin.store(
      `${namespace}.task.>`,
      names.dueSubject(">", "*"),
      ...chunks(names.payloadsBucket),
      ...chunks(names.bodiesBucket),
    ),
    ...admin.store(...kvKeys(...shared), `$KV.${names.workersBucket}.${holdKey("")}*`),
    ...admin.publish(...notices, names.workersSubject, names.supervisorsSubject, names.workerSubject(">")),
    ...admin.subscribe(names.replySubject("*.*")),
  ];
}

/** Keys of the limits bucket: what the actors' limits have there, one that goes by keys also below its own. */
function limitKeys(actors: readonly ResolvedConfig[] | undefined): string[] {
  const keysOf = (base: string, byKey: unknown): string[] => (byKey === undefined ? [base] : [base, `${base}.*`]);
  return (
    actors?.flatMap(({ rateLimit, concurrencyLimit }) => [
      ...(rateLimit ? keysOf(recordKey(rateLimit.name), rateLimit.key) : []),
      ...(concurrencyLimit ? keysOf(concurrencyKey(concurrencyLimit.name), concurrencyLimit.key) : []),
    ]) ?? ["*", "*.*", `${concurrencyPrefix}*.*`]
  );
}

/** Each once, and none that another one holds. */
export function narrowest(subjects: readonly string[]): string[] {
  const unique = [...new Set(subjects)];
  return unique.filter((one) => !unique.some((other) => other !== one && subjectMatches(other, one)));
}
