/**
 * Breakers: those of one process, by name.
 * 1. One object for each name, so that all who name it see the same state, and one process counts as one.
 * 2. An actor's config says with which settings; where none does, the first call in a handler that gives some; else the defaults.
 */
import type { ResolvedConfig } from "../../actor/config.ts";
import { breakerSettingsShape, type ResolvedBreaker, type ResolvedBreakerSettings } from "../../actor/guard-config.ts";
import type { BreakerHandle, BreakerSettings } from "../../actor/guard-handles.ts";
import { ConfigError } from "../../kernel/errors.ts";
import { resolveOptions } from "../../kernel/options.ts";
import { checkGuardName } from "../../message/names.ts";
import { Breaker, type BreakerEvent, type BreakerServices } from "./breaker.ts";
import { BreakerGuard } from "./breaker-guard.ts";
import { HandlerBreaker } from "./handle.ts";
import type { Phase } from "./record.ts";
import type { GuardedRun } from "../guard.ts";

type Counts = (error: Error) => boolean;

interface Entry {
  breaker: Breaker;
  /** Who gave the settings; undefined for defaults that nobody chose. */
  givenBy: { who: string; config: boolean } | undefined;
  counts: Counts;
  /** How many actors of running workers declare it. */
  actors: number;
  /** Handlers use it: it stays. */
  asked: boolean;
}

const defaults = breakerSettingsShape.parse({});

export class Breakers {
  readonly #services: Omit<BreakerServices, "onEvent">;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<(event: BreakerEvent) => void>();

  constructor(services: Omit<BreakerServices, "onEvent">) {
    this.#services = services;
  }

  /** The guard of an actor whose config has a breaker. @throws ConfigError where another gave it other settings. */
  guard(config: ResolvedConfig, declared: ResolvedBreaker, onProblem: (error: Error) => void): BreakerGuard {
    const { errorThreshold, volume, window, resetAfter } = declared;
    const counts: Counts = (error) => config.retry.when(error) && (declared.when?.(error) ?? true);
    const entry = this.#entry(declared.name);
    const givenBy = { who: `the actor ${config.name}`, config: true };
    this.#settle(entry, { errorThreshold, volume, window, resetAfter }, givenBy);
    if (entry.actors === 0) entry.counts = counts;
    entry.actors += 1;
    const onClose = (): void => this.#release(entry);
    return new BreakerGuard({ breaker: entry.breaker, counts, fallback: declared.fallback, onProblem, onClose });
  }

  /** A breaker inside a handler. @throws InvalidNameError, ConfigError. */
  handle(run: GuardedRun & { actor: string }, name: string, settings: BreakerSettings | undefined): BreakerHandle {
    const entry = this.#entry(name);
    entry.asked = true;
    if (settings !== undefined) {
      const resolved = resolveOptions(
        breakerSettingsShape,
        settings,
        `settings of ctx.breaker(${JSON.stringify(name)})`,
      );
      if (entry.givenBy?.config !== true) {
        this.#settle(entry, resolved, { who: `a handler of the actor ${run.actor}`, config: false });
      }
    }
    return new HandlerBreaker(entry.breaker, run, (error) => entry.counts(error));
  }

  /** How each circuit stands, as this process sees it. */
  phases(): { name: string; phase: Phase }[] {
    return [...this.#entries].map(([name, { breaker }]) => ({ name, phase: breaker.phase }));
  }

  #entry(name: string): Entry {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      const onEvent = (event: BreakerEvent): void => {
        for (const listener of this.#listeners) listener(event);
      };
      const breaker = new Breaker(checkGuardName(name), defaults, { ...this.#services, onEvent });
      entry = { breaker, givenBy: undefined, counts: () => true, actors: 0, asked: false };
      this.#entries.set(name, entry);
    }
    return entry;
  }

  #settle(entry: Entry, settings: ResolvedBreakerSettings, givenBy: { who: string; config: boolean }): void {
    const { breaker } = entry;
    const differs = (Object.keys(settings) as (keyof ResolvedBreakerSettings)[]).filter(
      (key) => settings[key] !== breaker.settings[key],
    );
    if (differs.length > 0) {
      // A config goes before what handlers ask for.
      if (entry.givenBy !== undefined && entry.givenBy.config === givenBy.config) {
        const list = differs.map((key) => `${key} ${breaker.settings[key]} and ${settings[key]}`).join(", ");
        throw new ConfigError(
          `The breaker ${breaker.name} has other settings in ${entry.givenBy.who} than in ${givenBy.who} (${list}); give both the same, or name one of them otherwise.`,
        );
      }
      breaker.configure(settings);
    }
    if (entry.givenBy?.config !== true) entry.givenBy = givenBy;
  }

  #release(entry: Entry): void {
    entry.actors -= 1;
    if (entry.actors > 0 || entry.asked) return;
    entry.breaker.close();
    this.#entries.delete(entry.breaker.name);
  }

  /** Calls the listener with each change of a circuit. */
  onEvent(listener: (event: BreakerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends timers and interest. */
  close(): void {
    for (const { breaker } of this.#entries.values()) breaker.close();
    this.#entries.clear();
  }
}
