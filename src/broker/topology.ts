/**
 * Topology: the streams, buckets and object stores of a namespace, reconciled with the server.
 * 1. What is missing is created; what may change is updated; what may not is refused with TopologyMismatchError.
 * 2. What a program asks for is recorded in each stream's metadata, and stays until somebody asks for more, or twice for less.
 * 3. A field that is neither as recorded nor as declared was changed by hand: what drops, refuses or hides more is put back, the rest is
 *    kept and told of.
 * 4. With `provision: "check"` nothing is written: it only compares, and what is missing is refused too. `"keep"` asks for nothing of a
 *    namespace that is there; `"use"` takes what there is.
 * 5. The server knows no compare-and-set of configs, so a stream is read just before it is changed, and all are looked at again after it, until
 *    there is nothing to change. A write that comes too late undoes one stream; the record of the others brings it back.
 */
import { isDeepStrictEqual } from "node:util";
import type { StreamConfig, StreamInfo } from "@nats-io/jetstream";
import { monotonicMs, pause } from "../kernel/clock.ts";
import { NotAuthorizedError, TopologyMismatchError } from "../kernel/errors.ts";
import type { Logger } from "../kernel/logger.ts";
import type { Names } from "../message/subjects.ts";
import {
  asMetadata,
  optionsOf,
  recordedIn,
  settingsOf,
  sizeOption,
  together,
  type Asked,
  type Recorded,
  type Settings,
} from "./asked.ts";
import type { Connection } from "./connection.ts";
import { fittingSizes } from "./fitting-sizes.ts";
import { patiently } from "./patience.ts";
import { absentAsUndefined, codeOf, explainRefusal, mismatch, missing, overlapOf } from "./topology-refusal.ts";
import { described, differences, streamRules, type Difference } from "./settings.ts";
import { streamSpecs, type StreamSpec } from "./stream-specs.ts";

/**
 * `create`: make and update. `keep`: make what is missing, and ask for nothing of what exists. `check`: compare and refuse; needs no
 * right to create. `use`: what is there will do.
 */
export type Provision = "create" | "keep" | "check" | "use";

export interface TopologyOptions {
  names: Names;
  provision: Provision;
  /** What was given explicitly. */
  asked: Asked;
  /** Options that may lower what is recorded. */
  lower: readonly string[];
  log: Logger;
}

/** What is to be done about one stream. */
interface Step {
  spec: StreamSpec;
  /** Undefined where there is none. */
  have: StreamConfig | undefined;
  change: Difference[];
  keep: Difference[];
  /** The record is another. */
  note: boolean;
}

const nameInUse = 10058;
/** Several that start at once may each undo what another has just done. */
const maxRounds = 20;
const againMs = 50;
const maxMoveMs = 20_000;

export class Topology {
  readonly #connection: Connection;
  readonly #options: TopologyOptions;
  /** What holds, by the last look. */
  #recorded: Recorded;
  /** Fields that the server sets as it likes: `<stream> <field>`. */
  readonly #servers = new Set<string>();
  /** It has been told of. */
  readonly #told = new Set<string>();
  #begun = false;

  constructor(connection: Connection, options: TopologyOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#recorded = { asked: options.asked, fitted: {} };
  }

  /** What the streams are made by. */
  get settings(): Settings {
    return settingsOf(this.#recorded.asked, this.#recorded.fitted);
  }

  /**
   * Brings the streams, and those object stores that there are, to what is recorded, asked for and declared.
   * @param only one stream, bucket or object store, which is made where it is missing.
   * @throws TopologyMismatchError, NotAuthorizedError, ConnectError.
   */
  async reconcile({ objectStores = false, only }: { objectStores?: boolean; only?: string } = {}) {
    for (let round = 1; ; round++) {
      const steps = await this.#plan(objectStores, only);
      if (!(await this.#carryOut(steps))) break;
      if (round === maxRounds) {
        throw new TopologyMismatchError(
          `The streams of ${this.#options.names.namespace} are changed by others as fast as they are reconciled; start one program at a time, or give all the same options.`,
        );
      }
      // Another one that had looked before may write after.
      await pause(againMs * (0.5 + Math.random()) * Math.min(round, 4));
    }
    this.#begun = true;
  }

  async #plan(optional: boolean, only: string | undefined): Promise<Step[]> {
    const { names, provision } = this.#options;
    const listed = streamSpecs(names, settingsOf({}));
    const objectStores = listed.objectStores.filter(({ name }) => optional || name === only);
    const looked = [...listed.streams, ...objectStores];
    const found = new Map<string, StreamConfig>();
    await Promise.all(
      looked.map(async ({ name }) => {
        const { jsm } = this.#connection;
        const info = await patiently(`stream ${name}`, () => absentAsUndefined(jsm.streams.info(name)));
        if (info !== undefined) found.set(name, info.config);
      }),
    );
    // Of a namespace that is gone, all that is known is what this system has seen.
    const before = found.size > 0 ? recordedIn(names, [...found.values()]) : this.#recorded;
    const asked = this.#asks(found.size > 0);
    const lower = this.#begun ? [] : this.#options.lower;
    this.#recorded = { asked: together(before.asked, asked, lower), fitted: before.fitted };
    if (provision === "use" && found.size > 0) return [];
    const isMade = (name: string): boolean => !found.has(name) && (!name.startsWith("OBJ_") || name === only);
    const planned = looked.filter(({ name }) => only === undefined || name === only);
    const makes = provision === "create" || provision === "keep";
    if (makes && planned.some(({ name }) => isMade(name))) this.#recorded = await this.#fit(this.#recorded);
    return planned.flatMap(({ name }): Step[] => {
      const have = found.get(name);
      if (have === undefined && !isMade(name)) return [];
      const spec = specOf(names, name, this.#recorded);
      if (spec === undefined) return [];
      // By its own record: one that is looked at more rarely, as an object store, may be behind the others.
      const old = have && specOf(names, name, recordedIn(names, [have]));
      const twice = (field: string): boolean => optionsOf(names, name, field).some((one) => lower.includes(one));
      const { change, keep } = split(have, old, spec, twice);
      const ours = change.filter(({ field }) => !this.#servers.has(`${name} ${field}`));
      return [{ spec, have, change: ours, keep, note: !isNoted(have, this.#recorded) }];
    });
  }

  /** Later on, what somebody else has asked for meanwhile holds. */
  #asks(exists: boolean): Asked {
    const { asked, provision, log } = this.#options;
    if (this.#begun) return {};
    if (!exists || provision === "create" || provision === "check") return asked;
    if (provision === "keep" && Object.keys(asked).length > 0) {
      this.#tell(() => log.info({ asked }, `provision is "keep": streams that exist stay as they are`), "asked");
    }
    return {};
  }

  /** @returns whether something was changed, or has to be looked at again. */
  async #carryOut(steps: readonly Step[]): Promise<boolean> {
    const { provision, log } = this.#options;
    let again = false;
    for (const step of steps) {
      const { spec, have, change, keep } = step;
      const stream = spec.name;
      const what = `stream ${stream}`;
      for (const one of keep) {
        const said = `somebody has changed the stream: ${described(one)}; that is no less safe, and is kept`;
        this.#tell(() => log.warn({ stream }, said), `${stream} ${said}`);
      }
      if (have === undefined) {
        if (provision === "check" || provision === "use") throw missing(what, provision);
        again = (await this.#create(spec)) || again;
        continue;
      }
      if (provision === "check") {
        if (change.length > 0) throw mismatch(what, change);
        continue;
      }
      if (change.length === 0 && !step.note) continue;
      const fixed = change.filter((one) => one.fixed);
      if (fixed.length > 0) throw mismatch(what, fixed);
      again = (await this.#update(step as Step & { have: StreamConfig })) || again;
    }
    return again;
  }

  async #create(spec: StreamSpec): Promise<boolean> {
    const { jsm } = this.#connection;
    const { log } = this.#options;
    const what = `stream ${spec.name}`;
    try {
      const metadata = asMetadata(this.#recorded);
      await explainRefusal(
        what,
        patiently(what, () => jsm.streams.add({ ...spec, metadata })),
        this.#sizeOf(spec),
        () => overlapOf(jsm, spec),
      );
    } catch (error) {
      // Somebody else was faster.
      if (codeOf(error) === nameInUse) return true;
      throw error;
    }
    (this.#begun ? log.warn : log.debug).call(log, { stream: spec.name }, "made the stream");
    return false;
  }

  async #update({ spec, have, change }: Step & { have: StreamConfig }): Promise<boolean> {
    const { jsm } = this.#connection;
    const { log } = this.#options;
    const { name: stream } = spec;
    const what = `stream ${stream}`;
    const fields = Object.fromEntries(change.map(({ field, want }) => [field, want]));
    const metadata = { ...have.metadata, ...asMetadata(this.#recorded) };
    let now: StreamConfig;
    try {
      // Another program may have changed it since: nothing of that is to be undone.
      const scaled = change.some(({ field }) => field === "num_replicas");
      const config = await this.#atRest(stream, scaled ? maxMoveMs : 0);
      if (!isDeepStrictEqual(config, have)) return true;
      const request = (): Promise<StreamInfo> => jsm.streams.update(stream, { ...have, ...fields, metadata });
      now = (await explainRefusal(what, patiently(what, request), this.#sizeOf(spec), () => overlapOf(jsm, spec)))
        .config;
    } catch (error) {
      // Work goes on without a change that this program has not asked for.
      const unasked = change.length === 0 || Object.keys(this.#asks(true)).length === 0;
      if (!(error instanceof NotAuthorizedError && unasked)) throw error;
      const told = `could not change the stream: ${change.map(described).join("; ") || "no right to record what was asked for"}`;
      this.#tell(() => log.warn({ stream, err: error.message }, told), `${stream} ${told}`);
      return false;
    }
    for (const { field, have: from = null, want: to = null } of change) {
      log.warn({ stream, field, from, to }, "changed the stream");
    }
    for (const { field } of differences(streamRules, now, spec)) {
      if (change.some((one) => one.field === field)) this.#servers.add(`${stream} ${field}`);
    }
    return true;
  }

  /** Its config once it is on as many servers as it should be: scaled while it moves, a stream is left without a leader for good. */
  async #atRest(stream: string, maxMs: number): Promise<StreamConfig> {
    const { jsm } = this.#connection;
    for (const untilMs = monotonicMs() + maxMs; ; await pause(250)) {
      const { config, cluster } = await patiently(`stream ${stream}`, () => jsm.streams.info(stream));
      const moving = (cluster?.replicas?.length ?? 0) >= config.num_replicas;
      if (!moving || monotonicMs() >= untilMs) return config;
    }
  }

  /** What the server is to set aside, and the option that says so. */
  #sizeOf({ name, max_bytes: bytes }: StreamSpec): { bytes: number; option: string } | undefined {
    return bytes === undefined ? undefined : { bytes, option: sizeOption(this.#options.names, name) };
  }

  /** Sizes for those that nobody has given one, where the account demands that before it lets a stream be made. */
  async #fit({ asked, fitted }: Recorded): Promise<Recorded> {
    // Without the right to ask, the server's refusal tells of it.
    const account = await this.#connection.jsm.getAccountInfo().catch(() => undefined);
    if (account === undefined) return { asked, fitted };
    const sizes = fittingSizes(account, settingsOf(asked), { ...fitted, ...asked });
    if (Object.keys(sizes).length === 0) return { asked, fitted };
    this.#options.log.info(sizes, "the account demands a size of every stream, and these were chosen");
    return { asked, fitted: { ...fitted, ...sizes } };
  }

  #tell(tell: () => void, key: string): void {
    if (!this.#told.has(key)) tell();
    this.#told.add(key);
  }
}

function specOf(names: Names, stream: string, { asked, fitted }: Recorded): StreamSpec | undefined {
  const { streams, objectStores } = streamSpecs(names, settingsOf(asked, fitted));
  return [...streams, ...objectStores].find(({ name }) => name === stream);
}

/** What is to change, and what was changed by hand and is no worse for it. */
function split(
  have: StreamConfig | undefined,
  old: StreamSpec | undefined,
  spec: StreamSpec,
  twice: (field: string) => boolean,
): Pick<Step, "change" | "keep"> {
  const found = have === undefined ? [] : differences(streamRules, have, spec);
  const byHand = new Set(have && old && differences(streamRules, have, old).map(({ field }) => field));
  const kept = ({ field, worse }: Difference): boolean => !worse && byHand.has(field) && !twice(field);
  return { change: found.filter((one) => !kept(one)), keep: found.filter(kept) };
}

function isNoted(have: StreamConfig | undefined, recorded: Recorded): boolean {
  return Object.entries(asMetadata(recorded)).every(([key, text]) => have?.metadata?.[key] === text);
}

/** A setting of a stream that is not as recorded and declared, as the doctor tells it. */
export interface Alteration {
  field: string;
  /** As `retention is "limits", not "workqueue"`. */
  said: string;
  /** `kept`: no less safe. `drops`: accepted work goes, or the server does not change it back. */
  level: "kept" | "hurts" | "drops";
}

export function alterations(names: Names, config: StreamConfig): Alteration[] {
  const spec = specOf(names, config.name, recordedIn(names, [config]));
  if (spec === undefined) return [];
  return differences(streamRules, config, spec).map((one) => {
    const level = !one.worse ? "kept" : one.drops || one.fixed ? "drops" : "hurts";
    return { field: one.field, said: described(one), level };
  });
}
