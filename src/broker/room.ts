/** Room: whose is short where JetStream stores no more, by its error code, and what helps. Nothing was stored then. */
import { QueueFullError } from "../kernel/errors.ts";

/** JetStream's codes for what is short beyond a stream's own limits. */
const short = new Map<number, readonly [whose: string, help: string]>([
  [10002, ["account", "delete what its other streams hold, or raise the account's JetStream limits"]],
  [10023, ["server", "make room on it, or raise its max_file_store or max_memory_store"]],
  [10028, ["server", "make room on it, or raise its max_memory_store"]],
  [10047, ["server", "make room on it, or raise its max_file_store"]],
  // Of a stream's own limits too, which say so.
  [10077, ["server", "look at its log and its disk"]],
]);

/** Whether a code of JetStream's says that there is no room. */
export function isNoRoom(apiCode: number): boolean {
  return short.has(apiCode);
}

/** What is to be said of it; undefined where the stream's own limit was reached, which its `reason` names. */
export function noRoomFor(
  subject: string,
  stream: string,
  apiCode: number,
  reason: string,
): QueueFullError | undefined {
  const [whose, help] = short.get(apiCode) ?? [];
  if (whose === undefined || /maximum (messages|bytes)/.test(reason)) return undefined;
  return new QueueFullError(
    stream,
    `The ${whose} has no room for '${subject}' in the stream ${stream} (${reason}), and nothing was stored; ${help}.`,
  );
}
