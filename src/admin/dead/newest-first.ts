/**
 * Newest first: goes backwards through a stream, whose server reads forwards only.
 * 1. It reads one span of sequences after the other, each as wide as about `want` messages should need.
 * 2. A span that holds far more than that is not read to its end but narrowed, so that memory stays bounded.
 */
import type { StoredMessage, StreamReader, StreamState } from "../../broker/stream-reader.ts";

export interface Backwards {
  stream: string;
  /** Undefined for every message. */
  filter: string | undefined;
  /** Sequence below which to begin. */
  before: number;
  state: StreamState;
  /** Messages of the filter in all: how densely they lie. */
  of: number;
  /** About how many messages are wanted at once. */
  want: number;
}

const maxBlock = 4;
const maxBlockBytes = 32 * 1_048_576;

/** Blocks of messages, the newest first, and in each the newest first; `from` is the sequence down to which everything has been given. */
export async function* newestFirst(
  reader: Pick<StreamReader, "page">,
  { stream, filter, before, state, of, want }: Backwards,
): AsyncGenerator<{ messages: StoredMessage[]; from: number }> {
  let high = Math.min(before, state.lastSequence + 1);
  let span = Math.ceil(((state.lastSequence - state.firstSequence + 1) / Math.max(1, of)) * want);
  while (high > state.firstSequence) {
    const low = Math.max(state.firstSequence, high - Math.max(1, span));
    const messages = await block(reader, stream, filter, low, high, want);
    if (messages === undefined) {
      span = Math.max(1, Math.floor((high - low) / 4));
      continue;
    }
    yield { messages: messages.toReversed(), from: low };
    high = low;
    if (messages.length < want / 2) span *= 4;
  }
}

/** All messages in the span, undefined where they are too many. */
async function block(
  reader: Pick<StreamReader, "page">,
  stream: string,
  filter: string | undefined,
  low: number,
  high: number,
  want: number,
): Promise<StoredMessage[] | undefined> {
  const found: StoredMessage[] = [];
  let bytes = 0;
  for (let next = low; next < high;) {
    const { messages, pending } = await reader.page(stream, filter, next, Math.min(high - next, maxBlock * want));
    for (const message of messages) {
      if (message.sequence >= high) return found;
      found.push(message);
      bytes += message.body.length;
    }
    const last = messages.at(-1);
    if (last === undefined || pending === 0) return found;
    next = last.sequence + 1;
    const tooMany = found.length > maxBlock * want || bytes > maxBlockBytes;
    if (tooMany && next < high && high - low > 1) return undefined;
  }
  return found;
}
