/**
 * Edited durables: what somebody changes of a worker's durables while it runs is put back, or named where that may not be.
 * 1. They are compared as at a start (durables.ts), and changed under the same hold. A pause is no change.
 * 2. One that is gone stays so, since it may have been retired: the watchdog names it.
 * 3. What comes without its body waits until its durable lets bodies through.
 */
import type { ResolvedConfig } from "../actor/config.ts";
import type { AnyDelivery } from "../broker/delivery.ts";
import { durableDifferences, filtersOf, lookForDurable, type DurableInfo } from "../broker/durable-topology.ts";
import { described } from "../broker/settings.ts";
import type { Provision } from "../broker/topology.ts";
import { monotonicMs } from "../kernel/clock.ts";
import { toError } from "../kernel/errors.ts";
import { covers } from "./declared.ts";
import { durableName, restoreDurables, type ActorDurable, type DurableParts } from "./durables.ts";
import type { Reporter } from "./reporter.ts";

/** So long one that was seen to let bodies through is believed to have done so since. */
const wholeMs = 10_000;

export interface EditedDurablesParts extends DurableParts {
  provision: Provision;
}

export class EditedDurables {
  readonly #parts: EditedDurablesParts;
  /** By stream and name, as the maps below: why one that is not as it should be stays so. */
  readonly #named = new Map<string, string>();
  /** What differs and is to: live workers with other configs need it. */
  readonly #needed = new Map<string, string>();
  /** As they were first seen, which counts where whatever is there will do. */
  readonly #first = new Map<string, DurableInfo["config"]>();
  /** When they were first seen to let bodies through, monotonic ms. */
  readonly #wholeSinceMs = new Map<string, number>();

  constructor(parts: EditedDurablesParts) {
    this.#parts = parts;
  }

  /** One sentence for each that is not as it should be and stays so. */
  get reasons(): string[] {
    return [...this.#named.values()];
  }

  /** Looks at an actor's durables. @throws what the server says where it cannot be asked. */
  async look(config: ResolvedConfig, durables: readonly ActorDurable[], reporter: Pick<Reporter, "problem">) {
    for (const durable of durables) {
      const name = nameOf(durableName(durable));
      let changes = await this.#changes(durable, name);
      if (changes === "" || changes === this.#needed.get(name)) {
        this.#asItShouldBe(name);
        continue;
      }
      let why = `provision is "${this.#parts.provision}"`;
      if (this.#mayChange) {
        try {
          if (!(await restoreDurables(this.#parts, config, durableName(durable)))) return;
          changes = await this.#changes(durable, name);
          this.#needed.set(name, changes);
          this.#asItShouldBe(name);
          continue;
        } catch (thrown) {
          why = toError(thrown).message;
        }
      }
      const { stream, spec } = durable;
      const said = `somebody has changed the durable ${spec.durable_name} on ${stream} of ${config.name}: ${changes}; put that back, or start a worker that may (${why})`;
      if (!this.#named.has(name)) reporter.problem(new Error(said));
      this.#named.set(name, said);
    }
  }

  /**
   * Whether a message came without its body because its durable leaves bodies out, or did when it was handed out.
   * @param sinceMs when it came, monotonic.
   */
  async lackedBody({ stream, consumer }: AnyDelivery, sinceMs: number): Promise<boolean> {
    const place = { stream, durable: consumer };
    const name = nameOf(place);
    const found = await lookForDurable(this.#parts.connection.jsm, place);
    if (found?.config.headers_only === true) {
      this.#wholeSinceMs.delete(name);
      return true;
    }
    const wholeSinceMs = this.#wholeSinceMs.get(name) ?? -Infinity;
    if (monotonicMs() - wholeSinceMs < wholeMs) return sinceMs <= wholeSinceMs;
    this.#wholeSinceMs.set(name, monotonicMs());
    return true;
  }

  get #mayChange(): boolean {
    return this.#parts.provision === "create" || this.#parts.provision === "keep";
  }

  /** What is not as it should be, as text. */
  async #changes(durable: ActorDurable, name: string): Promise<string> {
    const found = await lookForDurable(this.#parts.connection.jsm, durableName(durable));
    if (found === undefined) return "";
    if (!this.#first.has(name)) this.#first.set(name, found.config);
    const spec = this.#parts.provision === "use" ? (this.#first.get(name) ?? found.config) : durable.spec;
    // A longer ack-wait than is needed shrinks in its time (durable-watch.ts).
    const isLonger = (found.config.ack_wait ?? 0) > (spec.ack_wait ?? 0);
    return durableDifferences(found.config, spec)
      .filter(({ field }) => !(field === "ack_wait" && isLonger))
      .filter(({ field }) => !(field === "filter_subjects" && this.#mayBe(durable, found)))
      .map(described)
      .join("; ");
  }

  /** Others may have changed its filters for workers with another config, which only those who may change it find out. */
  #mayBe({ stream, spec }: ActorDurable, { config }: DurableInfo): boolean {
    if (this.#mayChange) return false;
    const { names } = this.#parts;
    const [own, now] = [spec.filter_subjects, filtersOf(config)];
    const within = (some: string[], all: string[]): boolean =>
      some.every((one) => all.some((other) => covers(other, one)));
    // A lane that was given a durable of its own, or an event that another one hears.
    return stream === names.tasks ? within(now, own) : within(own, now);
  }

  #asItShouldBe(name: string): void {
    if (!this.#named.delete(name)) return;
    const [stream, durable] = name.split(" ");
    this.#parts.log.info({ stream, durable }, "the durable is as it should be again");
  }
}

function nameOf({ stream, durable }: ReturnType<typeof durableName>): string {
  return `${stream} ${durable}`;
}
