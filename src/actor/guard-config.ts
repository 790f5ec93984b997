/** The guards in an actor's config: what users write, and how it is checked. */
import * as z from "zod";
import type { Duration } from "../kernel/duration.ts";
import { answering, callable, durationMs } from "../kernel/options.ts";
import { checkGuardName } from "../message/names.ts";
import type { Context } from "./context.ts";
import type { BreakerSettings } from "./guard-handles.ts";

/** A circuit breaker around `receive`. Its state is shared by all workers that name it. */
export interface BreakerConfig<Input = never> extends BreakerSettings {
  /** What it protects, such as `"payments-api"`. Actors that name the same breaker share it, and must give it the same settings. */
  name: string;
  /** Runs instead of `receive` while the circuit is open; without it the actor pauses. */
  fallback?: (input: Input, ctx: Context) => unknown;
  /** False for an error that says nothing about the dependency. Default: errors that are retried, but for `RetryAfter`. */
  when?: (error: Error) => boolean;
}

/** How many handlers may start in a time, over the whole fleet. */
export interface RateLimitConfig<Input = never> {
  /** What is limited, such as `"payments-api"`. Actors that name the same limit share it, and must give it the same numbers. */
  name: string;
  /** Starts in each `per`, in any such span. */
  limit: number;
  /** At least 100 ms. */
  per: Duration;
  /** Starts at once, instead of evenly spaced; at most `limit`. Default 1. */
  burst?: number;
  /** Counts each key by itself: `(charge) => charge.tenant`. */
  key?: (input: Input) => string;
}

/** How many handlers may run at once, over the whole fleet. */
export interface ConcurrencyLimitConfig<Input = never> {
  /** What is limited. Actors that name the same limit share it, and must give it the same number. */
  name: string;
  limit: number;
  /** Counts each key by itself: `(order) => order.customer`. */
  key?: (input: Input) => string;
}

export interface TimeLimitConfig {
  /** Aborts `ctx.signal`. Default: none. */
  soft?: Duration;
  /** Aborts `ctx.signal`, and a second later the attempt has failed. Default: none. */
  hard?: Duration;
  /** When a handler that goes on after the hard limit is given up: its slot is free then. Default: five times `hard`. */
  abandonAfter?: Duration;
}

const guardName = z.string().transform((name, context) => {
  try {
    return checkGuardName(name);
  } catch (error) {
    context.addIssue({ code: "custom", message: (error as Error).message });
    return z.NEVER;
  }
});
const count = z.int({ message: "must be a whole number" }).min(1, "must be at least 1");

const breakerSettings = {
  errorThreshold: z.number().gt(0, "must be above 0").max(1, "must be at most 1").default(0.5),
  volume: count.default(10),
  window: durationMs(1_000).default(10_000),
  resetAfter: durationMs(100).default(30_000),
};

/** For `ctx.breaker(name, settings)`. */
export const breakerSettingsShape = z.strictObject(breakerSettings);

export const breakerShape = z.strictObject({
  name: guardName,
  ...breakerSettings,
  fallback: callable<(input: unknown, ctx: Context) => unknown>().optional(),
  when: answering<[error: Error], boolean>().optional(),
});

export const rateLimitShape = z
  .strictObject({
    name: guardName,
    limit: count,
    per: durationMs(100),
    burst: count.default(1),
    key: callable<(input: unknown) => string>().optional(),
  })
  .superRefine(({ limit, burst }, context) => {
    if (burst <= limit) return;
    context.addIssue({ code: "custom", path: ["burst"], message: `must be at most the limit of ${limit}` });
  });

export const concurrencyLimitShape = z.strictObject({
  name: guardName,
  limit: count,
  key: callable<(input: unknown) => string>().optional(),
});

export const timeLimitShape = z
  .strictObject({
    soft: durationMs(1).optional(),
    hard: durationMs(1).optional(),
    abandonAfter: durationMs(1).optional(),
  })
  .superRefine(({ soft, hard, abandonAfter }, context) => {
    const refuse = (key: string, message: string): void => context.addIssue({ code: "custom", path: [key], message });
    if (soft !== undefined && hard !== undefined && soft > hard)
      refuse("soft", `must be at most the hard limit of ${hard} ms`);
    if (abandonAfter === undefined) return;
    if (hard === undefined) refuse("abandonAfter", "needs a hard limit");
    else if (abandonAfter < hard) refuse("abandonAfter", `must be at least the hard limit of ${hard} ms`);
  });

export type ResolvedBreakerSettings = Readonly<z.output<typeof breakerSettingsShape>>;
export type ResolvedBreaker = Readonly<z.output<typeof breakerShape>>;
export type ResolvedRateLimit = Readonly<z.output<typeof rateLimitShape>>;
export type ResolvedConcurrencyLimit = Readonly<z.output<typeof concurrencyLimitShape>>;
