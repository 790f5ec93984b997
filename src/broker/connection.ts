/** The connection: opens once, reconnects for ever, knows whether it is up, and sends JetStream API requests. */
import {
  connect,
  createInbox,
  errors,
  type Authenticator,
  type Msg,
  type NatsConnection,
  type Subscription,
} from "@nats-io/transport-node";
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { monotonicMs } from "../kernel/clock.ts";
import {
  causesOf,
  ConnectError,
  messageOf,
  NotAuthorizedError,
  TlsError,
  toError,
  TwoDomainsError,
  UnsupportedServerError,
} from "../kernel/errors.ts";
import { checkNotImporting } from "../kernel/importing.ts";
import type { Credentials } from "./addresses.ts";
import { authenticatorOf } from "./credentials.ts";
import { patiently } from "./patience.ts";
import { keepTrying, resetSocket } from "./inside.ts";
import { refusalOf } from "./refusal.ts";
import { checkTls, isTlsTrouble, type TlsFiles } from "./tls.ts";

/** The oldest nats-server that has all Godwit builds on (schedules with time zones, reset, batches). */
export const serverFloor = "2.14.0";

/** What every client may subscribe to by default. */
export const defaultInboxPrefix = "_INBOX";

/** For the first connection, over all servers. */
const connectMs = 10_000;
const managerOptions = { timeout: 5_000 };

/** Pings. With as many unanswered a connection is given up when the next is due. */
const maxUnanswered = 2;

export interface ConnectionSettings {
  /** Without credentials, which are shown nowhere. */
  servers: string[];
  /** What the server's connection list shows. */
  name: string;
  auth?: Credentials;
  /** Connects by TLS only, and with these files where some are named. Default: by TLS where the server asks for it. */
  tls?: TlsFiles | undefined;
  /** Below which every answer to this connection arrives. Default `_INBOX`. */
  inboxPrefix?: string;
  /** The JetStream domain to use. Default: that of the servers that are connected to. */
  domain?: string | undefined;
  /** Connects to a server that Godwit could not work with, too, so that it can be said what is wrong with it. */
  unchecked?: boolean;
}

export class Connection {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly servers: string[];
  /** The domain that was asked for. */
  readonly chosenDomain: string | undefined;
  /** Where JetStream is asked: `$JS.API`, or `$JS.<domain>.API`. */
  readonly apiPrefix: string;
  /** The domain that answers, undefined where it has no name. */
  readonly domain: string | undefined;
  /** How many pullers share it. */
  pullers = 0;
  readonly #toldDomains = new Set<string | undefined>();
  readonly #inboxPrefix: string;
  #up = true;
  #unfit: Error | undefined;
  #upSinceMs = 0;
  #maxPayloadBytes = 1_048_576;
  /** The last that the server said against this connection. */
  #complaint: string | undefined;
  readonly #upListeners = new Set<() => void>();
  readonly #downListeners = new Set<(why: string | undefined) => void>();
  readonly #errorListeners = new Set<(error: Error) => void>();

  private constructor(
    nc: NatsConnection,
    jsm: JetStreamManager,
    { servers, inboxPrefix = defaultInboxPrefix, domain }: ConnectionSettings,
    found = domain,
  ) {
    this.chosenDomain = domain;
    this.apiPrefix = domain === undefined ? "$JS.API" : `$JS.${domain}.API`;
    this.domain = found;
    this.nc = nc;
    this.jsm = jsm;
    this.servers = servers;
    this.#inboxPrefix = inboxPrefix;
    void this.#watch();
  }

  /**
   * @throws ConfigError for files of credentials or TLS that cannot be used, ConnectError when no server answers, TlsError where TLS with it cannot be, NotAuthorizedError when it refuses the credentials or they lack the right to use JetStream, UnsupportedServerError below the floor or without JetStream.
   */
  static async open(settings: ConnectionSettings): Promise<Connection> {
    checkNotImporting("ActorSystem.connect()");
    const { servers, inboxPrefix = defaultInboxPrefix, domain } = settings;
    const authenticator = authenticatorOf(settings.auth ?? {});
    const tls = settings.tls && checkTls(settings.tls);
    let nc: NatsConnection | undefined;
    const deadlineMs = monotonicMs() + connectMs;
    try {
      nc = await connect({
        ...(authenticator && { authenticator }),
        ...(tls && { tls }),
        servers,
        name: settings.name,
        inboxPrefix,
        maxReconnectAttempts: -1,
        // The first connection is tried with each server once, but in a cluster each of them tells of the others again.
        reconnectToServer: () => {
          if (nc === undefined && monotonicMs() > deadlineMs) throw new Error(`given up after ${connectMs / 1_000} s`);
          return null;
        },
        reconnectTimeWait: 200,
        reconnectJitter: 100,
        // A connection that neither answers nor closes is given up after 3 s: before a cluster has another leader for what a server
        // led that stands still, which takes it 4 s and more.
        pingInterval: 1_000,
        maxPingOut: maxUnanswered + 1,
        // Of one attempt. A connection that drops in its handshake is waited for this long, so no longer.
        timeout: 2_000,
        noAsyncTraces: true,
      });
    } catch (cause) {
      if (cause instanceof errors.AuthorizationError || cause instanceof errors.UserAuthenticationExpiredError) {
        throw notAuthorized(settings, cause);
      }
      if (isTlsTrouble(toError(cause))) {
        throw new TlsError(
          `There is no TLS with the NATS server at ${hostsOf(servers)} (${messageOf(toError(cause))}); give the CA that signed its certificate, and the client's own certificate and key where it asks for one, as { tls: { ca, cert, key } } or --tlsca, --tlscert and --tlskey, and name the server as its certificate does.`,
          { cause },
        );
      }
      const refused = await refusal(servers, authenticator);
      if (refused !== undefined) throw new ConnectError(refused, { cause });
      // By TLS 1.3 the server refuses a client without one after the handshake, and all that is heard of it is silence.
      const askedForCertificate =
        settings.tls !== undefined && settings.tls.cert === undefined
          ? "; if it asks for a client's certificate, give --tlscert and --tlskey or { tls: { cert, key } }"
          : "";
      throw new ConnectError(
        `No NATS server could be reached at ${servers.join(", ")} (${(cause as Error).message}); start one, or give its address with --servers, NATS_URL or { servers }${askedForCertificate}.`,
        { cause },
      );
    }
    keepTrying(nc);
    if (settings.unchecked === true) {
      const jsm = await jetstreamManager(nc, { ...managerOptions, ...inDomain(domain), checkAPI: false });
      return new Connection(nc, jsm, settings);
    }
    try {
      const unfit = unfitness(nc);
      if (unfit !== undefined) throw unfit;
      const jsm = await manager(nc, domain);
      return new Connection(nc, jsm, settings, (await patiently("account", () => jsm.getAccountInfo())).domain);
    } catch (error) {
      await nc.close();
      throw error;
    }
  }

  /** False between a disconnect and the reconnect. What is published meanwhile is lost by the client. */
  get up(): boolean {
    return this.#up;
  }

  /** Why Godwit cannot rely on the server that a reconnect has led to; undefined where it can. */
  get unfit(): Error | undefined {
    return this.#unfit;
  }

  /** Whether the server is one of a cluster. */
  get clustered(): boolean {
    return this.nc.info?.cluster !== undefined;
  }

  /** When the connection that there is was made, monotonic; 0 for the first. */
  get upSinceMs(): number {
    return this.#upSinceMs;
  }

  /** Whether it was down at some time since then, monotonic ms. */
  wasCutSince(sinceMs: number): boolean {
    return !this.#up || this.#upSinceMs >= sinceMs;
  }

  get closed(): boolean {
    return this.nc.isClosed();
  }

  /** Largest message, headers included, in bytes. Follows the server when it changes; while there is none, what the last one said. */
  get maxPayloadBytes(): number {
    this.#maxPayloadBytes = this.nc.info?.max_payload ?? this.#maxPayloadBytes;
    return this.#maxPayloadBytes;
  }

  /** A message was stored in a domain: another than its own is told of once, as an error that no call can throw. */
  storedIn(domain: string | undefined, subject: string): void {
    if (domain === this.domain || this.#toldDomains.has(domain)) return;
    this.#toldDomains.add(domain);
    const error = new TwoDomainsError(subject, this.domain, domain);
    for (const listener of this.#errorListeners) listener(error);
  }

  /** A subject for answers that nobody else has, below this connection's prefix. */
  newInbox(): string {
    return createInbox(this.#inboxPrefix);
  }

  /**
   * Subscribes. What `onMessage` throws is thrown again where the process sees it: thrown into the client it would end its reading, and
   * the connection would look alive and be deaf.
   */
  subscribe(subject: string, onMessage: (message: Msg) => void): Subscription {
    return this.nc.subscribe(subject, {
      callback: (error, message) => {
        if (error) return;
        try {
          onMessage(message);
        } catch (thrown) {
          setImmediate(() => {
            throw toError(thrown);
          });
        }
      },
    });
  }

  /** Called at each change from down to up, and at no other status. */
  onUp(listener: () => void): () => void {
    this.#upListeners.add(listener);
    return () => this.#upListeners.delete(listener);
  }

  /** Called at each change from up to down, with what the server had said, if anything. */
  onDown(listener: (why: string | undefined) => void): () => void {
    this.#downListeners.add(listener);
    return () => this.#downListeners.delete(listener);
  }

  /** Errors that no call can throw, such as a permission violation on a publish. */
  onError(listener: (error: Error) => void): () => void {
    this.#errorListeners.add(listener);
    return () => this.#errorListeners.delete(listener);
  }

  /** Resolves when the server has answered, and all that it sent before is read; rejects when the connection drops first. */
  async ping(): Promise<void> {
    await this.nc.flush();
  }

  async close(): Promise<void> {
    if (this.nc.isClosed()) return;
    // drain() waits for a server; without one there is nothing to drain into.
    if (this.#up) await this.nc.drain().catch(() => this.nc.close());
    else await this.nc.close();
  }

  /**
   * The client says "disconnect" at each attempt that fails after it began, and at the end "reconnect" as often. Only a change counts.
   * One listener that fails must not keep the others, or the next change, from being heard.
   */
  #turn(up: boolean): void {
    if (this.#up === up) return;
    this.#up = up;
    if (up) {
      this.#upSinceMs = monotonicMs();
      // Another server of the cluster may be older, or this one was replaced by an older one.
      this.#unfit = unfitness(this.nc);
      if (this.#unfit !== undefined) for (const listener of this.#errorListeners) listener(this.#unfit);
    }
    const why = this.#complaint;
    this.#complaint = undefined;
    for (const listener of up ? this.#upListeners : this.#downListeners) {
      try {
        listener(why);
      } catch (thrown) {
        for (const onError of this.#errorListeners) onError(toError(thrown));
      }
    }
  }

  async #watch(): Promise<void> {
    for await (const status of this.nc.status()) {
      if (status.type === "ping") {
        // This one included. One later the client would close it, which is not the same: see resetSocket().
        if (status.pendingPings > maxUnanswered) resetSocket(this.nc);
      } else if (status.type === "disconnect") this.#turn(false);
      else if (status.type === "reconnect") this.#turn(true);
      else if (status.type === "error") {
        // A right that lacks ends no connection. Without that to advisories all is heard of later; the doctor tells.
        const violation = violationOf(status.error);
        if (violation === undefined) this.#complaint = status.error.message;
        if (violation?.operation === "subscribe" && violation.subject.startsWith("$JS.EVENT.ADVISORY.")) continue;
        for (const listener of this.#errorListeners) listener(status.error);
      }
    }
    this.#up = false;
  }
}

function unfitness(nc: NatsConnection): UnsupportedServerError | undefined {
  const version = nc.info?.version ?? "unknown";
  if (atLeast(version, serverFloor)) return undefined;
  return new UnsupportedServerError(
    `The NATS server at ${nc.getServer()} is version ${version} and Godwit needs ${serverFloor} or newer; upgrade that server, or use { embedded: true }.`,
  );
}

function notAuthorized({ servers, auth = {} }: ConnectionSettings, cause: Error): NotAuthorizedError {
  const what = Object.keys(auth).length > 0 ? "refused the credentials" : "wants credentials and was given none";
  return new NotAuthorizedError(
    `The NATS server at ${hostsOf(servers)} ${what} (${cause.message}); give them in its address, as nats://user:password@host:4222, or as { user, pass }, { token }, { nkey } or { creds }, on the command line --user and --pass, --token, --nkey or --creds.`,
    { cause },
  );
}

/** What one of the servers says against a connection, as a sentence; undefined where none does. */
async function refusal(servers: readonly string[], login?: Authenticator): Promise<string | undefined> {
  for (const server of servers) {
    const why = await refusalOf(server, login);
    if (why === undefined) continue;
    const way = /maximum .*connections/i.test(why)
      ? "close some that are not needed, or raise max_connections, the server's or the account's"
      : "mend what it names";
    return `The NATS server at ${hostsOf([server])} refused the connection (${why}); ${way}.`;
  }
  return undefined;
}

function hostsOf(servers: readonly string[]): string {
  return servers.map((server) => server.replace(/^.*:\/\//, "")).join(", ");
}

/** For the client, which takes no undefined. */
export function inDomain(domain: string | undefined): { domain?: string } {
  return domain === undefined ? {} : { domain };
}

async function manager(nc: NatsConnection, domain: string | undefined): Promise<JetStreamManager> {
  try {
    return await patiently("account", () => jetstreamManager(nc, { ...managerOptions, ...inDomain(domain) }));
  } catch (cause) {
    if (cause instanceof ConnectError) throw cause;
    const violation = violationOf(cause);
    if (violation !== undefined) {
      throw new NotAuthorizedError(
        `The credentials given to the NATS server at ${nc.getServer()} have no right to ${violation.operation} to ${violation.subject}, which everything of Godwit needs; allow it in the user's permissions. 'godwit doctor' lists what else they may not do.`,
        { cause },
      );
    }
    throw new UnsupportedServerError(
      domain === undefined
        ? `The NATS server at ${nc.getServer()} does not offer JetStream to this account (${(cause as Error).message}); start it with -js or enable JetStream for the account, and on a leaf node name the hub's domain with { domain } or --domain.`
        : `No JetStream domain '${domain}' answers at the NATS server ${nc.getServer()} (${(cause as Error).message}); correct { domain } or --domain, or connect the leaf node to its hub.`,
    );
  }
}

/** The right whose lack is behind an error, however deep. */
export function violationOf(error: unknown): { operation: "publish" | "subscribe"; subject: string } | undefined {
  const violation = causesOf(error).find((one) => one instanceof errors.PermissionViolationError);
  if (violation === undefined) return undefined;
  const { operation, subject } = violation;
  return { operation: operation === "subscription" ? "subscribe" : "publish", subject };
}

/** True where version `have` is `floor` or newer; a pre-release counts as its release. */
export function atLeast(have: string, floor: string): boolean {
  const parse = (text: string): number[] => (/^v?(\d+)\.(\d+)\.(\d+)/.exec(text) ?? []).slice(1).map(Number);
  const a = parse(have);
  const b = parse(floor);
  if (a.length === 0) return false;
  for (const [index, part] of b.entries()) {
    const mine = a[index] ?? 0;
    if (mine !== part) return mine > part;
  }
  return true;
}
