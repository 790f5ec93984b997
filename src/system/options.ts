/** The options of `ActorSystem.connect`, resolved once: option, then environment, then default. */
import * as z from "zod";
import type { TlsFiles } from "../broker/tls.ts";
import { lowerable, sized, type Asked, type Lowerable, type Placement, type Sized } from "../broker/asked.ts";
import type { Provision } from "../broker/topology.ts";
import { payloadShape, resolvePayload, type PayloadConfig } from "../actor/payload-config.ts";
import { filled } from "../kernel/environment.ts";
import { ConfigError } from "../kernel/errors.ts";
import type { Duration } from "../kernel/duration.ts";
import type { Logger } from "../kernel/logger.ts";
import { durationMs, resolveOptions } from "../kernel/options.ts";
import type { CodecName } from "../message/codec.ts";
import { defaultPayload, type PayloadSettings } from "../message/limits.ts";
import { checkNamespace } from "../message/names.ts";
import { defaultDemand } from "../observe/demand.ts";
import type { LogLevel, LogSettings } from "../observe/log.ts";
import { resolveServers, serverShape, type ResolvedServers } from "./server-options.ts";

/**
 * How hard it is to lose what was accepted. `dev`: memory, gone with the server. `single`: one file copy. `replicated`: three copies.
 * `strict`: three copies on servers that sync every write (`sync_interval: always`, which is the servers' own setting).
 */
export type DurabilityProfile = "dev" | "single" | "replicated" | "strict";

export interface SystemOptions {
  /**
   * One or more `nats://host:port`, also `nats://user:pass@host` or `nats://token@host`, percent-encoded, and `tls://host:port`, which
   * says nothing without TLS. Default: `NATS_URL`, else `nats://127.0.0.1:4222`.
   */
  servers?: string | readonly string[];
  /** Start a private nats-server and stop it at `close()`: `true` for a temporary store, or where to keep it. */
  embedded?: boolean | EmbeddedOptions;
  /** Keeps systems on one cluster apart. Default `"godwit"`. */
  namespace?: string;
  /**
   * `"create"` (default) makes and updates streams and durables; `"check"` compares them and needs no right to. For tools that do not
   * know the system's limits: `"keep"` asks for nothing of streams that exist, `"use"` takes what is there.
   */
  provision?: Provision;
  /** Default: what another program has asked for, else `"single"`. So it is with all that decides how streams are kept. */
  durability?: DurabilityProfile;
  /** Copies of each stream, 1 to 5, on as many servers. Default: by `durability`, 1 or 3. */
  replicas?: number;
  /**
   * Options that may ask for less than another program has asked for before, such as `["replicas", "limits.maxBytes"]`: without this
   * that is refused.
   */
  lower?: readonly Lowerable[];
  /** Where those servers are, by the cluster's name or their `server_tags`. Default: anywhere, or where the streams are already. */
  placement?: Placement;
  /** How bodies are encoded unless message or actor says otherwise. Default `"msgpack"`. */
  codec?: CodecName;
  /** How bodies travel, and their limits, unless an actor says otherwise. */
  payload?: SystemPayload;
  limits?: SystemLimits;
  /** What the server's connection list shows. Default `"godwit"`. */
  name?: string;
  /**
   * A pino logger or one like it, which hides what its owner has it hide; or a level, or `{ level, redact }`, for the one that Godwit
   * makes. Default `"info"`, to standard error.
   */
  log?: Logger | LogLevel | LogSettings;
  /** Keeps what `metrics()` tells of times and sizes, at about 0.2 µs for each message that is sent or run; counts are kept anyway. Default `true`. */
  metrics?: boolean;
  /**
   * In which what waits for actors is to be worked off: `godwit_processes_wanted` says how many processes that takes. Arrivals are counted over the
   * same time. Default 1 minute.
   */
  drainTarget?: Duration;
  /** Make OpenTelemetry spans. Default: whether a tracer provider is registered at `connect`, so register the SDK first. */
  tracing?: boolean;
  /**
   * Credentials may be here or in the servers' addresses; where they are in both they must be the same. Default: the one kind of which
   * there is something in `NATS_USER` and `NATS_PASSWORD`, `NATS_TOKEN`, `NATS_NKEY` or `NATS_CREDS`.
   */
  user?: string;
  pass?: string;
  token?: string;
  /** Path of a file with the seed of a user's NKey: a file, since options and environments are shown to others. Read at each reconnect. */
  nkey?: string;
  /** Path of a `.creds` file: a user's JWT and the seed of its NKey. Read at each reconnect. */
  creds?: string;
  /** TLS with servers that must have it. Default: the files in `NATS_CA`, `NATS_CERT` and `NATS_KEY`, else TLS where a server asks for it. */
  tls?: TlsFiles;
  /**
   * Below which every answer to this connection arrives, so that a credential may be kept from reading those of others. Default:
   * `NATS_INBOX_PREFIX`, else `"_INBOX"`.
   */
  inboxPrefix?: string;
  /**
   * The JetStream domain that has the streams, for a client of a leaf node: its hub's. Default: `NATS_DOMAIN`, else that of the servers. A
   * namespace lives in one domain.
   */
  domain?: string;
}

export interface EmbeddedOptions {
  /** Where the streams live. Default: a temporary folder, removed at `close()`. */
  storeDir?: string;
  /** Default: a free one. */
  port?: number;
  /** Largest message, headers included, in bytes. Default 1 MiB. */
  maxPayloadBytes?: number;
}

export interface SystemPayload extends PayloadConfig {
  /**
   * How long a body that is too large for a message is kept in the object store, at most: what waits longer is a dead letter.
   * Default 30 days.
   */
  maxAge?: Duration;
}

export interface SystemLimits {
  /** Bytes in the task stream. Default 10 GB; with durability `"dev"` 256 MB, since the server sets that much memory aside. */
  maxBytes?: number;
  /**
   * Bytes in each other stream, bucket or object store, by its name: it refuses what would be above. Default: no limit, or, where the
   * account demands one, a share of what the account has.
   */
  sizes?: Partial<Record<Sized, number>>;
  /** Waiting tasks of one actor in one lane. Default 1,000,000. */
  maxPerActor?: number;
  /** Default 7 days. */
  eventsMaxAge?: Duration;
  /** Default 30 days. */
  deadMaxAge?: Duration;
  /** In which the same id is a duplicate. Default 2 minutes. */
  dedupWindow?: Duration;
}

export interface ResolvedSystemOptions extends ResolvedServers {
  readonly embedded: EmbeddedOptions | undefined;
  readonly namespace: string;
  readonly provision: Provision;
  /** What was given of how streams are kept. */
  readonly asked: Asked;
  readonly lower: readonly string[];
  readonly codec: CodecName;
  readonly payload: PayloadSettings;
  readonly name: string;
  readonly log: Logger | LogSettings;
  readonly metrics: boolean;
  readonly drainTargetMs: number;
  /** Undefined: as it turns out. */
  readonly tracing: boolean | undefined;
  /** Who runs this process among others of its kind: its supervisor, which says so by `GODWIT_GROUP`. */
  readonly group: string | undefined;
}

const count = z.int({ message: "must be a whole number" }).min(1, "must be at least 1");
const text = z.string().min(1, "must not be empty");
const level = z.enum(["debug", "info", "warn", "error", "silent"]);
const logger = z.custom<Logger>(
  (value) => typeof value === "object" && value !== null && "info" in value && "child" in value,
  { message: "must be a logger such as pino's" },
);

const shape = z.strictObject({
  servers: z.union([text, z.array(text).min(1, "must not be empty")]).optional(),
  embedded: z
    .union([
      z.boolean(),
      z.strictObject({ storeDir: text.optional(), port: count.optional(), maxPayloadBytes: count.optional() }),
    ])
    .default(false),
  namespace: z.string().default("godwit"),
  provision: z.enum(["create", "keep", "check", "use"]).default("create"),
  durability: z.enum(["dev", "single", "replicated", "strict"]).optional(),
  lower: z.array(z.enum(lowerable)).default([]),
  replicas: z
    .int({ message: "must be a whole number" })
    .min(1, "must be from 1 to 5")
    .max(5, "must be from 1 to 5")
    .optional(),
  placement: z
    .strictObject({ cluster: text.optional(), tags: z.array(text).optional() })
    .refine(({ cluster, tags = [] }) => cluster !== undefined || tags.length > 0, "must name a cluster, or tags")
    .optional(),
  codec: z.enum(["msgpack", "json"]).default("msgpack"),
  payload: payloadShape.extend({ maxAge: durationMs(1_000).optional() }).prefault({}),
  limits: z
    .strictObject({
      maxBytes: count.optional(),
      sizes: z.partialRecord(z.enum(sized), count).optional(),
      maxPerActor: count.optional(),
      eventsMaxAge: durationMs(1_000).optional(),
      deadMaxAge: durationMs(1_000).optional(),
      dedupWindow: durationMs(100).optional(),
    })
    .prefault({}),
  name: text.default("godwit"),
  log: z
    .union([
      level,
      z.strictObject({ level: level.optional(), redact: z.union([z.literal(false), z.array(text)]).optional() }),
      logger,
    ])
    .default("info"),
  metrics: z.boolean().default(true),
  drainTarget: durationMs(1_000).default(defaultDemand.drainTargetMs),
  tracing: z.boolean().optional(),
  ...serverShape,
});

/** @throws ConfigError, InvalidNameError. */
export function resolveSystemOptions(options: SystemOptions, env: NodeJS.ProcessEnv): ResolvedSystemOptions {
  const given = resolveOptions(shape, options, "options of ActorSystem.connect()");
  if (given.servers !== undefined && given.embedded !== false) {
    throw new ConfigError("ActorSystem.connect() was given both servers and embedded; choose one of them.");
  }
  const { embedded } = given;
  return Object.freeze({
    ...resolveServers(given, embedded !== false, env),
    embedded: embedded === false ? undefined : embedded === true ? {} : (embedded as EmbeddedOptions),
    namespace: checkNamespace(given.namespace),
    provision: given.provision,
    asked: Object.freeze(askedOf(given)),
    // A profile decides the copies too.
    lower: given.lower.map((option) => (option === "durability" ? "replicas" : option)),
    codec: given.codec,
    payload: Object.freeze(resolvePayload(given.payload, defaultPayload)),
    name: given.name,
    log: typeof given.log === "string" ? { level: given.log } : (given.log as Logger | LogSettings),
    metrics: given.metrics,
    drainTargetMs: given.drainTarget,
    tracing: given.tracing,
    group: filled(env["GODWIT_GROUP"]),
  });
}

/** What was given and nothing else: a default is asked for by nobody. */
function askedOf({ durability, replicas, placement, limits, payload }: z.output<typeof shape>): Asked {
  const copies = durability === "replicated" || durability === "strict" ? 3 : 1;
  const { sizes = {}, ...amounts } = limits;
  const named = (prefix: string, values: object): [string, unknown][] =>
    Object.entries(values).map(([name, value]) => [prefix + name, value]);
  const all = [
    ["memory", durability && durability === "dev"],
    ["replicas", replicas ?? (durability && copies)],
    ["placement", placement],
    ["payload.maxAge", payload.maxAge],
    ...named("limits.", amounts),
    ...named("limits.sizes.", sizes),
  ];
  return Object.fromEntries(all.filter(([, value]) => value !== undefined)) as Asked;
}
