/**
 * partners.call: one request to somebody else's HTTP API.
 * What it teaches: who decides about a retry. 429 and 503 with `Retry-After`: the partner does, and is obeyed (`RetryAfter`). Another 4xx:
 * nobody, the request itself is wrong (`Terminal`). 5xx, a refused connection, a time limit: the actor's backoff. `fetch` gets
 * `ctx.signal`, so that a request ends with its attempt; the message's id is the idempotency key, so that a repeated POST does no harm.
 * The partner's quota is the whole fleet's, and so is the word that it has had enough (`penalize`). While the partner is down the circuit
 * is open: nothing is called but one probe every ten seconds, and no attempt is burned.
 */
import { Actor, RetryAfter, Terminal, config, type Context } from "godwit";
import { PartnerCall, type PartnerAnswer } from "../schemas/partners.ts";

const longestWaitMs = 3_600_000;

export class CallPartner extends Actor<PartnerCall, PartnerAnswer> {
  static override readonly config = config({
    name: "partners.call",
    input: PartnerCall,
    concurrency: 16,
    timeLimit: { soft: "15s", hard: "20s" },
    breaker: { name: "partner", resetAfter: "10s" },
    rateLimit: { name: "partner", limit: 50, per: "1s" },
    retry: { attempts: 8, base: "1s", max: "5m" },
    result: { ttl: "10m" },
  });
  readonly #base: URL;

  /** @param base the partner's address. Default: `PARTNER_URL`, else a local stand-in at port 8080. */
  constructor(base: string = process.env["PARTNER_URL"] ?? "http://127.0.0.1:8080") {
    super();
    this.#base = new URL(base);
  }

  override async receive(call: PartnerCall, ctx: Context): Promise<PartnerAnswer> {
    const url = new URL(call.path, this.#base);
    // "//elsewhere/" is a path too, and this worker's network is not the sender's to explore.
    if (url.origin !== this.#base.origin) throw new Terminal(`${call.path} leads away from the partner`);
    const hasBody = call.body !== undefined && call.method !== "GET";
    const response = await fetch(url, {
      method: call.method,
      redirect: "manual",
      signal: ctx.signal,
      headers: { "idempotency-key": ctx.id, ...(hasBody && { "content-type": "application/json" }) },
      ...(hasBody && { body: JSON.stringify(call.body) }),
    });
    const { status } = response;
    const body = await response.text();
    if (response.ok) return { status, body };
    const waitMs = retryAfterMs(response.headers.get("retry-after"));
    if ((status === 429 || status === 503) && waitMs !== undefined) {
      const delayMs = Math.min(waitMs, longestWaitMs);
      if (status === 429) await ctx.rateLimit("partner").penalize(delayMs);
      throw new RetryAfter(delayMs, `the partner answered ${status}: not before ${waitMs} ms`);
    }
    // 408 and 429 say "again" without saying when.
    if (status < 500 && status !== 408 && status !== 429) throw new Terminal(`the partner answered ${status}`);
    throw new Error(`the partner answered ${status}`);
  }
}

/** `Retry-After: 120`, or a date. Undefined where it is neither. */
function retryAfterMs(header: string | null): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
