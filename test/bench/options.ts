/** The command line of the benchmark. */
import { parseArgs } from "node:util";

const parts = ["metrics", "group"] as const;
export type Part = (typeof parts)[number];

export interface BenchOptions {
  help: boolean;
  /** One of the parts that are not of the whole run: what metrics cost, what a group of processes gives. */
  only: Part | undefined;
  messages: number;
  rounds: number;
  /** Messages of each unmeasured phase before. */
  warmUp: number;
  /** Messages of each phase of a guard's pair. */
  guardMessages: number;
  /** Round trips of each turn, and turns of each side. */
  asks: number;
  askTurns: number;
  json: boolean;
  check: boolean;
  profileDir: string | undefined;
}

export const usage = `npm run bench -- [metrics | group] [options]
  metrics        only what metrics cost: on, scraped once a second, against off
  group          only what a group of processes gives: two against one, replaced against not
  --messages N   messages of each phase (50000; 5000 of group)
  --rounds N     rounds; each has one pair of phases for each variant (5; 10 of metrics, 3 of group)
  --quick        a smoke test: 2,000 messages, 1 round
  --json         print JSON and nothing else
  --check        exit with 1 when a goal is missed
  --profile DIR  leave a CPU profile of Godwit's last phase of each variant there`;

/** @throws Error for an unknown option or a number that is none. */
export function readOptions(args: string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      messages: { type: "string" },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      check: { type: "boolean", default: false },
      profile: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const [what, ...others] = positionals;
  const only = parts.find((part) => part === what);
  if (others.length > 0 || what !== only) throw new Error(`unknown argument ${others[0] ?? what}`);
  const { quick, json, check, profile, help } = values;
  const usual = {
    messages: only === "group" ? 5_000 : 50_000,
    rounds: only === "metrics" ? 10 : only === "group" ? 3 : 5,
  };
  const messages = whole("messages", values.messages, quick ? (only === "group" ? 100 : 2_000) : usual.messages);
  return {
    help,
    only,
    messages,
    guardMessages: Math.ceil(messages / 5),
    rounds: whole("rounds", values.rounds, quick ? 1 : usual.rounds),
    warmUp: quick ? 500 : Math.min(messages, 20_000),
    asks: quick ? 50 : 500,
    askTurns: quick ? 1 : 3,
    json,
    check,
    profileDir: profile,
  };
}

function whole(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be a whole number above 0, not ${text}`);
  return value;
}
