/** Arguments and options, checked as they are read: what is wrong is wrong usage, and nothing has been tried yet. */
import { Option } from "commander";
import { toMs } from "../kernel/duration.ts";
import { toError } from "../kernel/errors.ts";
import { UsageError } from "./exit.ts";

/** A check of the core as commander's parser. Its sentence becomes that of the usage error. */
export function checked<T>(check: (value: string) => T): (value: string) => T {
  return (value) => {
    try {
      return check(value);
    } catch (thrown) {
      const cause = toError(thrown);
      throw new UsageError(cause.message, cause);
    }
  };
}

/** A duration in ms; digits alone are ms too. */
export function duration(option: string): (value: string) => number {
  return checked((value) => toMs(/^\d+$/.test(value) ? Number(value) : value, option));
}

/** --grace, of the commands that run workers. */
export function graceOption(when: string, defaultMs: number, shown: string): Option {
  return new Option("--grace <duration>", `time for what runs to finish ${when}`)
    .default(defaultMs, shown)
    .argParser(duration("--grace"));
}

/** A whole number of at least `min`. */
export function whole(option: string, min = 1, max = Number.MAX_SAFE_INTEGER): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (/^\d+$/.test(value) && number >= min && number <= max) return number;
    const bounds = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new UsageError(`${option} is '${value}'; it must be a whole number ${bounds}.`);
  };
}

const unitBytes = { "": 1, b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 };

/** A number of bytes: `500MB`, `1.5GB`; digits alone are bytes. Units are powers of ten. */
export function size(option: string): (value: string) => number {
  return (value) => {
    const [, number, unit = ""] = /^(\d+(?:\.\d+)?) ?(|b|kb|mb|gb|tb)$/i.exec(value) ?? [];
    const bytes = Math.floor(Number(number) * unitBytes[unit.toLowerCase() as keyof typeof unitBytes]);
    if (bytes >= 1 && bytes <= Number.MAX_SAFE_INTEGER) return bytes;
    throw new UsageError(`${option} is '${value}'; it must be a size such as 500MB or 1GB.`);
  };
}

/** One of a few words. */
export function oneOf<const Words extends readonly string[]>(
  option: string,
  words: Words,
): (value: string) => Words[number] {
  return (value) => {
    if (words.includes(value)) return value;
    throw new UsageError(`${option} is '${value}'; it must be one of ${words.join(", ")}.`);
  };
}

/** Sequences of dead letters, gathered from several arguments. */
export function sequences(value: string, before: readonly number[] | undefined): number[] {
  return [...(before ?? []), whole("A dead letter's sequence")(value)];
}
