/** Waiting: what waits of an actor in each lane, and since when the oldest of it. A place that has been looked at is remembered until it is passed. */
import type { StreamReader } from "../../broker/stream-reader.ts";
import { monotonicMs } from "../../kernel/clock.ts";
import { lanes, type Lane } from "../../message/names.ts";
import type { Names } from "../../message/subjects.ts";
import { filtersOf, servesSubject, type ActorDurable } from "../durables.ts";
import { inBatches } from "./in-batches.ts";

export interface Waiting {
  lanes: Record<Lane, number>;
  /** Wall-clock ms. */
  oldestAtMs: number | undefined;
}

/** The first message of a subject that a durable has not handed out. */
interface Head {
  delivered: number;
  storedAtMs: number;
  readAtMs: number;
}

/** What stands first may have been removed by others. */
const rememberMs = 30_000;

export function noLanes(): Record<Lane, number> {
  return { critical: 0, high: 0, normal: 0, low: 0 };
}

export class WaitingReader {
  readonly #names: Names;
  readonly #reader: Pick<StreamReader, "backlog" | "first">;
  #heads = new Map<string, Head>();

  constructor(names: Names, reader: Pick<StreamReader, "backlog" | "first">) {
    this.#names = names;
    this.#reader = reader;
  }

  /** @param tasks how many tasks are stored under each subject, those in hand included. */
  async read(
    durables: readonly ActorDurable[],
    tasks: Readonly<Record<string, number>>,
  ): Promise<Map<string, Waiting>> {
    const found = new Map<string, Waiting>();
    const known = this.#heads;
    this.#heads = new Map();
    await inBatches(
      durables.filter(({ pending }) => pending > 0),
      async (durable) => {
        const waiting = found.get(durable.actor) ?? { lanes: noLanes(), oldestAtMs: undefined };
        found.set(durable.actor, waiting);
        if (durable.source === "task") await this.#readLanes(durable, tasks, waiting, known);
        else await Promise.all(filtersOf(durable).map((filter) => this.#readHead(durable, filter, waiting, known)));
      },
    );
    return found;
  }

  /** A durable tells how much waits over all its lanes; what lies behind the last message that it handed out tells in which. */
  async #readLanes(
    durable: ActorDurable,
    tasks: Readonly<Record<string, number>>,
    waiting: Waiting,
    known: ReadonlyMap<string, Head>,
  ): Promise<void> {
    const held = lanes.filter((lane) => {
      const subject = this.#names.taskSubject(durable.actor, lane);
      return (tasks[subject] ?? 0) > 0 && servesSubject(durable, subject);
    });
    for (const lane of held) {
      const subject = this.#names.taskSubject(durable.actor, lane);
      const only = held.length === 1;
      const count = await this.#readHead(durable, subject, waiting, only ? known : new Map());
      waiting.lanes[lane] += only ? durable.pending : count;
    }
  }

  /** @returns how many of the filter wait; 0 where that was remembered and not read, and of a stream made by others. */
  async #readHead(
    durable: ActorDurable,
    filter: string,
    waiting: Waiting,
    known: ReadonlyMap<string, Head>,
  ): Promise<number> {
    const place = `${durable.stream} ${durable.durable} ${filter}`;
    const { delivered } = durable;
    let head = known.get(place);
    let count = 0;
    if (head?.delivered !== delivered || monotonicMs() - head.readAtMs > rememberMs) {
      const found = await this.#look(durable, filter);
      const { oldestAtMs } = found;
      head = oldestAtMs === undefined ? undefined : { delivered, storedAtMs: oldestAtMs, readAtMs: monotonicMs() };
      count = found.count;
    }
    if (head === undefined) return count;
    this.#heads.set(place, head);
    waiting.oldestAtMs = Math.min(waiting.oldestAtMs ?? Infinity, head.storedAtMs);
    return count;
  }

  /** A stream that Godwit did not make need not allow direct looks, nor this credential any: then since when is left open. */
  async #look({ source, stream, delivered }: ActorDurable, filter: string): ReturnType<StreamReader["backlog"]> {
    if (source !== "foreign") return this.#reader.backlog(stream, filter, delivered + 1);
    const first = await this.#reader.first(stream, filter, delivered + 1).catch(() => undefined);
    return { count: 0, oldestAtMs: first?.storedAtMs };
  }
}
