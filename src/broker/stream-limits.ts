/** Stream limits: which limit of a stream was reached, asked of the server once in a while. */
import { monotonicMs } from "../kernel/clock.ts";
import type { Pipeline } from "./pipeline.ts";

const keptMs = 10_000;
const timeoutMs = 2_000;

interface StreamInfo {
  config?: { max_msgs_per_subject?: number; max_bytes?: number };
}

export class StreamLimits {
  readonly #pipeline: Pipeline;
  readonly #known = new Map<string, { untilMs: number; info: Promise<StreamInfo> }>();

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
  }

  /**
   * The limit that the server's reason speaks of, undefined for any other reason.
   * @param reason the description of the server's refusal.
   * @throws ConnectError when no answer comes in time.
   */
  async reached(stream: string, reason: string): Promise<{ messages: number } | { bytes: number } | undefined> {
    const { config = {} } = await this.#infoOf(stream);
    const { max_msgs_per_subject: messages = -1, max_bytes: bytes = -1 } = config;
    if (/maximum messages per subject/.test(reason) && messages > 0) return { messages };
    if (/maximum bytes/.test(reason) && bytes > 0) return { bytes };
    return undefined;
  }

  /** A full queue refuses many at once; they share one question. */
  #infoOf(stream: string): Promise<StreamInfo> {
    const nowMs = monotonicMs();
    const known = this.#known.get(stream);
    if (known !== undefined && nowMs < known.untilMs) return known.info;
    const info = this.#pipeline
      .ask(`${this.#pipeline.apiPrefix}.STREAM.INFO.${stream}`, new Uint8Array(), timeoutMs)
      .then((reply) => reply.json<StreamInfo>());
    this.#known.set(stream, { untilMs: nowMs + keptMs, info });
    return info;
  }
}
