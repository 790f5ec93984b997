/** `godwit top`: every actor as it does now, redrawn every two seconds, over the same frames as the dashboard. */
import type { Command } from "commander";
import type { Frame } from "../admin/api.ts";
import type { Live } from "../admin/live/live.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { signalExitCode } from "./exit.ts";
import { print, printJson } from "./io.ts";
import { oneOf, whole } from "./parse.ts";
import { Screen } from "./screen.ts";
import { outputWidth } from "./table.ts";
import { orders, renderTop, type Order } from "./top-view.ts";

interface TopFlags extends ConnectFlags {
  frames?: number;
  sort: Order;
  json?: boolean;
}

export function topCommand(program: Command): void {
  const command = program
    .command("top")
    .option("-f, --frames <frames>", "end after so many, two seconds apart", whole("--frames"))
    .option("--sort <by>", orders.join(", "), oneOf("--sort", orders), "rate");
  connectOptions(jsonOption(command))
    .summary("watch the actors work")
    .description(
      `Watch the actors work, redrawn every two seconds. Rates, error share and times
are of the last ten seconds, and of less in the first frames: of one frame
alone, about a second.

  RATE   deliveries a second that came to an end
  ERR    of these, the share that was not completed
  DEPTH  messages that no worker has been handed yet
  AGE    how long the oldest of these has waited
  FLY    handed to a worker and not settled, those asleep included
  P50…   how long handlers ran
  RUN    handlers that run, of those that may; over how many workers (W)

Keys: r rate, e errors, d depth, n name, p P95, D dead letters; q ends it. Where
standard output is no terminal, one frame is printed.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit top --sort depth
  godwit top --json | jq '.actors[] | select(.errorShare > 0.1).actor'
  godwit top --json --frames 30 >frames.ndjson`,
    )
    .action(async (flags: TopFlags) => {
      await withExisting(flags, async (system) => {
        const { Live } = await import("../admin/live/live.ts");
        const live = new Live(system);
        try {
          if (process.stdout.isTTY && !flags.json) await show(live, flags);
          else await write(live, flags);
        } finally {
          await live.close();
        }
      });
    });
}

/** Frames one below the other, for programs and files. */
async function write(live: Live, { frames = 1, sort, json }: TopFlags): Promise<void> {
  const first = await live.frame();
  const out = (frame: Frame): void => {
    if (json) printJson(frame);
    else print(renderTop(frame, { order: sort, width: outputWidth() }));
  };
  out(first);
  if (frames === 1) return;
  let left = frames - 1;
  await new Promise<void>((resolve) => {
    const end = live.watch({
      onFrame: (frame) => {
        out(frame);
        left -= 1;
        if (left > 0) return;
        end();
        resolve();
      },
    });
  });
}

/** One frame over the other, until `q`, a signal, or the last of so many. */
async function show(live: Live, { frames = Infinity, sort }: TopFlags): Promise<void> {
  let order = sort;
  let latest: Frame | undefined;
  let left = frames;
  const screen = new Screen();
  const draw = (): void => {
    if (latest === undefined) return;
    const { columns, rows } = screen;
    screen.draw(renderTop(latest, { order, width: columns, height: rows, keys: true }));
  };
  let signal: NodeJS.Signals | undefined;
  try {
    await new Promise<void>((resolve) => {
      screen.start({
        onKey: (key) => {
          if (key === "q" || key === "\u0003" || key === "\u001b") return resolve();
          order = orderOf[key] ?? order;
          draw();
        },
        onResize: draw,
        onSignal: (given) => {
          signal = given;
          resolve();
        },
      });
      live.watch({
        onFrame: (frame) => {
          latest = frame;
          draw();
          left -= 1;
          if (left <= 0) resolve();
        },
      });
    });
  } finally {
    screen.stop();
  }
  if (signal !== undefined) process.exitCode = signalExitCode(signal);
}

const orderOf: Partial<Record<string, Order>> = {
  r: "rate",
  e: "errors",
  d: "depth",
  n: "name",
  p: "p95",
  D: "dead",
};
