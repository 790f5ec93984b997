/** Logs: pino, one line for each failure, with id, actor and attempt; on standard error, so that standard output stays for data. */
import type { EventEmitter } from "node:events";
import { pino, type DestinationStream } from "pino";
import { ConfigError, toError } from "../kernel/errors.ts";
import type { Logger } from "../kernel/logger.ts";
import { hidden, redact } from "./redact.ts";
import type { MessageRef, WorkerEvents } from "../worker/events.ts";

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

export interface LogSettings {
  /** Default `"info"`. */
  level?: LogLevel;
  /**
   * What else is to be hidden: pino's paths, such as `"order.iban"` or `"*.iban"`. Fields called `password`, `token`, `authorization` and
   * the like are hidden anyway, up to four levels down, in errors too. `false` hides nothing.
   */
  redact?: readonly string[] | false;
}

/**
 * A pino logger that writes JSON lines.
 * @param destination default: standard error. @throws ConfigError for a path that is none.
 */
export function createLogger(
  { level = "info", redact: paths = [] }: LogSettings = {},
  destination = standardError(),
): Logger {
  const base = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (paths === false) return pino(base, destination);
  const { err } = pino.stdSerializers;
  try {
    return withRedactedChildren(
      pino(
        {
          ...base,
          // An error is left to its serializer, which finds its message and causes.
          formatters: { log: (fields) => redact(fields, "err") },
          serializers: { err: (thrown: unknown) => (isObject(thrown) ? redact(err(thrown as Error)) : thrown) },
          redact: { paths: [...paths], censor: hidden },
        },
        destination,
      ),
    );
  } catch (thrown) {
    const cause = toError(thrown);
    throw new ConfigError(`log.redact holds what is no path of pino's (${cause.message}); write it as "order.iban".`, {
      cause,
    });
  }
}

/** Anything may have been thrown, and some lines have an error's message alone. */
const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

function standardError(): DestinationStream {
  return pino.destination({ dest: 2, sync: true });
}

/** pino formats the fields of a line, and not those of a child. Children inherit this. */
function withRedactedChildren(log: Logger): Logger {
  const child: (fields: Record<string, unknown>, ...more: unknown[]) => Logger = Reflect.get(log, "child");
  return Object.assign(log, {
    child(this: Logger, fields: Record<string, unknown>, ...more: unknown[]): Logger {
      return Reflect.apply(child, this, [redact(fields), ...more]);
    },
  });
}

/** Writes what goes wrong in a worker. */
export function logWorker(worker: EventEmitter<WorkerEvents>, log: Logger): void {
  const fields = ({ actor, id, stream, sequence, attempt, deliveries, traceId, spanId }: MessageRef): object => ({
    actor,
    id,
    at: `${stream}:${sequence}`,
    attempt,
    deliveries,
    ...(traceId !== undefined && { trace_id: traceId, span_id: spanId }),
  });
  worker.on("retry", (e) =>
    log.warn({ ...fields(e), err: e.error, delayMs: e.delayMs }, "failed, will be tried again"),
  );
  worker.on("dead", (e) => log.error({ ...fields(e), reason: e.reason, err: e.error }, "dead letter"));
  // Deferrals are many where a guard is at work, and cost no attempt.
  worker.on("deferred", (e) =>
    log.debug({ ...fields(e), reason: e.reason, delayMs: e.delayMs }, "put back, will be tried again"),
  );
  worker.on("stalled", (e) => log.warn({ ...fields(e), stalls: e.stalls }, "an earlier run died with its worker"));
  worker.on("lost", (e) => {
    if (e.reason === "in-hand") log.debug(fields(e), "delivered again although in hand; the first delivery goes on");
    else if (e.reason === "completed") log.debug(fields(e), "an earlier delivery had completed late; not run again");
    else log.warn({ ...fields(e), reason: e.reason }, "no longer this worker's; its result was dropped");
  });
  worker.on("breaker", ({ name, state, shared, error, actors, probeAtMs }) => {
    const what = {
      breaker: name,
      state,
      shared,
      actors,
      ...(probeAtMs !== undefined && { probeAt: new Date(probeAtMs).toISOString() }),
      ...(error !== undefined && { err: error }),
    };
    if (state === "open") log.warn(what, "the circuit is open; its actors wait for the next probe");
    else log.info(what, state === "closed" ? "the circuit is closed" : "the circuit is half-open: probing");
  });
  worker.on("overdue", (e) =>
    log.warn({ ...fields(e), limitMs: e.limitMs }, "past its hard time limit, and its handler has not ended"),
  );
  worker.on("abandoned", (e) =>
    log.error(
      { ...fields(e), ms: Math.round(e.ms) },
      'its handler was abandoned and may run on for ever; let it heed ctx.signal, or set isolate: "thread"',
    ),
  );
  worker.on("blocked", (e) =>
    log.warn(
      { actors: e.actors, certain: e.certain, ms: Math.round(e.ms), cpuMs: Math.round(e.cpuMs) },
      'the event loop stood still, and every other handler with it; give the actor isolate: "thread", or shorter steps',
    ),
  );
  worker.on("rebuilt", ({ actor, stream, durable, messages, silentMs, times }) =>
    log.warn(
      { actor, stream, durable, messages, silentMs: Math.round(silentMs), times },
      times === 1
        ? "messages waited, handlers were free, and nothing came; its puller was begun anew"
        : "its puller was begun anew again, and nothing came in between; does the server refuse its pulls?",
    ),
  );
  worker.on("problem", (e) => log.error({ actor: e.actor, error: brief(e.error) }, "problem"));
}

/** For what is no handler's doing: its sentence says all that there is to know. */
function brief(error: Error): string {
  return `${error.name}: ${error.message}`;
}
