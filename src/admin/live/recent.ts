/** Recent: the figures of the last five minutes, for plots that begin full. */
import type { Frame, History } from "../api.ts";

const keptMs = 300_000;
const figures = ["rate", "depth", "errorShare", "p95Ms"] as const;
type Figures = Record<(typeof figures)[number], number | null>;

export class Recent {
  #moments: { atMs: number; actors: Map<string, Figures> }[] = [];

  /** What is no news is no point of a plot. */
  add({ at, actors, stale = false }: Frame): void {
    if (stale) return;
    const atMs = Date.parse(at);
    const own = actors.map(({ actor, rate, depth, errorShare, p95Ms }): [string, Figures] => {
      return [actor, { rate, depth, errorShare: rate === 0 ? null : errorShare, p95Ms: p95Ms ?? null }];
    });
    this.#moments.push({ atMs, actors: new Map(own) });
    this.#moments = this.#moments.filter((moment) => atMs - moment.atMs < keptMs);
  }

  history(): History {
    const times = this.#moments.map(({ atMs }) => atMs);
    const names = new Set(this.#moments.flatMap(({ actors }) => [...actors.keys()]));
    const actors: History["actors"] = {};
    for (const actor of names) {
      const of = (figure: (typeof figures)[number]): (number | null)[] =>
        this.#moments.map((moment) => moment.actors.get(actor)?.[figure] ?? null);
      actors[actor] = { rate: of("rate"), depth: of("depth"), errorShare: of("errorShare"), p95Ms: of("p95Ms") };
    }
    return { times, actors };
  }
}
