/**
 * Addresses of servers, and the credentials in them. Pure.
 * 1. Credentials are taken out of every address before anything else sees it, so that nothing can log or print them.
 * 2. The client has one set of credentials for all servers, also for those that it hears of later, and TLS for all or for none.
 */
import { ConfigError } from "../kernel/errors.ts";

export interface Credentials {
  user?: string;
  pass?: string;
  token?: string;
  /** Path of a file with the seed of a user's NKey. */
  nkey?: string;
  /** Path of a file with a user's JWT and the seed of its NKey. */
  creds?: string;
}

export interface Addresses {
  /** As they were given, without credentials. */
  readonly servers: string[];
  readonly auth: Credentials;
  /** An address begins with `tls://`: nothing may be said to a server without TLS. */
  readonly tls: boolean;
}

// Only the last @ ends the credentials, so that one that is not encoded shows nothing of them either.
const parts = /^([a-z][a-z0-9+.-]*:\/\/)?(?:(.*)@)?([^@]*)$/is;
const hostPort = /^([^\s:/?#[\]]+|\[[^\s/\]]+\]|[0-9a-f:.]+)(:\d+)?\/?$/i;

/**
 * @param given addresses such as `nats://host:4222`, `nats://user:pass@host`, `nats://token@host`.
 * @param options credentials that were given beside them.
 * @throws ConfigError for what is no address, and for credentials that differ or are of two kinds.
 */
export function splitCredentials(given: readonly string[], options: Credentials): Addresses {
  checkOneKind(options);
  const servers: string[] = [];
  const found: { where: string; auth: Credentials }[] = [];
  for (const address of given) {
    const [, scheme = "", front, where = ""] = parts.exec(address.trim()) ?? [];
    if (!hostPort.test(where)) {
      throw new ConfigError(
        "A server's address cannot be read; write it as nats://host:4222 or nats://user:password@host:4222, with %2C for a comma, %2F for a / and %40 for an @ in user or password.",
      );
    }
    servers.push(scheme + where);
    if (front) found.push({ where, auth: decoded(front, where) });
  }
  if (Object.keys(options).length > 0) found.push({ where: "the options", auth: options });
  const [first, ...others] = found;
  for (const { where, auth } of others) {
    if (first && !equal(first.auth, auth)) {
      throw new ConfigError(
        `The credentials of ${first.where} and ${where} differ, and one connection has one set; give them once, or the same everywhere.`,
      );
    }
  }
  return { servers, auth: first?.auth ?? {}, tls: servers.some((server) => /^tls:/i.test(server)) };
}

/** The server would take one and say nothing of the other. */
function checkOneKind({ user, pass, token, nkey, creds }: Credentials): void {
  const kinds = { "user and pass": user ?? pass, token, nkey, creds };
  const given = Object.entries(kinds).flatMap(([kind, value]) => (value === undefined ? [] : [kind]));
  if (given.length > 1) {
    throw new ConfigError(`There are two kinds of credentials, ${given.join(" and ")}; give one of them.`);
  }
  if (pass !== undefined && user === undefined) {
    throw new ConfigError("The credentials have a password and no user; give both.");
  }
}

function decoded(front: string, where: string): Credentials {
  const colon = front.indexOf(":");
  if (colon === 0) {
    throw new ConfigError(
      `The credentials in the address of ${where} have a password and no user; write user:password@, or token@.`,
    );
  }
  try {
    if (colon < 0) return { token: decodeURIComponent(front) };
    return { user: decodeURIComponent(front.slice(0, colon)), pass: decodeURIComponent(front.slice(colon + 1)) };
  } catch {
    // The cause would say what it could not decode.
    throw new ConfigError(
      `The credentials in the address of ${where} are not percent-encoded; write %25 for a % in user or password.`,
    );
  }
}

function equal(a: Credentials, b: Credentials): boolean {
  return (["user", "pass", "token", "nkey", "creds"] as const).every((part) => a[part] === b[part]);
}
