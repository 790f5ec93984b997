/** Thread: makes the actor once, and runs its handler for one message at a time. */
import { MessageChannel, parentPort, type MessagePort } from "node:worker_threads";
import { isActorClass } from "../../actor/actor.ts";
import type { ActorClass, AnyActor } from "../../actor/actor-class.ts";
import { resolveToOwnCopy } from "../../actor/module-hooks.ts";
import { configOf } from "../../actor/registry.ts";
import { ActorStartError, ConfigError, toError } from "../../kernel/errors.ts";
import { importInThread } from "../../kernel/importing.ts";
import { checkCrossing, withBuffers } from "../../message/value-check.ts";
import { Line } from "./line.ts";
import type {
  ThreadControl,
  ThreadReady,
  ThreadRefused,
  ThreadSetup,
  ThreadSide,
  ThreadTask,
  Verdict,
  WorkerSide,
} from "./protocol.ts";
import { ThreadContext } from "./thread-context.ts";
import { readError, writeError, type WireError } from "./wire-error.ts";

let ready: Promise<AnyActor> | undefined;

/** Makes the actor ready, if it is not. */
export function warmUp(setup: ThreadSetup): Promise<AnyActor> {
  return (ready ??= prepare(setup));
}

/** @returns why the actor could not be made ready; what a run gives goes over its own port. */
export async function performTask(setup: ThreadSetup, task: ThreadTask): Promise<WireError | undefined> {
  const actor = warmUp(setup);
  // One that could not be made ready is tried again with the next task.
  actor.catch(() => (ready = undefined));
  try {
    if (task.kind === "prepare") await actor;
    else await serve(task.port, task.bell, actor);
    return undefined;
  } catch (thrown) {
    return writeError(thrown);
  }
}

/** Resolves when the run is over. */
function serve(port: MessagePort, bell: Int32Array, actor: Promise<AnyActor>): Promise<void> {
  return new Promise((resolve) => {
    let context: ThreadContext | undefined;
    const line: Line<ThreadSide, WorkerSide> = new Line<ThreadSide, WorkerSide>(
      port,
      {
        async receive(facts, input) {
          const own = await actor;
          const run = (context = new ThreadContext(facts, line));
          line.send("begun");
          let value: unknown;
          try {
            value = await own.receive(withBuffers(input) as never, run as never);
          } catch (thrown) {
            const error = toError(thrown);
            return { ok: false, error: writeError(error), verdict: judge(own, error) };
          }
          checkCrossing(value);
          return { ok: true, value };
        },
        abort: (reason) => context?.abort(readError(reason)),
        invoke: async (fn, value) => context?.invoke(fn, value),
      },
      bell,
    );
    port.on("close", () => resolve());
  });
}

function judge(actor: AnyActor, error: Error): Verdict {
  const { retry, breaker } = configOf(actor.constructor as ActorClass);
  return { retry: ask(retry.when, error) ?? true, breaker: breaker?.when && ask(breaker.when, error) };
}

/** Undefined where it throws: then it has said nothing. */
function ask(when: (error: Error) => boolean, error: Error): boolean | undefined {
  try {
    return when(error);
  } catch {
    return undefined;
  }
}

async function prepare(setup: ThreadSetup): Promise<AnyActor> {
  const actor = await load(setup);
  try {
    await actor.start();
  } catch (thrown) {
    throw new ActorStartError(setup.actor, toError(thrown));
  }
  const { port1, port2 } = new MessageChannel();
  const control: ThreadControl = { ping: () => undefined, stop: () => actor.stop() };
  const line = new Line<ThreadControl, object>(port1, control, new Int32Array(1));
  line.unref();
  parentPort?.postMessage({ kind: "godwit.thread-ready", port: port2 } satisfies ThreadReady, [port2]);
  return actor;
}

/** At once, since the program may end its thread over it. It is told there; here nobody need be waiting for it. */
function tellRefused(refusal: ConfigError): void {
  parentPort?.postMessage({ kind: "godwit.thread-refused", error: writeError(refusal) } satisfies ThreadRefused);
  process.on("unhandledRejection", (reason) => {
    if (reason !== refusal) throw reason;
  });
}

/** @throws ConfigError. */
async function load({ module, actor: name }: ThreadSetup): Promise<AnyActor> {
  resolveToOwnCopy();
  let exported: Record<string, unknown>;
  try {
    exported = await importInThread({ actor: name, module, onRefused: tellRefused });
  } catch (thrown) {
    const cause = toError(thrown);
    throw new ConfigError(
      `The module ${module} of the isolated actor ${name} could not be loaded in a thread (${cause.name}: ${cause.message}); mend it, or let config.module be import.meta.url.`,
      { cause },
    );
  }
  const found = [exported, exported["default"]]
    // What was compiled to CommonJS has its exports one level down.
    .flatMap((one): unknown[] => (typeof one === "object" && one !== null ? Object.values(one) : []))
    .find((one) => isActorClass(one) && (one.config as { name?: unknown } | undefined)?.name === name);
  if (found === undefined) {
    throw new ConfigError(
      `The module ${module} exports no actor class whose config has the name ${JSON.stringify(name)}; export the class there, or let config.module be import.meta.url.`,
    );
  }
  return make(found as new () => AnyActor, name);
}

function make(Class: new () => AnyActor, name: string): AnyActor {
  const mend = "a thread makes it without arguments: give them defaults, or make what it needs in start()";
  if (Class.length > 0) {
    throw new ConfigError(`The constructor of the isolated actor ${name} takes arguments, but ${mend}.`);
  }
  try {
    return new Class();
  } catch (thrown) {
    const cause = toError(thrown);
    throw new ConfigError(`The isolated actor ${name} could not be made (${cause.message}); ${mend}.`, { cause });
  }
}
