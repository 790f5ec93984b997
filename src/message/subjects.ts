/** Every subject, stream, bucket and durable name, spelled once. All sit under a namespace, so that systems share a cluster. */
import { key, type Lane } from "./names.ts";

/** Where a stored message came from, read off its subject. */
export type Origin =
  { kind: "task" | "due"; lane: Lane; actor: string } | { kind: "event"; event: string } | { kind: "foreign" };

/** The names of one namespace. */
export class Names {
  readonly namespace: string;
  readonly tasks: string;
  readonly schedule: string;
  readonly events: string;
  readonly dead: string;
  readonly resultsBucket: string;
  readonly runsBucket: string;
  readonly bodiesBucket: string;
  readonly payloadsBucket: string;
  readonly limitsBucket: string;
  readonly breakersBucket: string;
  readonly onceBucket: string;
  readonly workersBucket: string;
  /** Core subject on which every worker can be asked. */
  readonly workersSubject: string;
  /** Core subject on which every supervisor of a group of workers can be asked. */
  readonly supervisorsSubject: string;
  /** Core subject on which every supervisor says that it is there. */
  readonly supervisorsPresentSubject: string;

  constructor(namespace: string) {
    this.namespace = namespace;
    this.tasks = `${namespace}_TASKS`;
    this.schedule = `${namespace}_SCHEDULE`;
    this.events = `${namespace}_EVENTS`;
    this.dead = `${namespace}_DEAD`;
    this.resultsBucket = `${namespace}_results`;
    this.runsBucket = `${namespace}_runs`;
    this.bodiesBucket = `${namespace}_bodies`;
    this.payloadsBucket = `${namespace}_payloads`;
    this.limitsBucket = `${namespace}_limits`;
    this.breakersBucket = `${namespace}_breakers`;
    this.onceBucket = `${namespace}_once`;
    this.workersBucket = `${namespace}_workers`;
    this.workersSubject = `${namespace}.workers`;
    this.supervisorsSubject = `${namespace}.supervisors`;
    this.supervisorsPresentSubject = `${namespace}.supervisors.present`;
  }

  /** Every key-value bucket. */
  get buckets(): string[] {
    return [
      this.resultsBucket,
      this.runsBucket,
      this.limitsBucket,
      this.breakersBucket,
      this.onceBucket,
      this.workersBucket,
    ];
  }

  /** Where a task is published; `*` for every lane. */
  taskSubject(actor: string, lane: Lane | "*" = "normal"): string {
    return `${this.namespace}.task.${lane}.${actor}`;
  }

  /** Where a fired schedule of a task arrives. */
  dueSubject(actor: string, lane: Lane | "*" = "normal"): string {
    return `${this.namespace}.due.${lane}.${actor}`;
  }

  /** Where a task waits for its time: one subject for each id, so that sending again reschedules. */
  scheduleSubject(actor: string, id: string): string {
    return `${this.namespace}.schedule.${actor}.${key(id)}`;
  }

  /** Every task of one actor, or of all, that waits for its time. */
  scheduleFilter(actor?: string): string {
    return actor === undefined ? `${this.namespace}.schedule.>` : `${this.namespace}.schedule.${actor}.*`;
  }

  eventSubject(subject: string): string {
    return `${this.namespace}.event.${subject}`;
  }

  /** Ends in the origin's stream and sequence, so that one message has one dead letter for each actor. */
  deadSubject(actor: string, stream: string, sequence: number): string {
    return `${this.namespace}.dead.${actor}.${stream}.${sequence}`;
  }

  /** Every dead letter of one actor, or of all. */
  deadFilter(actor?: string): string {
    return actor === undefined ? `${this.namespace}.dead.>` : `${this.namespace}.dead.${actor}.*.*`;
  }

  /** `address` is `<asker>.<n>`. */
  replySubject(address: string): string {
    return `${this.namespace}.reply.${address}`;
  }

  /** Core subject that asks: does a worker serve this actor? */
  workerSubject(actor: string): string {
    return `${this.namespace}.worker.${actor}`;
  }

  /** Core subject that says: the result of this task has been stored. */
  doneSubject(actor: string, id: string): string {
    return `${this.namespace}.done.${actor}.${key(id)}`;
  }

  /** Core subject that says: this key of the bucket has been written. */
  noticeSubject(bucket: string, bucketKey: string): string {
    return `${this.namespace}.notice.${bucket}.${bucketKey}`;
  }

  /** KV key of a stored result. */
  resultKey(actor: string, id: string): string {
    return `${actor}.${key(id)}`;
  }

  /** KV key of a runs record. */
  runsKey(stream: string, sequence: number, durable: string): string {
    return `${stream}.${sequence}.${durable}`;
  }

  /**
   * The durable of an actor on any stream. A lane of its own is set off by `=`, which key() only ever writes before two
   * upper-case hex digits, so no other actor can have the same name.
   */
  durable(actor: string, lane?: Lane): string {
    return lane ? `${key(actor)}=${lane}` : key(actor);
  }

  /** The durable of an actor on a stream that Godwit does not own; the namespace keeps systems apart. */
  foreignDurable(actor: string): string {
    return `${this.namespace}=on=${key(actor)}`;
  }

  /**
   * Whose a body in the object store is: what its message goes to, and its id.
   * @param subject under which it is handed out. @param event of an event that comes again as a task: `<stream> <subject>`.
   */
  bodyOwner(subject: string, event: string | undefined, id: string): string {
    if (event !== undefined) return `event ${event.split(" ", 2)[1] ?? ""}|${id}`;
    const [namespace, kind = "", lane = ""] = subject.split(".", 3);
    const goesToActor = namespace === this.namespace && (kind === "task" || kind === "due");
    const target = goesToActor
      ? `actor ${subject.slice(namespace.length + kind.length + lane.length + 3)}`
      : `event ${subject}`;
    return `${target}|${id}`;
  }

  /** What a stored message is, from its stream and subject. */
  origin(stream: string, subject: string): Origin {
    const rest = subject.startsWith(`${this.namespace}.`) ? subject.slice(this.namespace.length + 1) : "";
    const [kind = "", lane = ""] = rest.split(".", 2);
    if ((stream === this.tasks && kind === "task") || (stream === this.schedule && kind === "due")) {
      return { kind, lane: lane as Lane, actor: rest.slice(kind.length + lane.length + 2) };
    }
    if (stream === this.events && kind === "event") return { kind: "event", event: rest.slice("event.".length) };
    return { kind: "foreign" };
  }
}

/** Actor, origin stream and origin sequence of a dead letter, from its subject; undefined where it is no letter's. */
export function parseDead(subject: string): { actor: string; stream: string; sequence: number } | undefined {
  const [, actor, stream, sequence] = /^[^.]+\.dead\.(.+)\.([^.]+)\.(\d{1,16})$/.exec(subject) ?? [];
  return actor === undefined || stream === undefined ? undefined : { actor, stream, sequence: Number(sequence) };
}
