/** The logger that actors and the worker are handed; pino's loggers fit it. */

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
