/** What of an actor's config others may want to know: how it is retried, limited and guarded. Plain data, without functions. */
import type { ResolvedConfig } from "../../actor/config.ts";
import type { Names } from "../../message/subjects.ts";

export function settingsOf(config: ResolvedConfig, names: Names): Record<string, unknown> {
  const { retry, breaker, rateLimit, concurrencyLimit } = config;
  const settings = {
    actor: config.name,
    durable: names.durable(config.name),
    lanes: config.lanes,
    accept: [...(config.accept ?? ["msgpack", "json"])],
    onInvalid: config.onInvalid,
    concurrency: config.concurrency,
    ackWaitMs: config.ackWaitMs,
    softLimitMs: config.softLimitMs,
    hardLimitMs: config.hardLimitMs,
    expiresInMs: config.expiresInMs,
    resultTtlMs: config.resultTtlMs,
    stalls: config.stalls,
    isolate: config.isolate,
    retry: {
      attempts: retry.attempts,
      backoff: typeof retry.backoff === "function" ? "function" : retry.backoff,
      baseMs: retry.baseMs,
      maxMs: retry.maxMs,
      jitter: retry.jitter,
    },
    breaker: breaker && {
      name: breaker.name,
      errorThreshold: breaker.errorThreshold,
      volume: breaker.volume,
      windowMs: breaker.window,
      resetAfterMs: breaker.resetAfter,
    },
    rateLimit: rateLimit && {
      name: rateLimit.name,
      limit: rateLimit.limit,
      perMs: rateLimit.per,
      burst: rateLimit.burst,
      keyed: rateLimit.key !== undefined,
    },
    concurrencyLimit: concurrencyLimit && {
      name: concurrencyLimit.name,
      limit: concurrencyLimit.limit,
      keyed: concurrencyLimit.key !== undefined,
    },
  };
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}
