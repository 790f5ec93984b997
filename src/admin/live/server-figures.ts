/**
 * Server figures: how each actor stands, as the server says. Meant to be read every two seconds, also with hundreds of actors and a million
 * dead letters: the durables of a stream come in one answer, and what has to be asked for each actor is asked only when it may have changed.
 */
import type { StreamReader, StreamState } from "../../broker/stream-reader.ts";
import { wallMs } from "../../kernel/clock.ts";
import { isoEnd } from "../../kernel/until.ts";
import type { Names } from "../../message/subjects.ts";
import type { ActorFrame } from "../api.ts";
import { listDurables, type ActorDurable } from "../durables.ts";
import { pausedUntilMs } from "../pause.ts";
import { inBatches } from "./in-batches.ts";
import { Paced } from "./paced.ts";
import { noLanes, WaitingReader, type Waiting } from "./waiting.ts";

/** Of one actor. */
export type ActorFigures = Pick<
  ActorFrame,
  "depth" | "lanes" | "scheduled" | "inFlight" | "dead" | "oldestMs" | "paused" | "pausedUntil"
>;

/** Of one that has no durables, or before any are read. */
export function noFigures(): ActorFigures {
  return { depth: 0, lanes: noLanes(), scheduled: 0, inFlight: 0, dead: 0, paused: false };
}

export interface ServerReading {
  /** Those that have durables. */
  actors: Map<string, ActorFigures>;
  dead: number;
}

interface Stored {
  durables: ActorDurable[];
  /** Tasks stored, by subject. */
  tasks: Record<string, number>;
  schedule: StreamState | undefined;
  dead: StreamState | undefined;
  /** How far the server's clock is ahead of this host's. */
  serverAheadMs: number;
}

const nothing: Stored = { durables: [], serverAheadMs: 0, tasks: {}, schedule: undefined, dead: undefined };

export class ServerFigures {
  readonly #names: Names;
  readonly #reader: StreamReader;
  readonly #waitingReader: WaitingReader;
  readonly #stored = new Paced("The queues", nothing);
  readonly #waiting = new Paced("What waits in which lane, and since when,", new Map<string, Waiting>());
  readonly #scheduled = new Paced("The delayed tasks of each actor", new Map<string, number>());
  readonly #dead = new Paced("The dead letters of each actor", new Map<string, number>());

  constructor(names: Names, reader: StreamReader) {
    this.#names = names;
    this.#reader = reader;
    this.#waitingReader = new WaitingReader(names, reader);
  }

  /** What is out of date, and why. */
  get problems(): string[] {
    const all = [this.#stored, this.#waiting, this.#scheduled, this.#dead];
    return all.flatMap(({ problem }) => problem ?? []);
  }

  /** Never rejects: what cannot be read stays as it was. */
  async read(): Promise<ServerReading> {
    const stored = await this.#stored.refresh(() => this.#readStored());
    const { durables, tasks, schedule, dead } = stored;
    const names = this.#names;
    const actors = [...new Set(durables.map(({ actor }) => actor))].toSorted();
    const [waiting, scheduledOf, deadOf] = await Promise.all([
      this.#waiting.refresh(() => this.#waitingReader.read(durables, tasks)),
      this.#scheduled.refresh(
        () => this.#count(names.schedule, schedule, actors, (actor) => names.scheduleFilter(actor)),
        versionOf(schedule, actors),
      ),
      this.#dead.refresh(
        () => this.#count(names.dead, dead, actors, (actor) => names.deadFilter(actor)),
        versionOf(dead, actors),
      ),
    ]);
    // What is stored was dated by the server's clock.
    const nowMs = wallMs() + stored.serverAheadMs;
    const figures = new Map<string, ActorFigures>();
    for (const actor of actors) {
      figures.set(actor, {
        ...noFigures(),
        lanes: waiting.get(actor)?.lanes ?? noLanes(),
        scheduled: scheduledOf.get(actor) ?? 0,
        dead: deadOf.get(actor) ?? 0,
      });
    }
    for (const { actor, pending, inFlight } of durables) {
      const of = figures.get(actor) as ActorFigures;
      of.depth += pending;
      of.inFlight += inFlight;
    }
    for (const [actor, of] of figures) {
      const oldestAtMs = waiting.get(actor)?.oldestAtMs;
      if (of.depth > 0 && oldestAtMs !== undefined) of.oldestMs = Math.max(0, nowMs - oldestAtMs);
      const untilMs = pausedUntilMs(durables.filter((durable) => durable.actor === actor));
      of.paused = untilMs !== undefined;
      const until = isoEnd(untilMs);
      if (until !== undefined) of.pausedUntil = until;
    }
    return { actors: figures, dead: dead?.messages ?? 0 };
  }

  async #readStored(): Promise<Stored> {
    const { tasks, schedule, dead } = this.#names;
    const [durables, stored, scheduleState, deadState] = await Promise.all([
      listDurables(this.#names, this.#reader),
      this.#reader.subjects(tasks, this.#names.taskSubject(">", "*")),
      this.#reader.state(schedule),
      this.#reader.state(dead),
    ]);
    const [first] = durables;
    const serverAheadMs = first === undefined ? 0 : first.atMs - wallMs();
    return { durables, serverAheadMs, tasks: stored, schedule: scheduleState, dead: deadState };
  }

  async #count(
    stream: string,
    state: StreamState | undefined,
    actors: readonly string[],
    filter: (actor: string) => string,
  ): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    if (state === undefined || state.messages === 0) return counts;
    await inBatches(actors, async (actor) => void counts.set(actor, await this.#reader.count(stream, filter(actor))));
    return counts;
  }
}

/** Changes whenever the stream does, or the actors do. */
function versionOf(state: StreamState | undefined, actors: readonly string[]): string {
  if (state === undefined) return "none";
  const { messages, bytes, firstSequence, lastSequence } = state;
  return [messages, bytes, firstSequence, lastSequence, actors.length].join(" ");
}
