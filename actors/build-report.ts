/**
 * reports.build: sums up a month of sales.
 * What it teaches: an answer that somebody waits for. `ask` gets it at once; `tell` and later `result(BuildReport, id)` finds it for five
 * minutes, after which it is gone: results are kept only where an actor says so and only as long as it says. The schema's default for
 * `top` is filled in before `receive` sees the input, so senders may leave it out.
 */
import { Actor, config } from "godwit";
import { ReportRequest, type SalesReport } from "../schemas/reports.ts";

export interface Sale {
  product: string;
  amount: number;
}

export interface SalesFigures {
  /** The sales of a month such as `2026-03`, in any order. */
  ofMonth(month: string): AsyncIterable<Sale>;
}

/** Makes up the same 500 sales for every month. */
export class SimulatedSales implements SalesFigures {
  async *ofMonth(): AsyncIterable<Sale> {
    for (let n = 0; n < 500; n++) yield { product: `product-${(n * 7) % 23}`, amount: 5 + ((n * 13) % 95) };
  }
}

export class BuildReport extends Actor<ReportRequest, SalesReport> {
  static override readonly config = config({
    name: "reports.build",
    input: ReportRequest,
    concurrency: 4,
    result: { ttl: "5m" },
  });
  readonly #figures: SalesFigures;

  constructor(figures: SalesFigures = new SimulatedSales()) {
    super();
    this.#figures = figures;
  }

  override async receive({ month, top }: ReportRequest): Promise<SalesReport> {
    const byProduct = new Map<string, number>();
    let orders = 0;
    let revenue = 0;
    for await (const { product, amount } of this.#figures.ofMonth(month)) {
      orders += 1;
      revenue += amount;
      byProduct.set(product, (byProduct.get(product) ?? 0) + amount);
    }
    const best = [...byProduct].toSorted(([, a], [, b]) => b - a).slice(0, top);
    return { month, orders, revenue, top: best.map(([product, revenue]) => ({ product, revenue })) };
  }
}
