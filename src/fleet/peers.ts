/**
 * Peers: how many supervisors run the same actors, so that each takes its part of what is needed. Each says now and then that it is there,
 * and counts those that it has heard of late; asking would take the right to hear answers, which may be others'.
 */
import * as z from "zod";
import type { Bus } from "../broker/bus.ts";
import { monotonicMs } from "../kernel/clock.ts";
import type { Names } from "../message/subjects.ts";
import { readJson } from "../worker/questions.ts";

const announceMs = 5_000;
/** Two of three announcements may be lost. */
const heardForMs = 3 * announceMs + 1_000;

const announcement = z.object({ v: z.literal(1), id: z.string(), actors: z.array(z.string()) });

export interface PeersOptions {
  names: Names;
  bus: Bus;
  id: string;
  /** In order. */
  actors: () => string[];
}

export class Peers {
  readonly #options: PeersOptions;
  /** By id: what each runs, and when it said so, monotonic. */
  readonly #heard = new Map<string, { actors: string; atMs: number }>();
  #timer: NodeJS.Timeout | undefined;
  #unsubscribe: () => void = () => undefined;

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  start(): void {
    const { names, bus, id: own } = this.#options;
    this.#unsubscribe = bus.subscribe(names.supervisorsPresentSubject, ({ body }) => {
      const said = announcement.safeParse(readJson(body)).data;
      if (said === undefined || said.id === own) return;
      const isNew = !this.#heard.has(said.id);
      this.#heard.set(said.id, { actors: said.actors.join(), atMs: monotonicMs() });
      // It cannot know of this one yet.
      if (isNew) this.#announce();
    });
    this.#announce();
    this.#timer = setInterval(() => this.#announce(), announceMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#unsubscribe();
  }

  /** How many run the same actors, this one included. */
  count(): number {
    const nowMs = monotonicMs();
    for (const [id, { atMs }] of this.#heard) if (nowMs - atMs > heardForMs) this.#heard.delete(id);
    const own = this.#options.actors().join();
    return 1 + [...this.#heard.values()].filter(({ actors }) => actors === own).length;
  }

  #announce(): void {
    const { names, bus, id, actors } = this.#options;
    bus.publish(names.supervisorsPresentSubject, Buffer.from(JSON.stringify({ v: 1, id, actors: actors() })));
  }
}
