/** Message contracts of datasets: the id travels, the data stays where it is. */
import * as z from "zod";

export const DatasetRef = z.object({ datasetId: z.string().min(1) });
export type DatasetRef = z.output<typeof DatasetRef>;

export const DatasetSummary = z.object({ rows: z.int(), min: z.number(), max: z.number(), mean: z.number() });
export type DatasetSummary = z.output<typeof DatasetSummary>;
