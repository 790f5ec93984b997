/** Served: whether an actor has ever had a worker. A name mistyped makes no error: its tasks wait for one that never comes. */
import { toError } from "../kernel/errors.ts";
import type { Logger } from "../kernel/logger.ts";
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

/** Says it in the log where an actor never had one. */
export async function warnUnserved(
  parts: Parameters<typeof wasEverServed>[0],
  actor: string,
  log: Logger,
): Promise<void> {
  try {
    if (await wasEverServed(parts, actor)) return;
    log.warn({ actor }, "no worker has ever run this actor, so its tasks wait; is the name right?");
  } catch (thrown) {
    log.debug({ actor, err: toError(thrown).message }, "could not tell whether anyone serves this actor");
  }
}
