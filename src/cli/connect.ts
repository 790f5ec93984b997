/** Connecting: the options that every command takes, and the system that it works with. */
import { resolve } from "node:path";
import { Option, type Command } from "commander";
import { filled } from "../kernel/environment.ts";
import { NotFoundError, TopologyMismatchError } from "../kernel/errors.ts";
import type { Connection } from "../broker/connection.ts";
import { checkNamespace } from "../message/names.ts";
import type { ActorSystem } from "../system/actor-system.ts";
import type { SystemOptions } from "../system/options.ts";
import { checked } from "./parse.ts";
import { textLogger } from "./text-log.ts";

export interface ConnectFlags {
  servers?: string;
  namespace: string;
  user?: string;
  pass?: string;
  token?: string;
  nkey?: string;
  creds?: string;
  tlsca?: string;
  tlscert?: string;
  tlskey?: string;
  tlsfirst?: boolean;
  inboxPrefix?: string;
  domain?: string;
}

/** Where `godwit dev` keeps its data, and is looked for by those who name no server. */
export const defaultStoreDir = ".godwit";

/**
 * Adds --servers, --namespace and the credentials.
 * @param tokenFlag what the token of the NATS account is called, where `--token` means another.
 */
export function connectOptions(command: Command, tokenFlag = "--token"): Command {
  const options = [
    new Option("-s, --servers <urls>", "NATS servers, comma-separated").env("NATS_URL"),
    namespaceOption(),
    // Where these are not given the system itself looks into the environment.
    new Option("--user <name>", "user of the NATS account (env: NATS_USER)"),
    new Option("--pass <password>", "its password (env: NATS_PASSWORD)"),
    new Option(`${tokenFlag} <token>`, "instead of user and password (env: NATS_TOKEN)"),
    new Option("--nkey <file>", "with the seed of an NKey (env: NATS_NKEY)"),
    new Option("--creds <file>", "with a JWT and its seed (env: NATS_CREDS)"),
    new Option("--tlsca <file>", "who signed the servers' certificates (env: NATS_CA)"),
    new Option("--tlscert <file>", "the client's certificate (env: NATS_CERT)"),
    new Option("--tlskey <file>", "its key (env: NATS_KEY)"),
    new Option("--tlsfirst", "TLS before the server's first word"),
    new Option("--inbox-prefix <subject>", "below which answers arrive (env: NATS_INBOX_PREFIX)"),
    new Option("--domain <name>", "the JetStream domain that has the streams (env: NATS_DOMAIN)"),
  ];
  for (const option of options) command.addOption(option.helpGroup("Server:"));
  return command;
}

export function namespaceOption(): Option {
  return new Option("-n, --namespace <name>", "keeps systems apart")
    .default("godwit")
    .argParser(checked(checkNamespace));
}

/** Adds --json, for commands that print data. */
export function jsonOption(command: Command): Command {
  return command.option("--json", "print one JSON document; errors are JSON too");
}

type Address = Pick<
  SystemOptions,
  "servers" | "user" | "pass" | "token" | "nkey" | "creds" | "tls" | "inboxPrefix" | "domain"
>;

/** Names of servers and credentials as options of a system. Most often they come from the environment. */
async function addressOf(flags: ConnectFlags): Promise<Address> {
  const { findRunning } = await import("../broker/embedded/running.ts");
  const servers = filled(flags.servers) ?? (await findRunning(resolve(defaultStoreDir)))?.url;
  const { user, pass, token, nkey, creds, inboxPrefix, domain } = flags;
  const tls = given({ ca: flags.tlsca, cert: flags.tlscert, key: flags.tlskey });
  const wantsTls = flags.tlsfirst === true || Object.keys(tls).length > 0;
  return {
    ...given({ servers, user, pass, token, nkey, creds, inboxPrefix, domain }),
    ...(wantsTls && { tls: { ...tls, ...(flags.tlsfirst && { handshakeFirst: true }) } }),
  };
}

/** Those that are there and not blank. */
function given<Name extends string>(flags: Record<Name, string | undefined>): Partial<Record<Name, string>> {
  const filledOnes = Object.entries(flags).filter(([, value]) => filled(value as string | undefined) !== undefined);
  return Object.fromEntries(filledOnes) as Partial<Record<Name, string>>;
}

/** The system to send with or to work in: makes the streams that are missing and leaves those that exist as they are. */
export async function connect(flags: ConnectFlags, options: SystemOptions = {}): Promise<ActorSystem> {
  // Not before it is needed: it is most of the start-up time, which help and wrong usage need not wait for.
  const [{ ActorSystem }, address] = await Promise.all([import("../system/actor-system.ts"), addressOf(flags)]);
  return ActorSystem.connect({
    ...address,
    namespace: flags.namespace,
    provision: "keep",
    name: "godwit cli",
    log: textLogger("error"),
    ...options,
  });
}

/** Sends through a system, and closes it. */
export async function withSystem<T>(flags: ConnectFlags, use: (system: ActorSystem) => Promise<T>): Promise<T> {
  return closing(await connect(flags), use);
}

/**
 * Looks into a system that is there, and makes nothing.
 * @throws NotFoundError where the namespace holds nothing of Godwit.
 */
export async function withExisting<T>(flags: ConnectFlags, use: (system: ActorSystem) => Promise<T>): Promise<T> {
  let system: ActorSystem;
  try {
    system = await connect(flags, { provision: "use" });
  } catch (error) {
    if (!(error instanceof TopologyMismatchError) || error.missing !== `stream ${flags.namespace}_TASKS`) throw error;
    throw new NotFoundError(
      `There is nothing of Godwit in the namespace '${flags.namespace}' on that server; start a worker there first, or correct --namespace or --servers.`,
    );
  }
  return closing(system, use);
}

/**
 * A connection and no more: whatever is missing, forbidden or too old on the server is not looked at.
 * @throws ConnectError, NotAuthorizedError.
 */
export async function withConnection<T>(flags: ConnectFlags, use: (connection: Connection) => Promise<T>): Promise<T> {
  const [{ Connection: Opener }, { resolveSystemOptions }, address] = await Promise.all([
    import("../broker/connection.ts"),
    import("../system/options.ts"),
    addressOf(flags),
  ]);
  const { servers, auth, tls, inboxPrefix, domain, name } = resolveSystemOptions(
    { ...address, name: "godwit cli" },
    process.env,
  );
  const connection = await Opener.open({
    servers: [...servers],
    auth,
    tls,
    inboxPrefix,
    domain,
    name,
    unchecked: true,
  });
  try {
    return await use(connection);
  } finally {
    await connection.close();
  }
}

async function closing<T>(system: ActorSystem, use: (system: ActorSystem) => Promise<T>): Promise<T> {
  try {
    return await use(system);
  } finally {
    await system.close();
  }
}
