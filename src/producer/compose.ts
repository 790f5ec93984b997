/** Compose: options of the message, then of the actor, then of the system, become one envelope. Pure. */
import type { ResolvedConfig } from "../actor/config.ts";
import type { PublishOptions, TellOptions } from "../actor/context.ts";
import { wallMs } from "../kernel/clock.ts";
import { ConfigError } from "../kernel/errors.ts";
import { toMs } from "../kernel/duration.ts";
import type { CodecName } from "../message/codec.ts";
import type { PayloadSettings } from "../message/limits.ts";
import { checkUserHeaders, header, type HeaderFields } from "../message/headers.ts";
import { checkId, checkLane, newId } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";

/** What the system says where neither message nor actor does. */
export interface SendDefaults {
  codec: CodecName;
  payload: PayloadSettings;
  /** The server's time, wall-clock ms, for what is delayed. Default: this host's. */
  nowMs?: () => number;
}

/** A message but for its body. */
export interface Envelope {
  id: string;
  stream: string;
  subject: string;
  headers: HeaderFields;
  codec: CodecName;
  compressAboveBytes: number;
  maxBytes: number;
}

const tellKeys = new Set(["id", "codec", "headers", "delay", "lane", "expiresIn"]);
const publishKeys = new Set(["id", "codec", "headers"]);
/** `tellMany` takes this beside the options of `tell`. */
const manyKeys = new Set([...tellKeys, "whenFull"]);
const nothing: Readonly<TellOptions> = Object.freeze({});

/** A year and a day: a longer delay is a mistake in units. */
const maxDelayMs = 366 * 86_400_000;

/** @throws ConfigError, InvalidNameError for options that do not hold. */
export function composeTask(
  names: Names,
  actor: string,
  config: ResolvedConfig | undefined,
  options: TellOptions = nothing,
  defaults: SendDefaults,
): Envelope {
  if (options !== nothing) refuseUnknown(options, tellKeys, "tell");
  const id = options.id === undefined ? newId() : checkId(options.id);
  const lane = options.lane === undefined ? (config?.lane ?? "normal") : checkLane(options.lane);
  const headers = baseHeaders(actor, id, options.headers);
  const delayMs = options.delay === undefined ? 0 : toMs(options.delay, "delay");
  if (delayMs > maxDelayMs) throw new ConfigError(`The delay of ${delayMs} ms is longer than a year; check its unit.`);
  const expiresInMs = options.expiresIn === undefined ? config?.expiresInMs : toMs(options.expiresIn, "expiresIn");
  if (expiresInMs !== undefined) headers[header.expiresIn] = String(Math.ceil(expiresInMs));
  const codec = checkCodec(options.codec) ?? config?.codec ?? defaults.codec;
  if (config?.accept?.has(codec) === false) {
    throw new ConfigError(
      `The actor ${actor} does not accept the codec ${codec}; leave it out, or add it to "accept".`,
    );
  }
  const compressAboveBytes = compressAbove(config, defaults);
  const maxBytes = config?.payload.maxBytes ?? defaults.payload.maxBytes;
  if (delayMs === 0) {
    const subject = names.taskSubject(actor, lane);
    return { id, stream: names.tasks, subject, headers, codec, compressAboveBytes, maxBytes };
  }
  // The delay is part of the dedup key: the same id with another delay moves the task, a mere repeat does nothing.
  headers[header.msgId] += `|${delayMs}`;
  headers[header.schedule] = `@at ${new Date((defaults.nowMs ?? wallMs)() + delayMs).toISOString()}`;
  headers[header.scheduleTarget] = names.dueSubject(actor, lane);
  const subject = names.scheduleSubject(actor, id);
  return { id, stream: names.schedule, subject, headers, codec, compressAboveBytes, maxBytes };
}

function compressAbove(config: ResolvedConfig | undefined, { payload }: SendDefaults): number {
  const own = config?.payload.compressAbove;
  return own === undefined ? payload.compressAboveBytes : own === false ? Infinity : own;
}

/** @throws ConfigError, InvalidNameError for options that do not hold. */
export function composeEvent(
  names: Names,
  event: string,
  options: PublishOptions = nothing,
  defaults: SendDefaults,
): Envelope {
  if (options !== nothing) refuseUnknown(options, publishKeys, "publish");
  const id = options.id === undefined ? newId() : checkId(options.id);
  const headers = baseHeaders(event, id, options.headers);
  const codec = checkCodec(options.codec) ?? defaults.codec;
  const { compressAboveBytes, maxBytes } = defaults.payload;
  return { id, stream: names.events, subject: names.eventSubject(event), headers, codec, compressAboveBytes, maxBytes };
}

function baseHeaders(target: string, id: string, extra: HeaderFields | undefined): HeaderFields {
  // Dedup is per stream: the target keeps the same id for two actors apart.
  const headers: HeaderFields = { [header.msgId]: `${target}|${id}`, [header.id]: id };
  return extra === undefined ? headers : Object.assign(headers, checkUserHeaders(extra));
}

function checkCodec(codec: unknown): CodecName | undefined {
  if (codec === undefined || codec === "msgpack" || codec === "json") return codec;
  throw new ConfigError(`The codec ${JSON.stringify(codec)} does not exist; use "msgpack" or "json".`);
}

/** @throws ConfigError for an option that tellMany() does not have. */
export function checkManyOptions(options: object): void {
  refuseUnknown(options, manyKeys, "tellMany");
}

function refuseUnknown(options: object, known: ReadonlySet<string>, call: string): void {
  for (const option of Object.keys(options)) {
    if (known.has(option)) continue;
    throw new ConfigError(
      `${call}() has no option ${JSON.stringify(option)}; it takes ${[...known].map((name) => `"${name}"`).join(", ")}.`,
    );
  }
}
