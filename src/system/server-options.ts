/** The options that say where the servers are and who connects to them, resolved: option, then address, then environment, then default. */
import * as z from "zod";
import { splitCredentials, type Addresses, type Credentials } from "../broker/addresses.ts";
import { defaultInboxPrefix } from "../broker/connection.ts";
import type { TlsFiles } from "../broker/tls.ts";
import { filled } from "../kernel/environment.ts";
import { resolveOptions } from "../kernel/options.ts";

export interface ResolvedServers {
  /** Without credentials; none with `embedded`. */
  readonly servers: readonly string[];
  readonly auth: Credentials;
  /** Undefined: TLS where the server asks for it. */
  readonly tls: TlsFiles | undefined;
  readonly inboxPrefix: string;
  /** The JetStream domain; undefined: that of the servers. */
  readonly domain: string | undefined;
}

const text = z.string().min(1, "must not be empty");
const prefix = z
  .string()
  .regex(/^[\w$-]+(\.[\w$-]+)*$/, 'must be words of A-Z a-z 0-9 _ $ and - joined by dots, such as "_INBOX_worker"');

const word = z.string().regex(/^[\w-]+$/, "must be one word of A-Z a-z 0-9 _ and -");

/** The part of the options that is resolved here, but for `servers`. */
export const serverShape = {
  user: text.optional(),
  pass: text.optional(),
  token: text.optional(),
  nkey: text.optional(),
  creds: text.optional(),
  tls: z
    .strictObject({
      ca: text.optional(),
      cert: text.optional(),
      key: text.optional(),
      handshakeFirst: z.boolean().optional(),
    })
    .optional(),
  inboxPrefix: prefix.optional(),
  domain: word.optional(),
};

type Parts = { [Part in keyof Credentials]: string | undefined };

interface Given extends Parts {
  servers?: string | readonly string[] | undefined;
  tls?: TlsFiles | undefined;
  inboxPrefix?: string | undefined;
  domain?: string | undefined;
}

/**
 * @param embedded the server is our own and lets everyone in.
 * @throws ConfigError.
 */
export function resolveServers(given: Given, embedded: boolean, env: NodeJS.ProcessEnv): ResolvedServers {
  const inboxPrefix = given.inboxPrefix ?? inboxPrefixOf(env);
  if (embedded) return { servers: [], auth: {}, tls: undefined, inboxPrefix, domain: undefined };
  const servers = given.servers ?? filled(env["NATS_URL"]) ?? "nats://127.0.0.1:4222";
  const addresses = addressesOf(typeof servers === "string" ? servers.split(",") : servers, given, env);
  return {
    servers: addresses.servers,
    auth: addresses.auth,
    tls: tlsOf(given.tls, addresses.tls, env),
    inboxPrefix,
    domain: given.domain ?? domainOf(env),
  };
}

/** What the environment says of credentials counts where nothing else says any. */
function addressesOf(servers: readonly string[], given: Parts, env: NodeJS.ProcessEnv): Addresses {
  const addresses = splitCredentials(servers, credentials(given));
  if (Object.keys(addresses.auth).length > 0) return addresses;
  return splitCredentials(
    servers,
    credentials({
      user: filled(env["NATS_USER"]),
      pass: filled(env["NATS_PASSWORD"]),
      token: filled(env["NATS_TOKEN"]),
      nkey: filled(env["NATS_NKEY"]),
      creds: filled(env["NATS_CREDS"]),
    }),
  );
}

function credentials(given: Parts): Credentials {
  const { user, pass, token, nkey, creds } = given;
  return {
    ...(user && { user }),
    ...(pass && { pass }),
    ...(token && { token }),
    ...(nkey && { nkey }),
    ...(creds && { creds }),
  };
}

/** The environment's certificate is no part of options that name one of their own. */
function tlsOf(given: TlsFiles | undefined, byAddress: boolean, env: NodeJS.ProcessEnv): TlsFiles | undefined {
  const own = given?.cert !== undefined || given?.key !== undefined;
  const tls = {
    ca: given?.ca ?? filled(env["NATS_CA"]),
    cert: own ? given.cert : filled(env["NATS_CERT"]),
    key: own ? given.key : filled(env["NATS_KEY"]),
    handshakeFirst: given?.handshakeFirst,
  };
  const wanted = byAddress || given !== undefined || Object.values(tls).some((value) => value !== undefined);
  return wanted ? Object.freeze(tls) : undefined;
}

/** @throws ConfigError. */
function domainOf(env: NodeJS.ProcessEnv): string | undefined {
  const given = filled(env["NATS_DOMAIN"]);
  return given === undefined ? undefined : resolveOptions(word, given, "NATS_DOMAIN");
}

/** @throws ConfigError. */
function inboxPrefixOf(env: NodeJS.ProcessEnv): string {
  const given = filled(env["NATS_INBOX_PREFIX"]);
  return given === undefined ? defaultInboxPrefix : resolveOptions(prefix, given, "NATS_INBOX_PREFIX");
}
