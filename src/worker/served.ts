/** Served: whether an actor has ever had a worker. A name mistyped makes no error: its tasks wait for one that never comes. */
import type { StreamReader } from "../broker/stream-reader.ts";
import type { Names } from "../message/subjects.ts";

/** @throws what the server says, or that it did not answer. */
export async function wasEverServed(
  { names, reader }: { names: Names; reader: Pick<StreamReader, "consumer"> },
  actor: string,
): Promise<boolean> {
  // Every actor has this durable, whatever lanes it declares, and who may send may look for it.
  return (await reader.consumer(names.schedule, names.durable(actor))) !== undefined;
}
