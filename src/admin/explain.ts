/**
 * Explain: what has become of a message, by its id or its place in a stream.
 * One id may have several answers: each actor that it was sent to has its own, and so does each actor that hears an event.
 */
import type { StoredMessage, StreamReader } from "../broker/stream-reader.ts";
import { infoOf } from "../lifecycle/dead-letter.ts";
import type { RunsStore } from "../lifecycle/runs.ts";
import { expiryOf, header, messageId } from "../message/headers.ts";
import { checkId } from "../message/names.ts";
import { placeText } from "../message/place.ts";
import type { Results } from "../result/results.ts";
import { askWorkers } from "../worker/questions.ts";
import type { Answer, DeliveryState, Explanation, Place } from "./api.ts";
import { servesSubject, type ActorDurable } from "./durables.ts";
import { findDeadOf, findMessages, findResultActors, findResultsAt } from "./find-message.ts";
import { viewFleet, type FleetParts } from "./fleet-view.ts";
import { holdUpsOf, silentOf, type FleetView } from "./hold-ups.ts";
import { deliveryState } from "./message-state.ts";
import { findStranded } from "./stranded.ts";
import { answerMs } from "./workers.ts";

export interface ExplainOptions {
  /** Messages of each stream to look through for an id, the newest ones. Default 10,000. */
  scan?: number;
  /** Only what concerns this actor. */
  actor?: string;
}

export interface ExplainParts extends FleetParts {
  runs: RunsStore;
  results: Results;
}

const defaultScan = 10_000;

const lives = new Set<Answer["state"]>(["scheduled", "waiting", "running", "held", "put-back", "backing-off"]);

/** @throws InvalidNameError for what is neither an id nor a place. */
export async function explain(parts: ExplainParts, query: string, options: ExplainOptions = {}): Promise<Explanation> {
  const place = await placeOf(parts.reader, query);
  const explainer = new Explainer(parts, await viewFleet(parts), options);
  const there = place ? await explainer.at(place) : [];
  // Only the one with a colon is no id: `orders-17` may be somebody's, although there is a stream `orders`.
  if (place && /:\d+$/.test(query)) return { query, found: there, searched: [] };
  const { found, searched } = await explainer.byId(checkId(query));
  return { query, found: telling([...there, ...found]), searched };
}

/** A place, of the message that was stored there at that time, or of whichever is there now. */
interface Asked {
  stream: string;
  sequence: number;
  storedAtMs: number | undefined;
}

/**
 * `STREAM:SEQ`, and the id that a message without one is given, also as older versions gave it, `STREAM-SEQ`; where there is no such stream it
 * is somebody's id.
 */
async function placeOf(reader: StreamReader, query: string): Promise<Asked | undefined> {
  for (const form of [/^([^\s.*>:/\\]+)-(\d{1,15})-(\d{1,15})$/, /^([^\s.*>:/\\]+)[:-](\d{1,15})$/]) {
    const [, stream, sequence, time] = form.exec(query) ?? [];
    if (stream === undefined || (await reader.state(stream)) === undefined) continue;
    return { stream, sequence: Number(sequence), storedAtMs: time === undefined ? undefined : Number(time) };
  }
  return undefined;
}

class Explainer {
  readonly #parts: ExplainParts;
  readonly #fleet: FleetView;
  readonly #options: ExplainOptions;

  constructor(parts: ExplainParts, fleet: FleetView, options: ExplainOptions) {
    this.#parts = parts;
    this.#fleet = fleet;
    this.#options = options;
  }

  async byId(id: string): Promise<Omit<Explanation, "query">> {
    const { names, reader } = this.#parts;
    const { actor, scan = defaultScan } = this.#options;
    const { messages, scheduled, dead, searched } = await findMessages(names, reader, { id, actor, limit: scan });
    const found: Answer[] = [];
    for (const message of messages) found.push(...(await this.#stored(message)));
    found.push(...scheduled.map((message) => this.#scheduled(message)), ...dead.flatMap(deadAnswers));
    return { found: telling([...found, ...(await this.#results(id, found))]), searched };
  }

  async at(asked: Asked): Promise<Answer[]> {
    const { names, reader } = this.#parts;
    const { stream, sequence } = asked;
    const there = await reader.get(stream, sequence);
    const { storedAtMs = there?.storedAtMs } = asked;
    const message = there?.storedAtMs === storedAtMs ? there : undefined;
    if (message && stream === names.dead) return deadAnswers(message);
    if (message && message.subject.startsWith(`${names.namespace}.schedule.`)) return [this.#scheduled(message)];
    const found = message ? await this.#stored(message) : [];
    found.push(...(await findDeadOf(names, reader, { stream, sequence, storedAtMs })).flatMap(deadAnswers));
    const id = message ? messageId(message) : storedAtMs && placeText({ stream, sequence, storedAtMs });
    const ids = found.length > 0 ? found.map((one) => one.id) : id ? [id] : [];
    if (ids.length === 0) ids.push(...(await findResultsAt(names, reader, stream, sequence)));
    for (const one of new Set(ids)) found.push(...(await this.#results(one, found)));
    if (found.length > 0) return telling(found);
    const { lastSequence = 0 } = (await reader.state(stream)) ?? {};
    const never = sequence > lastSequence || sequence < 1;
    return never ? [] : [{ id: id || `${stream}-${sequence}`, actor: undefined, state: "gone" }];
  }

  /** A message of a queue or of events, for each actor whose durable serves it. */
  async #stored(message: StoredMessage): Promise<Answer[]> {
    const { names, reader } = this.#parts;
    const id = messageId(message);
    const place = this.#placeOf(message);
    const serving = this.#fleet.durables.filter(
      (durable) =>
        durable.stream === message.stream &&
        servesSubject(durable, message.subject) &&
        (this.#options.actor === undefined || durable.actor === this.#options.actor),
    );
    if (serving.length === 0) {
      const origin = names.origin(message.stream, message.subject);
      return [{ id, actor: "actor" in origin ? origin.actor : undefined, state: "unserved", place }];
    }
    return Promise.all(
      serving.map(async (durable): Promise<Answer> => {
        const { actor, waitingPulls: listening } = durable;
        // An event stays in its stream when an actor gave up on it.
        const letter = await this.#letter(actor, message);
        if (letter !== undefined) return letter;
        // The search took its time, and the view is as old.
        const now = await reader.consumer(message.stream, durable.durable);
        const found = await this.#deliveryState({ ...durable, ...now }, message);
        // One that was settled while the workers were asked is with nobody, and nobody died.
        const there = found.state === "in-flight" ? await reader.get(message.stream, message.sequence) : message;
        const gone = there?.storedAtMs !== message.storedAtMs;
        if (gone) return this.#settledMeanwhile(id, actor, message);
        return { id, actor, place, listening, ...(await this.#orStranded(found, durable, message)) };
      }),
    );
  }

  /** A message that no durable owes looks as if it were in flight, or due again. */
  async #orStranded(
    found: DeliveryState,
    { actor, stream }: ActorDurable,
    { sequence, storedAtMs }: StoredMessage,
  ): Promise<DeliveryState> {
    if (found.state !== "in-flight" && found.state !== "put-back" && found.state !== "backing-off") return found;
    const group = this.#fleet.durables.filter((one) => one.actor === actor && one.stream === stream);
    const { certain } = await findStranded(this.#parts, group);
    if (!certain.some((one) => one.sequence === sequence && one.storedAtMs === storedAtMs)) return found;
    const { attempt, stalls, errors } = found;
    return { state: "stranded", mendable: true, attempt, stalls, errors };
  }

  async #settledMeanwhile(id: string, actor: string, message: StoredMessage): Promise<Answer> {
    return (await this.#letter(actor, message)) ?? { id, actor: undefined, state: "gone" };
  }

  async #letter(actor: string, message: StoredMessage): Promise<Answer | undefined> {
    const { names, reader } = this.#parts;
    const newest = await reader.last(names.dead, names.deadSubject(actor, message.stream, message.sequence));
    if (newest === undefined) return undefined;
    // It may be that of another message, and hide this one's.
    return (await findDeadOf(names, reader, message, actor)).flatMap(deadAnswers)[0];
  }

  #deliveryState(durable: ActorDurable, message: StoredMessage): Promise<DeliveryState> {
    const { reader, runs } = this.#parts;
    const { workers } = this.#fleet;
    const enough = workers.filter(({ snapshot }) => snapshot !== undefined).length;
    return deliveryState(
      {
        reader,
        runs,
        ask: async ({ stream, sequence, storedAtMs }) => {
          const question = { ask: "message", stream, sequence, storedAtMs } as const;
          return (await askWorkers(this.#parts, question, { waitMs: answerMs, enough })).flat();
        },
        holdUpsOf: (actor) => holdUpsOf(this.#fleet, actor),
        silentOf: (actor) => silentOf(workers, actor),
      },
      durable,
      message,
    );
  }

  #scheduled(message: StoredMessage): Answer {
    const { names } = this.#parts;
    const prefix = `${names.namespace}.schedule.`;
    const actor = message.subject.slice(prefix.length, message.subject.lastIndexOf("."));
    const until = message.headers.get(header.schedule)?.replace(/^@at /, "") ?? "";
    return { id: messageId(message), actor, state: "scheduled", until, place: this.#placeOf(message) };
  }

  /** What is stored of results, but for what another finding of the same actor says better. */
  async #results(id: string, found: readonly Answer[]): Promise<Answer[]> {
    const { names, reader, results } = this.#parts;
    const { actor: only } = this.#options;
    const actors = (await findResultActors(names, reader, id)).filter((actor) => only === undefined || actor === only);
    const outcomes = await Promise.all(
      actors.map(async (actor): Promise<Answer | undefined> => {
        const outcome = await results.get(actor, id);
        const states = found.filter((one) => one.actor === actor && one.id === id).map(({ state }) => state);
        switch (outcome?.state) {
          case undefined:
            return undefined;
          case "pending":
            return states.length > 0 ? undefined : { id, actor, state: "pending" };
          case "completed":
            return { id, actor, state: "completed", value: outcome.value, lost: outcome.error?.message };
          case "failed": {
            const { reason, cause, message } = outcome.error;
            const error = cause instanceof Error ? `${cause.name}: ${cause.message}` : message;
            // One that was sent again lives anew, and what it failed with is of its life before.
            return states.some((state) => state === "dead" || lives.has(state))
              ? undefined
              : { id, actor, state: "failed", reason, error };
          }
        }
      }),
    );
    return outcomes.filter((outcome) => outcome !== undefined);
  }

  #placeOf(message: StoredMessage): Place {
    const { stream, sequence, subject, headers, storedAtMs } = message;
    const origin = this.#parts.names.origin(stream, subject);
    // What is delayed is stored anew when it is due, and expires from then on.
    const dueMs = Date.parse(headers.get(header.schedule)?.slice("@at ".length) ?? "");
    const expiresMs = expiryOf({ headers, storedAtMs: Number.isNaN(dueMs) ? storedAtMs : dueMs });
    return {
      stream,
      sequence,
      subject,
      storedAt: new Date(storedAtMs).toISOString(),
      ...("lane" in origin && { lane: origin.lane }),
      ...(expiresMs !== undefined && { expiresAt: isoTime(expiresMs) }),
    };
  }
}

/** None for what Godwit did not write: anyone may publish into the stream. */
function deadAnswers(message: StoredMessage): Answer[] {
  const dead = infoOf(message);
  return dead === undefined
    ? []
    : [{ id: dead.id, actor: dead.actor, state: "dead", sequence: message.sequence, dead }];
}

/** One message, letter or result may have been found by its id and by its place; that a place is empty tells little beside them. */
function telling(found: readonly Answer[]): Answer[] {
  const seen = new Set<string>();
  const only = found.every(({ state }) => state === "gone");
  return found.filter((one) => {
    if (one.state === "gone" && !only) return false;
    const { stream, sequence } = "place" in one ? one.place : { sequence: "sequence" in one ? one.sequence : one.id };
    const what = JSON.stringify([stream ?? one.state, sequence, one.actor]);
    const known = seen.has(what);
    seen.add(what);
    return !known;
  });
}

/** ISO time; empty for what is no time, since anyone can write a header. */
function isoTime(ms: number): string {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? "" : time.toISOString();
}
