/**
 * Retry budget: when retries are more than a fifth of the last minute's runs, plus a floor, backoff stretches by how far they are over.
 * Per worker. The idea is Finagle's RetryBudget; here it slows retries down and never drops one.
 */
const share = 0.2;
const floor = 50;
const windowS = 60;

export class RetryBudget {
  readonly #runs = new Float64Array(windowS);
  readonly #retries = new Float64Array(windowS);
  #second = 0;

  /** Counts a run that started. */
  run(nowMs: number): void {
    this.#advance(nowMs);
    this.#runs[this.#second % windowS]! += 1;
  }

  /** Counts a retry and says by how much its backoff stretches: 1 within the budget, used / budget beyond it. */
  retry(nowMs: number): number {
    this.#advance(nowMs);
    this.#retries[this.#second % windowS]! += 1;
    return Math.max(1, sum(this.#retries) / (share * sum(this.#runs) + floor));
  }

  #advance(nowMs: number): void {
    const second = Math.floor(nowMs / 1_000);
    const gap = Math.min(windowS, second - this.#second);
    for (let step = 1; step <= gap; step++) {
      this.#runs[(second - gap + step) % windowS] = 0;
      this.#retries[(second - gap + step) % windowS] = 0;
    }
    if (gap > 0) this.#second = second;
  }
}

function sum(buckets: Float64Array): number {
  let total = 0;
  for (const value of buckets) total += value;
  return total;
}
