/** The one error tree. Every error has a stable `code`, one sentence that says what, where and how to mend it, and a `cause`. */
export { causeCode, causesOf, isError, messageOf, stackOf, toError } from "./thrown.ts";

const brand = Symbol.for("godwit.error");

/** Base of every error that Godwit throws. Match on `code`, never on the text. */
export class GodwitError extends Error {
  /** Stable, upper-case, for programs: `"INVALID_CONFIG"`. */
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    Object.defineProperty(this, brand, { value: true });
  }

  /** By its name where the error is of another copy of this package, such as one in a bundle. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (Function.prototype[Symbol.hasInstance].call(this, value)) return true;
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, brand)) return false;
    for (
      let at = Object.getPrototypeOf(value) as object | null;
      at !== null;
      at = Object.getPrototypeOf(at) as object
    ) {
      if (Object.hasOwn(at, "constructor") && at.constructor.name === this.name) return true;
    }
    return false;
  }
}

/** An option, a config key or a command-line argument is unknown or ill-typed. */
export class ConfigError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("INVALID_CONFIG", message, options);
  }
}

/** A name, an id or a subject that NATS or Godwit cannot carry. */
export class InvalidNameError extends GodwitError {
  constructor(message: string) {
    super("INVALID_NAME", message);
  }
}

/** A body that does not fit its schema, on the sending side or the receiving side. */
export class InvalidMessageError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("INVALID_MESSAGE", message, options);
  }
}

/** Bytes that cannot be turned into a value: truncated, of an unknown content type, or hostile. */
export class DecodeError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("UNDECODABLE", message, options);
  }
}

/** A value that no codec can carry, such as a function or a circular object. */
export class EncodeError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("UNENCODABLE", message, options);
  }
}

/** No server answers at the given addresses. */
export class ConnectError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("NO_SERVER", message, options);
  }
}

/** The server refused the credentials, or wants some and was given none. */
export class NotAuthorizedError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("NOT_AUTHORIZED", message, options);
  }
}

/** No TLS with the server: it has none, its certificate is not trusted, or it does not trust the client's. */
export class TlsError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("TLS_FAILED", message, options);
  }
}

/** The server is older than Godwit's floor, or runs without JetStream. */
export class UnsupportedServerError extends GodwitError {
  constructor(message: string) {
    super("UNSUPPORTED_SERVER", message);
  }
}

/** No nats-server binary can be had for the embedded server, or it did not start. */
export class EmbeddedServerError extends GodwitError {
  constructor(
    code: "NO_SERVER_BINARY" | "SERVER_START_FAILED" | "STORE_LOCKED",
    message: string,
    options?: { cause?: unknown },
  ) {
    super(code, message, options);
  }
}

/** What is to be served over HTTP cannot have its port: it is in use, not allowed, or not of this host. */
export class ListenError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("PORT_UNAVAILABLE", message, options);
  }
}

/** A stream, bucket or durable exists with settings that cannot be changed to the declared ones. */
export class TopologyMismatchError extends GodwitError {
  /** What is not there at all, such as `stream godwit_TASKS`; `undefined` where settings differ. */
  readonly missing: string | undefined;

  constructor(message: string, options: { cause?: unknown; missing?: string } = {}) {
    super("TOPOLOGY_MISMATCH", message, options);
    this.missing = options.missing;
  }
}

/** The stream, or one actor's share of it, is full. Nothing was stored; send again later. */
export class QueueFullError extends GodwitError {
  readonly stream: string;
  /** What the stream takes: messages of one actor in one lane, or bytes in all. Undefined where the server's own room is short. */
  readonly limit: { messages: number } | { bytes: number } | undefined;

  constructor(stream: string, message: string, limit?: { messages: number } | { bytes: number }) {
    super("QUEUE_FULL", message);
    this.stream = stream;
    this.limit = limit;
  }
}

/** The message is larger than the server, or `payload.maxBytes`, takes, and cannot travel otherwise. Nothing was sent. */
export class PayloadTooLargeError extends GodwitError {
  readonly sizeBytes: number;
  readonly limitBytes: number;

  /** @param message where it is not the server's limit that is in the way. */
  constructor(
    subject: string,
    sizeBytes: number,
    limitBytes: number,
    message = `The message for '${subject}' has ${sizeBytes} bytes with its headers and the server takes ${limitBytes}; send a reference to the data, or raise max_payload on the server.`,
    options?: { cause?: unknown },
  ) {
    super("PAYLOAD_TOO_LARGE", message, options);
    this.sizeBytes = sizeBytes;
    this.limitBytes = limitBytes;
  }
}

/** The server refused the message for a reason that sending again will not mend. */
export class PublishError extends GodwitError {
  /** JetStream's own error code, such as 10071; 0 where it gave none. */
  readonly apiCode: number;

  constructor(message: string, apiCode: number) {
    super("PUBLISH_REFUSED", message);
    this.apiCode = apiCode;
  }
}

/** No answer from the server in time: the message may or may not be stored. The same id may be sent again. */
export class PublishTimeoutError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("PUBLISH_TIMEOUT", message, options);
  }
}

/** Nobody took the message in time: there was no connection, or nobody answered for its stream. It is not stored. */
export class NotStoredError extends GodwitError {
  constructor(message: string) {
    super("NOT_STORED", message);
  }
}

/** The asked task did not answer in time. It goes on if it has begun, else it waits for a worker until it expires. */
export class AskTimeoutError extends GodwitError {
  readonly id: string;

  constructor(id: string, message: string) {
    super("ASK_TIMEOUT", message);
    this.id = id;
  }
}

/** `waitFor` of `godwit/testing` waited in vain. The cause is the last error of a handler, where one failed meanwhile. */
export class WaitTimeoutError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("WAIT_TIMEOUT", message, options);
  }
}

/** An ask whose id was sent before, and no stored result to answer it from. */
export class DuplicateError extends GodwitError {
  readonly id: string;

  constructor(id: string, message: string) {
    super("DUPLICATE", message);
    this.id = id;
  }
}

/**
 * The asked task became a dead letter: `reason` says why, the text carries the handler's error. Or it completed with a result that
 * cannot be sent: `reason` is `"unanswerable"`.
 */
export class TaskFailedError extends GodwitError {
  readonly id: string;
  readonly reason: string;

  constructor(id: string, reason: string, message: string, options?: { cause?: unknown }) {
    super("TASK_FAILED", message, options);
    this.id = id;
    this.reason = reason;
  }
}

/** A module, folder or name from which no actor can be had. */
export class ActorNotFoundError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("NO_ACTOR", message, options);
  }
}

/** An actor's `start()` threw, and `cause` is what; or it did not end in time. The worker did not start. */
export class ActorStartError extends GodwitError {
  readonly actor: string;

  /** @param cause what it threw, or the milliseconds that it had. */
  constructor(actor: string, cause: Error | number) {
    const why =
      typeof cause === "number"
        ? `did not end within ${cause} ms; mend that, or raise startTimeout of work()`
        : `threw (${cause.name}: ${cause.message}); mend that and start the worker again`;
    super(
      "ACTOR_START_FAILED",
      `The actor ${actor} could not start, because its start() ${why}.`,
      typeof cause === "number" ? undefined : { cause },
    );
    this.actor = actor;
  }
}

/** The first worker process of a group ended before it was ready. `WORKER_START_FAILED`. */
export class WorkerStartError extends GodwitError {
  /** @param how it ended, such as `exit code 1`. */
  constructor(how: string) {
    super(
      "WORKER_START_FAILED",
      `The first worker process ended with ${how} before it was ready, so no other was started; mend what it says above.`,
    );
  }
}

/** Groups of worker processes were not replaced by `godwit restart`. `RESTART_FAILED`. */
export class RestartError extends GodwitError {
  constructor(message: string) {
    super("RESTART_FAILED", message);
  }
}

/** The handler ran past its actor's hard time limit, or the check of its input took as long: the attempt has failed. */
export class TimeLimitError extends GodwitError {
  readonly actor: string;
  readonly limitMs: number;

  constructor(
    actor: string,
    limitMs: number,
    message = `The handler of ${actor} did not end within its hard time limit of ${limitMs} ms; let it heed ctx.signal, or raise timeLimit.hard.`,
  ) {
    super("TIME_LIMIT", message);
    this.actor = actor;
    this.limitMs = limitMs;
  }
}

/** A thread in which an isolated actor ran has ended by itself: the attempt has failed. */
export class ThreadError extends GodwitError {
  readonly actor: string;

  constructor(actor: string, why: string, options?: { cause?: unknown }) {
    super("THREAD_ENDED", `A thread of the isolated actor ${actor} has ended, and is replaced: ${why}.`, options);
    this.actor = actor;
  }
}

/** Two JetStream domains store the same messages, so all runs twice. Told as a problem; no call throws it. `TWO_DOMAINS`. */
export class TwoDomainsError extends GodwitError {
  constructor(subject: string, own: string | undefined, other: string | undefined) {
    const [here, there] = [own, other].map((domain) => (domain === undefined ? "without a name" : `'${domain}'`));
    super(
      "TWO_DOMAINS",
      `A message for '${subject}' was stored in the JetStream domain ${there} too, beside the domain ${here} of this connection, so it runs twice; keep the namespace in one of them: delete its streams in the other, and name the one that is kept with { domain } or --domain on both sides.`,
    );
  }
}

/** The thing was stopped or closed and takes no more work. */
export class ClosedError extends GodwitError {
  constructor(what: string) {
    super("CLOSED", `The ${what} is closed; connect again to go on.`);
  }
}

/** The stored thing asked for (a dead letter, a message, a consumer) is not there. */
export class NotFoundError extends GodwitError {
  constructor(message: string) {
    super("NOT_FOUND", message);
  }
}

/** What is to be removed still serves: workers listen to it, or messages wait for it. */
export class InUseError extends GodwitError {
  constructor(message: string) {
    super("IN_USE", message);
  }
}

/** The dashboard does not let this request do what it asks. */
export class AccessError extends GodwitError {
  constructor(code: "NO_TOKEN" | "TOO_MANY_GUESSES" | "READ_ONLY" | "CROSS_SITE" | "WRONG_HOST", message: string) {
    super(code, message);
  }
}
