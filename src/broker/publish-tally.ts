/** Publish tally: how long the server took to take messages, how large they were, and what it refused, for each stream. */
import { Histogram, sizeBoundsBytes, timeBoundsMs, type HistogramSnapshot } from "../kernel/histogram.ts";

/** Of one stream, since the system began; only grows. */
export interface PublishSnapshot {
  stream: string;
  /** From when a message was handed over until the server had it, waits and repeats included; over `timeBoundsMs`. */
  publishMs: HistogramSnapshot;
  /** Bodies as sent, of what the server took; over `sizeBoundsBytes`. */
  bodyBytes: HistogramSnapshot;
  /** What the server refused or did not answer, by the error's code. */
  errors: Record<string, number>;
}

interface StreamTally {
  publishMs: Histogram;
  bodyBytes: Histogram;
  errors: Map<string, number>;
}

export class PublishTally {
  readonly #streams = new Map<string, StreamTally>();

  taken(stream: string, ms: number, bodyBytes: number): void {
    const tally = this.#of(stream);
    tally.publishMs.record(ms);
    tally.bodyBytes.record(bodyBytes);
  }

  failed(stream: string, code: string): void {
    const { errors } = this.#of(stream);
    errors.set(code, (errors.get(code) ?? 0) + 1);
  }

  snapshot(): PublishSnapshot[] {
    return [...this.#streams].map(([stream, { publishMs, bodyBytes, errors }]) => ({
      stream,
      publishMs: publishMs.snapshot(),
      bodyBytes: bodyBytes.snapshot(),
      errors: Object.fromEntries(errors),
    }));
  }

  #of(stream: string): StreamTally {
    let tally = this.#streams.get(stream);
    if (tally === undefined) {
      tally = { publishMs: new Histogram(timeBoundsMs), bodyBytes: new Histogram(sizeBoundsBytes), errors: new Map() };
      this.#streams.set(stream, tally);
    }
    return tally;
  }
}
