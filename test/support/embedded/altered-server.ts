/** A real nats-server, embedded, that demands credentials or has less room than ours. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findBinary } from "../../../src/broker/embedded/binary.ts";
import { EmbeddedServer } from "../../../src/broker/embedded/server.ts";
import { fakeCommand } from "./fakes.ts";

export interface Alterations {
  /** Further arguments of nats-server, such as `--user me --pass secret`. Without `'`. */
  args?: readonly string[];
  /** Room for streams in files. */
  maxFileStoreBytes?: number;
}

/** Starts it through a script that stands in for the binary and alters what that is given. */
export async function alteredServer({ args = [], maxFileStoreBytes }: Alterations): Promise<EmbeddedServer> {
  const folder = await mkdtemp(join(tmpdir(), "godwit-altered-"));
  const lines = [`[ "$1" = -c ] || exec '${await findBinary()}' "$@"`];
  if (maxFileStoreBytes !== undefined) {
    lines.push(`config=$(sed 's/"max_file_store": [0-9]*/"max_file_store": ${maxFileStoreBytes}/' "$2")`);
    lines.push(`printf '%s\\n' "$config" > "$2"`);
  }
  lines.push(`exec '${await findBinary()}' "$@" ${args.map((arg) => `'${arg}'`).join(" ")}`);
  try {
    const script = await fakeCommand(folder, "nats-server", lines.join("\n"));
    return await EmbeddedServer.start({ env: { ...process.env, NATS_SERVER_BIN: script } });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
