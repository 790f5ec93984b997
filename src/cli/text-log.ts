/** Logs for people: one short line each, an error's stack below it, on standard error. Programs ask for JSON and get pino's. */
import { pathToFileURL } from "node:url";
import { formatMs } from "../kernel/duration.ts";
import { isError, messageOf, stackOf } from "../kernel/errors.ts";
import type { Logger } from "../kernel/logger.ts";
import { redact } from "../observe/redact.ts";
import { clean } from "./io.ts";

export const logLevels = ["debug", "info", "warn", "error"] as const;
export type TextLogLevel = (typeof logLevels)[number];

type Fields = Record<string, unknown>;

/** A logger that writes `14:05:11 warn  payments.charge p1: failed, will be tried again in 1 s (Error: boom)`. */
export function textLogger(least: TextLogLevel, bound: Fields = {}): Logger {
  const at = (level: TextLogLevel) => {
    if (logLevels.indexOf(level) < logLevels.indexOf(least)) return () => undefined;
    return (first: object | string, second?: string) => {
      const fields = typeof first === "string" ? bound : { ...bound, ...first };
      const message = typeof first === "string" ? first : (second ?? "");
      const clock = new Date().toTimeString().slice(0, 8);
      const below = level === "error" || least === "debug" ? stack(fields) : "";
      process.stderr.write(`${clock} ${level.padEnd(5)} ${clean(sentence(fields, message))}\n${below}`);
    };
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => textLogger(least, { ...bound, ...fields }),
  };
}

/** The fields that Godwit's own lines have, in words; any others as they are. */
function sentence(fields: Fields, message: string): string {
  const {
    actor,
    id,
    error,
    err,
    reason,
    delayMs,
    attempt,
    at: _at,
    deliveries: _deliveries,
    ...others
  } = redact(fields, "err");
  const who = [actor, id].filter((one) => typeof one === "string").join(" ");
  const details = [
    typeof reason === "string" && reason,
    typeof attempt === "number" && attempt > 1 && `attempt ${attempt}`,
    textOf(error ?? err),
    ...Object.entries(others).map(([name, value]) => `${name} ${textOf(value)}`),
  ].filter((one) => typeof one === "string" && one !== "");
  const later = typeof delayMs === "number" ? ` in ${formatMs(delayMs)}` : "";
  return `${who && `${who}: `}${message}${later}${details.length > 0 ? ` (${details.join(", ")})` : ""}`;
}

/** The lines below a handler's error; paths from here, so that they are short. Where no run had begun they would be Godwit's own. */
function stack({ err, attempt }: Fields): string {
  if (!isError(err) || attempt === 0) return "";
  const here = `${pathToFileURL(process.cwd()).href}/`;
  const lines = stackOf(err).split("\n").slice(1);
  const kept = lines.filter((line) => !line.includes("(node:internal/"));
  return kept.map((line) => `${clean(line.replace(here, "")).replace(/^caused by/, "  caused by")}\n`).join("");
}

function textOf(value: unknown): string {
  if (isError(value)) return `${value.name}: ${messageOf(value)}`;
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}
