/**
 * Server clock: the server's time, told from the monotonic clock of this process, so that hosts whose wall clocks differ agree.
 * A sample is the `ts` of an API answer, taken as the middle of its round trip (Cristian's algorithm); the one with the shortest round
 * trip of the last few counts. A sample is worth less as it grows old, since clocks drift.
 */
import { monotonicMs } from "../kernel/clock.ts";
import { ConnectError } from "../kernel/errors.ts";
import type { Pipeline } from "./pipeline.ts";

const sampleEveryMs = 10_000;
const keptSamples = 6;
const timeoutMs = 2_000;
/** The first sample of a busy process may be poor: it is tried again for one that is no further off than this, up to so often. */
const goodErrorMs = 2;
const firstSamples = 8;
/** How fast two clocks may drift apart: 100 ms in 1,000 s. */
const driftRate = 1e-4;
/** `ts` is read in whole ms. */
const halfTickMs = 0.5;

interface Sample {
  /** Server time minus monotonic time, ms. */
  offsetMs: number;
  /** How far off it was at most, either way: half the round trip. */
  errorMs: number;
  /** When it was taken, monotonic. */
  takenMs: number;
}

export class ServerClock {
  readonly #pipeline: Pipeline;
  readonly #subject: string;
  #samples: Sample[] = [];
  /** The best of these, until another is taken: all lose their worth equally fast. */
  #found: Sample | undefined;
  #first: Promise<void> | undefined;
  #sampledAtMs = 0;

  /** @param stream any stream that is there: its info tells the time. */
  constructor(pipeline: Pipeline, stream: string) {
    this.#pipeline = pipeline;
    this.#subject = `${pipeline.apiPrefix}.STREAM.INFO.${stream}`;
  }

  /** Resolves once the time is known. @throws ConnectError when no server answers. */
  async ready(): Promise<void> {
    if (this.#samples.length > 0) return;
    this.#first ??= this.#sampleFirst().finally(() => (this.#first = undefined));
    await this.#first;
    if (this.#samples.length === 0) throw new ConnectError("The server does not tell its time; is its stream gone?");
  }

  /**
   * Resolves once the time is known, or cannot be had, as without the right to ask: then it is this host's, and it is asked for again
   * after a while.
   */
  async settled(): Promise<void> {
    const askedLately = this.#sampledAtMs > 0 && monotonicMs() - this.#sampledAtMs < sampleEveryMs;
    if (this.#samples.length > 0 || (askedLately && this.#first === undefined)) return;
    await this.ready().catch(() => undefined);
  }

  async #sampleFirst(): Promise<void> {
    for (let taken = 0; taken < firstSamples && this.errorMs > goodErrorMs; taken++) await this.#sample();
  }

  /**
   * Wall-clock ms of the server; of this host, while no sample was taken (see `ready`). Samples anew now and then, as it is asked.
   * @param atMs the monotonic time to translate. Default: now.
   */
  nowMs(atMs = monotonicMs()): number {
    if (monotonicMs() - this.#sampledAtMs > sampleEveryMs) void this.#sample().catch(() => undefined);
    return atMs + this.#best.offsetMs;
  }

  /** The monotonic time at which the server's clock shows `serverMs`. */
  toMonotonicMs(serverMs: number): number {
    return serverMs - this.#best.offsetMs;
  }

  /** How far off `nowMs` may be, either way. */
  get errorMs(): number {
    return this.#errorOf(this.#best);
  }

  get #best(): Sample {
    return this.#found ?? { offsetMs: Date.now() - monotonicMs(), errorMs: Infinity, takenMs: 0 };
  }

  #errorOf({ errorMs, takenMs }: Sample): number {
    return errorMs + (monotonicMs() - takenMs) * driftRate;
  }

  async #sample(): Promise<void> {
    const sentMs = (this.#sampledAtMs = monotonicMs());
    const answer = await this.#pipeline.ask(this.#subject, new Uint8Array(), timeoutMs);
    const receivedMs = monotonicMs();
    const serverMs = Date.parse(answer.json<{ ts?: string }>().ts ?? "");
    if (Number.isNaN(serverMs)) return;
    // A new sample goes last: clocks drift, and old ones leave.
    const errorMs = (receivedMs - sentMs) / 2 + halfTickMs;
    const offsetMs = serverMs + halfTickMs - (sentMs + receivedMs) / 2;
    this.#samples = [...this.#samples, { offsetMs, errorMs, takenMs: receivedMs }].slice(-keptSamples);
    [this.#found] = this.#samples.toSorted((one, other) => this.#errorOf(one) - this.#errorOf(other));
  }
}
