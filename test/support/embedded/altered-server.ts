/** A real nats-server, embedded, whose config is not ours: it demands credentials, has less room, or is one of a cluster. */
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
  /** Further settings of its config, and of its JetStream. Without `'`, `|`, `&` and `\\`. */
  config?: object;
  jetstream?: object;
}

/** Starts it through a script that stands in for the binary and alters what that is given. */
export async function alteredServer(alterations: Alterations): Promise<EmbeddedServer> {
  const { args = [], maxFileStoreBytes, config, jetstream } = alterations;
  const folder = await mkdtemp(join(tmpdir(), "godwit-altered-"));
  const lines = [`[ "$1" = -c ] || exec '${await findBinary()}' "$@"`];
  const edits: string[] = [];
  if (maxFileStoreBytes !== undefined) edits.push(`s/"max_file_store": [0-9]*/"max_file_store": ${maxFileStoreBytes}/`);
  if (jetstream !== undefined) edits.push(`s|"jetstream": {|&${inner(jetstream)}|`);
  if (config !== undefined) edits.push(`1s|{|&${inner(config)}|`);
  if (edits.length > 0) {
    lines.push(`config=$(sed '${edits.join(";")}' "$2")`);
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

/** Members of a JSON object, to stand before others. */
function inner(object: object): string {
  return `${JSON.stringify(object).slice(1, -1)},`;
}
