/**
 * Feed: frames as the server sends them, one every two seconds, and what it says when they stop.
 * 1. What was last heard stays, with its age; it is never shown as if it were new.
 * 2. A feed that is cut off tries again by itself until it is stopped.
 */
import type { Frame, History } from "../../admin/api.ts";
import { api } from "../api-client.ts";
import { emptyHistory, withFrame, withGaps } from "./history.ts";

export interface Live {
  /** `connecting`: nothing was heard yet. */
  connection: "connecting" | "live" | "cut";
  frame: Frame | undefined;
  history: History;
  /** When the frame came, by `performance.now()`. */
  receivedAtMs: number;
}

export const nothingYet: Live = { connection: "connecting", frame: undefined, history: emptyHistory, receivedAtMs: 0 };

/** Frames come each 2 s: after this long without one the connection is taken for dead. */
const silenceMs = 8_000;
const againMs = 2_000;

export class Feed {
  #live: Live = nothingYet;
  readonly #tell: (live: Live) => void;
  #source: EventSource | undefined;
  #timer: number | undefined;

  /** @param tell is given each new state. */
  constructor(tell: (live: Live) => void) {
    this.#tell = tell;
  }

  start(): void {
    this.#open();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
  }

  #open(): void {
    const source = new EventSource("api/stream");
    this.#source = source;
    source.addEventListener("open", () => void this.#fill());
    source.addEventListener("frame", (event: MessageEvent<string>) => this.#take(JSON.parse(event.data) as Frame));
    source.addEventListener("error", () => this.#lose(againMs));
    this.#watch();
  }

  /** What happened before, and while it was cut off. */
  async #fill(): Promise<void> {
    const history = await api.history().catch(() => undefined);
    if (history === undefined) return;
    const { frame } = this.#live;
    const known = withGaps(history);
    this.#set({ history: frame === undefined ? known : withFrame(known, frame) });
  }

  #take(frame: Frame): void {
    const history = withFrame(this.#live.history, frame);
    this.#set({ connection: "live", frame, history, receivedAtMs: performance.now() });
    this.#watch();
  }

  #watch(): void {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#lose(0), silenceMs);
  }

  #lose(waitMs: number): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#set({ connection: "cut" });
    this.#timer = window.setTimeout(() => this.#open(), waitMs);
  }

  #set(change: Partial<Live>): void {
    this.#live = { ...this.#live, ...change };
    this.#tell(this.#live);
  }
}
