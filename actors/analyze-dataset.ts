/**
 * datasets.analyze: minutes of work on much data.
 * What it teaches: the message holds the dataset's id and not the dataset, which stays in its store and may be larger than any message.
 * The visibility timeout needs no stretching: it is extended while `receive` runs. `ctx.signal` is looked at on every page, so that a
 * time limit, a stopping worker or a lost message ends the work soon and not when it is done. `ctx.progress` tells who watches the
 * worker how far it is.
 */
import { Actor, Terminal, config, type Context } from "godwit";
import { DatasetRef, type DatasetSummary } from "../schemas/datasets.ts";

export interface DatasetStore {
  /** A dataset's numbers page by page, or undefined where there is no such dataset. */
  open(datasetId: string, signal: AbortSignal): { pages: number; read(): AsyncIterable<number[]> } | undefined;
}

/** Makes up twenty pages of a thousand numbers for every dataset but `missing`. */
export class SimulatedDatasets implements DatasetStore {
  open(datasetId: string): { pages: number; read(): AsyncIterable<number[]> } | undefined {
    if (datasetId === "missing") return undefined;
    const read = async function* (): AsyncIterable<number[]> {
      for (let page = 0; page < 20; page++) yield Array.from({ length: 1_000 }, (_, n) => (page * 1_000 + n) % 97);
    };
    return { pages: 20, read };
  }
}

export class AnalyzeDataset extends Actor<DatasetRef, DatasetSummary> {
  static override readonly config = config({
    name: "datasets.analyze",
    input: DatasetRef,
    concurrency: 2,
    timeLimit: { soft: "30m" },
    retry: { attempts: 3, base: "30s" },
    result: { ttl: "1h" },
  });
  readonly #store: DatasetStore;

  constructor(store: DatasetStore = new SimulatedDatasets()) {
    super();
    this.#store = store;
  }

  override async receive({ datasetId }: DatasetRef, ctx: Context): Promise<DatasetSummary> {
    const dataset = this.#store.open(datasetId, ctx.signal);
    if (dataset === undefined) throw new Terminal(`there is no dataset ${datasetId}`);
    let [rows, sum, min, max, page] = [0, 0, Infinity, -Infinity, 0];
    for await (const values of dataset.read()) {
      ctx.signal.throwIfAborted();
      for (const value of values) {
        sum += value;
        min = Math.min(min, value);
        max = Math.max(max, value);
      }
      rows += values.length;
      ctx.progress({ page: ++page, of: dataset.pages });
    }
    if (rows === 0) throw new Terminal(`the dataset ${datasetId} is empty`);
    return { rows, min, max, mean: sum / rows };
  }
}
