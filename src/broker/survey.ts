/**
 * Survey: what the server tells of its streams and durables beyond what a message's way needs, and what this credential may not do.
 * It changes nothing: what it tries in order to learn its rights is made so that the server must refuse it.
 */
import { JetStreamApiError, type StreamInfo } from "@nats-io/jetstream";
import { headers as newHeaders } from "@nats-io/transport-node";
import { monotonicMs, pause } from "../kernel/clock.ts";
import { toError } from "../kernel/errors.ts";
import type { Names } from "../message/subjects.ts";
import { violationOf, type Connection } from "./connection.ts";
import { consumerState, type ConsumerState } from "./stream-reader.ts";
import { durableAlterations } from "./durable-topology.ts";
import { described } from "./settings.ts";
import { alterations, type Alteration } from "./topology.ts";

export interface ServerFacts {
  name: string;
  version: string;
  /** Of its cluster; undefined for a server alone. */
  cluster: string | undefined;
  maxPayloadBytes: number;
}

/** Used, and the most that there may be; `undefined` where nothing limits it. */
export interface Share {
  used: number;
  limit: number | undefined;
}

/** What the account has of JetStream. */
export type AccountFacts = Record<"streams" | "consumers" | "fileBytes" | "memoryBytes", Share>;

export interface ReplicaFacts {
  server: string;
  offline: boolean;
  /** It has all that the leader has, or nearly. */
  current: boolean;
  /** Operations that it is behind by. */
  lag: number;
}

export interface StreamFacts {
  stream: string;
  memory: boolean;
  replicas: number;
  /** Where its servers are asked to be, such as `cluster east, tags ssd`; undefined: anywhere. */
  placement: string | undefined;
  /** Undefined while none is elected. */
  leader: string | undefined;
  /** The other replicas than the leader. */
  followers: ReplicaFacts[];
  maxBytes: number | undefined;
  maxPerSubject: number | undefined;
  maxAgeMs: number | undefined;
  dedupWindowMs: number;
  messages: number;
  bytes: number;
  /** Wall-clock ms of the server; undefined where the stream is empty. */
  firstAtMs: number | undefined;
  /** Settings that are neither as recorded nor as Godwit declares them. */
  altered: Alteration[];
}

export interface DurableFacts extends ConsumerState {
  maxDeliver: number;
  maxAckPending: number;
  /** True where bodies are left out. */
  headersOnly: boolean;
  /** The server deletes it once nobody has pulled for so long; undefined where it stays. */
  unusedMs: number | undefined;
  /** What else is not as Godwit declares it: `priority_policy is "overflow", not undefined`. */
  altered: string[];
}

/** Something to try in order to learn whether it is allowed. */
export interface Trial {
  operation: "publish" | "subscribe";
  subject: string;
  /** A message that a stream would store: it names a stream that takes no message of that subject, so that none does. */
  stored?: boolean;
}

const noRequest = Buffer.from("{");
const noStream = "godwit-doctor-stores-nothing";
const clockSamples = 5;
/** A leaf node may be far away. */
const elsewhereMs = 500;

export class Survey {
  readonly #connection: Connection;
  readonly #names: Names;

  constructor(connection: Connection, names: Names) {
    this.#connection = connection;
    this.#names = names;
  }

  server(): ServerFacts {
    const { info } = this.#connection.nc;
    return {
      name: info?.server_name ?? "unknown",
      version: info?.version ?? "unknown",
      cluster: info?.cluster,
      maxPayloadBytes: this.#connection.maxPayloadBytes,
    };
  }

  async account(): Promise<AccountFacts> {
    const { streams, consumers, storage, memory, limits } = await this.#connection.jsm.getAccountInfo();
    const share = (used: number, limit: number): Share => ({ used, limit: above0(limit) });
    return {
      streams: share(streams, limits.max_streams),
      consumers: share(consumers, limits.max_consumers),
      fileBytes: share(storage, limits.max_storage),
      memoryBytes: share(memory, limits.max_memory),
    };
  }

  /** Undefined where there is no such stream. */
  async stream(stream: string): Promise<StreamFacts | undefined> {
    try {
      return streamFacts(this.#names, await this.#connection.jsm.streams.info(stream));
    } catch (error) {
      if (error instanceof JetStreamApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  async durables(stream: string): Promise<DurableFacts[]> {
    const found: DurableFacts[] = [];
    for await (const info of this.#connection.jsm.consumers.list(stream)) {
      const { max_deliver: maxDeliver = -1, max_ack_pending: maxAckPending = -1, ...config } = info.config;
      const headersOnly = config.headers_only === true;
      const unusedMs = config.inactive_threshold ? config.inactive_threshold / 1_000_000 : undefined;
      const named = new Set(["max_deliver", "max_ack_pending", "headers_only", "inactive_threshold"]);
      const altered = durableAlterations(info.config).filter(({ field }) => !named.has(field));
      found.push({
        ...consumerState(info),
        maxDeliver,
        maxAckPending,
        headersOnly,
        unusedMs,
        altered: altered.map(described),
      });
    }
    return found;
  }

  /** When the first message of these filters from a sequence on was stored: wall-clock ms of the server. */
  async firstAtMs(stream: string, filters: readonly string[], fromSequence: number): Promise<number | undefined> {
    const first = async (filter: string): Promise<number> => {
      try {
        const query = { seq: Math.max(1, fromSequence), next_by_subj: filter };
        return (await this.#connection.jsm.streams.getMessage(stream, query))?.time.getTime() ?? Infinity;
      } catch (error) {
        if (error instanceof JetStreamApiError) return Infinity;
        throw error;
      }
    };
    const earliest = Math.min(...(await Promise.all((filters.length > 0 ? filters : [">"]).map(first))));
    return earliest === Infinity ? undefined : earliest;
  }

  /**
   * How far this host's clock is ahead of the server's, and how far off that may be at most, either way: ms.
   * @param stream any that there is: its info tells the time.
   */
  async clockAhead(stream: string): Promise<{ aheadMs: number; errorMs: number }> {
    let best = { aheadMs: 0, errorMs: Infinity };
    for (let taken = 0; taken < clockSamples; taken++) {
      const sentMs = monotonicMs();
      const info = await this.#connection.jsm.streams.info(stream);
      const errorMs = (monotonicMs() - sentMs) / 2;
      if (errorMs < best.errorMs) best = { aheadMs: Date.now() - errorMs - Date.parse(info.ts ?? ""), errorMs };
    }
    return best;
  }

  /** How many streams would store a message of this subject: each refuses it. Those of other domains answer as its own does. */
  async storedBy(subject: string): Promise<number> {
    const inbox = this.#connection.newInbox();
    const headers = newHeaders();
    headers.set("Nats-Expected-Stream", noStream);
    let streams = 0;
    let violation: Error | undefined;
    const forget = this.#connection.onError((error) => {
      if (violationOf(error)?.subject === subject) violation = error;
    });
    const heard = this.#connection.subscribe(inbox, (message) => {
      if (message.data.length > 0) streams += 1;
    });
    this.#connection.nc.publish(subject, noRequest, { headers, reply: inbox });
    await pause(elsewhereMs);
    heard.unsubscribe();
    forget();
    if (violation !== undefined) throw violation;
    return streams;
  }

  /** Those of the trials that this credential may not do. */
  async denied<T extends Trial>(trials: readonly T[]): Promise<T[]> {
    const { nc } = this.#connection;
    const refused = new Set<string>();
    const note = (error: unknown): void => {
      const violation = violationOf(error);
      if (violation !== undefined) refused.add(`${violation.operation} ${violation.subject}`);
    };
    const forget = this.#connection.onError(note);
    const subscriptions = trials
      .filter(({ operation }) => operation === "subscribe")
      .map(({ subject }) => nc.subscribe(subject, { callback: note }));
    for (const { operation, subject, stored = false } of trials) {
      if (operation === "subscribe") continue;
      const headers = newHeaders();
      if (stored) headers.set("Nats-Expected-Stream", noStream);
      nc.publish(subject, noRequest, stored ? { headers } : {});
    }
    // The server refuses in order, so all that it refuses is known before its answer to this.
    await nc.flush();
    // What it refused comes by way of an iterator, which is a few promises behind.
    await new Promise((resolve) => setImmediate(resolve));
    forget();
    for (const subscription of subscriptions) subscription.unsubscribe();
    return trials.filter(({ operation, subject }) => refused.has(`${operation} ${subject}`));
  }
}

/** Why something could not be read, to stand behind "could not be checked: ". */
export function whyUnread(error: unknown): string {
  const violation = violationOf(error);
  if (violation !== undefined) return `missing right to ${violation.operation} to ${violation.subject}`;
  return toError(error).message;
}

function streamFacts(names: Names, { config, state, cluster }: StreamInfo): StreamFacts {
  const replicas = config.num_replicas;
  return {
    stream: config.name,
    memory: config.storage === "memory",
    replicas,
    placement: placementText(config.placement),
    leader: cluster?.leader,
    followers: (cluster?.replicas ?? []).map((peer) => ({
      server: peer.name,
      offline: peer.offline,
      current: peer.current,
      lag: peer.lag ?? 0,
    })),
    maxBytes: above0(config.max_bytes),
    maxPerSubject: above0(config.max_msgs_per_subject),
    maxAgeMs: above0((config.max_age ?? 0) / 1e6),
    dedupWindowMs: (config.duplicate_window ?? 0) / 1e6,
    messages: state.messages,
    bytes: state.bytes,
    firstAtMs: state.messages === 0 ? undefined : Date.parse(state.first_ts),
    altered: alterations(names, config),
  };
}

function placementText({ cluster = "", tags = [] }: { cluster?: string; tags?: string[] } = {}): string | undefined {
  const parts = [cluster !== "" && `cluster ${cluster}`, tags.length > 0 && `tags ${tags.toSorted().join(" ")}`];
  return parts.filter((part) => part !== false).join(", ") || undefined;
}

function above0(limit: number | undefined): number | undefined {
  return limit !== undefined && limit > 0 ? limit : undefined;
}
