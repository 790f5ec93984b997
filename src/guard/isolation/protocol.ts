/** Protocol: what the worker and a thread of an isolated actor say to each other. */
import type { MessagePort } from "node:worker_threads";
import type { ResolvedConfig } from "../../actor/config.ts";
import type { PublishOptions, Sent, TellOptions } from "../../actor/context.ts";
import type { BreakerSettings, OnceOptions } from "../../actor/guard-handles.ts";
import type { Duration } from "../../kernel/duration.ts";
import type { WireError } from "./wire-error.ts";

/** What a thread is told when it is made. */
export interface ThreadSetup {
  /** The module that exports the actor's class, as a URL. */
  module: string;
  /** The name in its config. */
  actor: string;
  /** Modules may be TypeScript. */
  typescript: boolean;
}

/** What a thread is given to do: make its actor ready, or serve one run over this port until that is over. */
export type ThreadTask = { kind: "prepare" } | { kind: "run"; port: MessagePort; bell: Int32Array };

/** The module has tried to start a program. */
export interface ThreadRefused {
  kind: "godwit.thread-refused";
  error: WireError;
}

/** What a thread says of itself once its actor is ready: over this port it is asked to stop. */
export interface ThreadReady {
  kind: "godwit.thread-ready";
  port: MessagePort;
}

/** What of a message crosses as it is. */
export interface RunFacts {
  id: string;
  actor: string;
  attempt: number;
  deliveries: number;
  headers: [name: string, values: string[]][];
  storedAtMs: number;
  ageMs: number;
}

/** What a sender uses of the config of an actor that it names by its class, but for the schema. */
export type TargetConfig = Pick<
  ResolvedConfig,
  "name" | "lane" | "codec" | "accept" | "payload" | "expiresInMs" | "resultTtlMs"
>;

/** What a schema had to say of a body: nothing where it fits. */
export type Issues = { message: string; path: string[] }[] | undefined;

export type LogLevel = "debug" | "info" | "warn" | "error";

/** What the config's own functions say of an error: they know its class only where it was thrown. */
export interface Verdict {
  retry: boolean;
  /** Undefined where the config's breaker has no `when`. */
  breaker: boolean | undefined;
}

/** What a handler gave. */
export type Given = { ok: true; value: unknown } | { ok: false; error: WireError; verdict: Verdict };

/** What a function gave that the handler passed to `once`: it has run, also where its value cannot cross. */
export type OnceGiven = { value: unknown } | { refused: WireError };

/** What the thread offers for one run. */
export interface ThreadSide {
  receive(facts: RunFacts, input: unknown): Promise<Given>;
  abort(reason: WireError): void;
  /** Calls a function of the handler's that it passed to `once` or `fire`, or has a body checked. @param value the body. */
  invoke(fn: number, value?: unknown): Promise<unknown>;
}

/** What the worker offers for one run: the context's methods. */
export interface WorkerSide {
  /** The handler begins now. */
  begun(): void;
  progress(value: unknown): void;
  log(
    level: LogLevel,
    bindings: Record<string, unknown>[],
    fields: object | undefined,
    message: string | undefined,
  ): void;
  /** @param check the function that holds the body against the schema, where there is one. */
  tell(
    target: string | TargetConfig,
    body: unknown,
    options: TellOptions | undefined,
    check: number | undefined,
  ): Promise<Sent>;
  publish(
    subject: string,
    body: unknown,
    options: PublishOptions | undefined,
    check: number | undefined,
  ): Promise<Sent>;
  once(key: string, fn: number, options: OnceOptions | undefined): Promise<unknown>;
  /** Whether it is open. */
  breaker(name: string, settings: BreakerSettings | undefined): boolean;
  fire(name: string, settings: BreakerSettings | undefined, fn: number, fallback: number | undefined): Promise<void>;
  rateLimit(name: string): void;
  penalize(name: string, delay: Duration): Promise<void>;
}

/** What the thread offers for as long as it lives. */
export interface ThreadControl {
  /** Answers where its event loop turns. */
  ping(): void;
  stop(): Promise<void>;
}
