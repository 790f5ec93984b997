/** Collects what a system logs, so that a test can look at it. */
import type { Logger } from "../../src/index.ts";

export interface LogLine {
  level: "debug" | "info" | "warn" | "error";
  /** Those of the logger's parents included. */
  fields: Record<string, unknown>;
  message: string;
}

/** `log` is for the option of that name, `lines` is what came, in order. */
export function collectLogs(): { log: Logger; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const logger = (parents: Record<string, unknown>): Logger => {
    const write =
      (level: LogLine["level"]) =>
      (first: string | object, message = ""): void => {
        const own = typeof first === "string" ? {} : first;
        lines.push({ level, fields: { ...parents, ...own }, message: typeof first === "string" ? first : message });
      };
    return {
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
      child: (fields) => logger({ ...parents, ...fields }),
    };
  };
  return { log: logger({}), lines };
}
