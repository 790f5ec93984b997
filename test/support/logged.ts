/** A logger that remembers its lines. */
import type { Logger } from "../../src/index.ts";

export interface Line {
  level: string;
  message: string | undefined;
  [field: string]: unknown;
}

export function logged(): { log: Logger; lines: () => Line[] } {
  const lines: Line[] = [];
  const at =
    (level: string) =>
    (fields: object | string, message?: string): void =>
      void lines.push(typeof fields === "string" ? { level, message: fields } : { level, message, ...fields });
  const log: Logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error"), child: () => log };
  return { log, lines: () => lines };
}
