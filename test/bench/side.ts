/**
 * Side: one party of the comparison, in a process of its own, so that neither warms up, slows down or fills the heap of the other.
 * The parent calls it over IPC, one call at a time. A side ends with its parent.
 */
import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { profiled } from "./profile.ts";

/** What a timed phase gave. */
export interface Measure {
  messages: number;
  ms: number;
  /** Processor time of this side, user and system; the server's is not in it. */
  cpuMs: number;
  /** Resident memory after the phase. */
  rssBytes: number;
}

export interface OpenSettings {
  url: string;
  namespace: string;
}

/** What both sides can do. `variant` names the way in which a side does it. */
export interface Side {
  /** Gives the version of the server. */
  open(settings: OpenSettings): Promise<string>;
  publish(variant: string, messages: number): Promise<number>;
  consume(variant: string, messages: number): Promise<number>;
  /** Round trips one at a time, in ms each. */
  ask(count: number): Promise<number[]>;
  close(): Promise<void>;
}

type Request = { call: keyof Side; args: unknown[] };
type Reply = { value?: unknown; cpuMs: number; rssBytes: number; error?: string };

/** A side as its parent sees it. */
export class RemoteSide {
  readonly #child: ChildProcess;
  #waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void } | undefined;

  /** @param profileDir where the process leaves CPU profiles of its phases; profiling slows them down. */
  constructor(script: string, profileDir?: string) {
    this.#child = fork(fileURLToPath(new URL(script, import.meta.url)), profileDir === undefined ? [] : [profileDir], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#child.on("message", (reply) => this.#waiting?.resolve(reply as Reply));
    this.#child.on("exit", (code) => this.#waiting?.reject(new Error(`${script} ended with code ${code}`)));
  }

  async open(settings: OpenSettings): Promise<string> {
    return (await this.#call("open", settings)).value as string;
  }

  publish(variant: string, messages: number): Promise<Measure> {
    return this.#measure("publish", variant, messages);
  }

  consume(variant: string, messages: number): Promise<Measure> {
    return this.#measure("consume", variant, messages);
  }

  async ask(count: number): Promise<number[]> {
    return (await this.#call("ask", count)).value as number[];
  }

  /** Resolves once the process has ended. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    await this.#call("close");
    this.#waiting = undefined;
    this.#child.disconnect();
    await ended;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async #measure(call: "publish" | "consume", variant: string, messages: number): Promise<Measure> {
    const { value, cpuMs, rssBytes } = await this.#call(call, variant, messages);
    return { messages, ms: value as number, cpuMs, rssBytes };
  }

  async #call(call: keyof Side, ...args: unknown[]): Promise<Reply> {
    const reply = await new Promise<Reply>((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#child.send({ call, args } satisfies Request);
    });
    if (reply.error !== undefined) throw new Error(reply.error);
    return reply;
  }
}

/**
 * Answers the parent until it goes away. Garbage is never collected by force between phases: a forced collection throws optimised
 * code away with it, and what was measured then was its recompilation (nearly twice the processor time for each message).
 */
export function serveSide(side: Side): void {
  const [profileDir] = process.argv.slice(2);
  process.on("disconnect", () => process.exit());
  process.on("message", (message) => {
    const { call, args } = message as Request;
    const phase = (): Promise<unknown> => (side[call] as (...args: unknown[]) => Promise<unknown>).apply(side, args);
    const before = process.cpuUsage();
    const timed = call === "publish" || call === "consume" || call === "ask";
    const done =
      timed && profileDir !== undefined
        ? profiled(profileDir, `${call} ${typeof args[0] === "string" ? args[0] : ""}`.trim(), phase)
        : phase();
    done.then(
      (value) => {
        const { user, system } = process.cpuUsage(before);
        const rssBytes = process.memoryUsage.rss();
        process.send?.({ value, cpuMs: (user + system) / 1_000, rssBytes } satisfies Reply);
      },
      (error: unknown) =>
        process.send?.({ cpuMs: 0, rssBytes: 0, error: String((error as Error).stack) } satisfies Reply),
    );
  });
}
