/**
 * Importing: whether what runs now was started by a module that a thread imports for its actor. With actor and program in one file each
 * thread would start the program again, and with it more threads.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { ConfigError } from "./errors.ts";

interface Import {
  actor: string;
  module: string;
  onRefused: (refusal: ConfigError) => void;
}

// One for all copies of Godwit in the thread.
const importing = Symbol.for("godwit.importing");
const holder = globalThis as { [importing]?: AsyncLocalStorage<Import> };
const imports = (holder[importing] ??= new AsyncLocalStorage<Import>());

/**
 * Imports a module in a thread. What it starts meanwhile may connect no system, then or later.
 * @param onRefused is told where it tries.
 */
export function importInThread(one: Import): Promise<Record<string, unknown>> {
  return imports.run(one, () => import(one.module) as Promise<Record<string, unknown>>);
}

/** @throws ConfigError where a module that is imported for its actor has come to this. */
export function checkNotImporting(what: string): void {
  const started = imports.getStore();
  if (started === undefined) return;
  const { actor, module, onRefused } = started;
  const refusal = new ConfigError(
    `The module ${module} of the isolated actor ${actor} calls ${what} when it is imported, and every thread imports it; put the class in a file of its own that starts nothing, with module: import.meta.url there.`,
  );
  onRefused(refusal);
  throw refusal;
}
