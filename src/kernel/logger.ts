/** The logger that actors and the worker are handed; pino's loggers fit it. */
import { toError } from "./errors.ts";
import { isPromise } from "./options.ts";

type LogMethod = {
  (message: string): void;
  (fields: object, message?: string): void;
};

export interface Logger {
  debug: LogMethod;
  info: LogMethod;
  warn: LogMethod;
  error: LogMethod;
  child(fields: Record<string, unknown>): Logger;
}

const nothing = (): void => undefined;

/** Says nothing. */
export const silentLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => silentLogger,
};

/** A user's logger, whose failures end no message: the process is warned of the first, and the lines are lost. */
export function forgivingLogger(logger: Logger): Logger {
  let warned = false;
  const failed = (thrown: unknown): void => {
    if (warned) return;
    warned = true;
    process.emitWarning(
      `The logger that Godwit was given failed (${toError(thrown).message}), and may lose lines; mend it.`,
    );
  };
  const wrap = (own: Logger): Logger =>
    // What a logger has frozen, a proxy of itself could not wrap.
    new Proxy(Object.create(own) as Logger, {
      get: (_target, key): unknown => {
        const value: unknown = Reflect.get(own, key, own);
        if (typeof value !== "function") return value;
        return (...given: unknown[]): unknown => {
          try {
            const answer: unknown = Reflect.apply(value, own, given);
            if (isPromise(answer)) answer.then(undefined, failed);
            if (key !== "child") return answer;
            if (isLogger(answer)) return wrap(answer);
            failed(new Error("its child() gave no logger"));
          } catch (thrown) {
            failed(thrown);
          }
          return key === "child" ? wrap(own) : undefined;
        };
      },
    });
  return wrap(logger);
}

function isLogger(value: unknown): value is Logger {
  return typeof value === "object" && value !== null && typeof (value as { error?: unknown }).error === "function";
}
