/** The options of the embedded server, checked, with their defaults. */
import { mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ConfigError } from "../../kernel/errors.ts";

/** How to start an embedded server. */
export interface EmbeddedServerOptions {
  /** Where streams, log and lock live; made if missing. Default: a fresh temporary folder, removed at `stop()`. */
  readonly storeDir?: string | undefined;
  /** TCP port on 127.0.0.1. Default: a free one, chosen by the server. */
  readonly port?: number | undefined;
  /** Largest message, headers included. Default: the server's own, 1 MiB. */
  readonly maxPayloadBytes?: number | undefined;
  /** Environment in which the binary is looked up and run. Default: `process.env`. */
  readonly env?: NodeJS.ProcessEnv | undefined;
}

const known: ReadonlySet<string> = new Set([
  "storeDir",
  "port",
  "maxPayloadBytes",
  "env",
] satisfies (keyof EmbeddedServerOptions)[]);

/** @throws ConfigError for an unknown key or a value that cannot be. */
export function checkOptions(options: EmbeddedServerOptions): void {
  for (const key of Object.keys(options)) {
    if (!known.has(key))
      throw new ConfigError(`The embedded server has no option '${key}'; it has ${[...known].join(", ")}.`);
  }
  const { storeDir, port, maxPayloadBytes } = options;
  if (storeDir !== undefined && (typeof storeDir !== "string" || storeDir === "")) {
    throw new ConfigError(
      "The embedded server's storeDir must be the path of a folder; leave it out for a temporary one.",
    );
  }
  checkInteger("port", port, 65_535);
  checkInteger("maxPayloadBytes", maxPayloadBytes, 64 * 1024 * 1024);
}

/** The store folder, absolute and existing; `temporary` when it was made for this start alone. */
export async function makeStore(storeDir: string | undefined): Promise<{ path: string; temporary: boolean }> {
  if (storeDir === undefined) return { path: await mkdtemp(join(tmpdir(), "godwit-")), temporary: true };
  const path = resolve(storeDir);
  await mkdir(path, { recursive: true });
  return { path, temporary: false };
}

function checkInteger(name: string, value: number | undefined, max: number): void {
  if (value === undefined) return;
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new ConfigError(
      `The embedded server's ${name} is ${String(value)}; it must be a whole number from 1 to ${max}.`,
    );
  }
}
