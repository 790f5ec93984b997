/** Actors in one line, for tests that need many of them. */
import { Actor, type ActorConfig, type Context } from "../../src/index.ts";

export interface Hooks<Input> {
  start?: () => void | Promise<void>;
  stop?: () => void | Promise<void>;
  onDead?: (input: Input, error: Error, ctx: Context) => void | Promise<void>;
}

/** An actor class with this config and handler. */
export function actorOf<Input = unknown, Output = unknown>(
  config: ActorConfig,
  receive: (input: Input, ctx: Context) => Output | Promise<Output>,
  hooks: Hooks<Input> = {},
) {
  return class extends Actor<Input, Output> {
    static override readonly config = config;
    override receive(input: Input, ctx: Context): Output | Promise<Output> {
      return receive(input, ctx);
    }
    override async start(): Promise<void> {
      await hooks.start?.();
    }
    override async stop(): Promise<void> {
      await hooks.stop?.();
    }
    override async onDead(input: Input, error: Error, ctx: Context): Promise<void> {
      await hooks.onDead?.(input, error, ctx);
    }
  };
}

/** A promise, and what settles it. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

/** Something for a handler to wait at until the test lets it through. */
export function gate(): Gate {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open: () => open() };
}
