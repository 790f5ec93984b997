/** Patience with a cluster that has no leader for a while, or is just starting: what asks it for something at a start is asked again. */
import { JetStreamApiError } from "@nats-io/jetstream";
import { errors } from "@nats-io/transport-node";
import { monotonicMs, pause } from "../kernel/clock.ts";
import { causesOf, ConnectError, toError } from "../kernel/errors.ts";

/** An election takes 4 to 12 s. */
const patienceMs = 20_000;
const againMs = 250;

/** JetStream's codes for "no leader now". */
const leaderless = new Set([10008, 10009]);
/** Its code for "no servers for so many copies", and the reason that passes: one has joined, and has not yet told of itself. */
const unplaced = 10005;
const joining = "peer offline";

/**
 * Asks until there is an answer; a refusal is one.
 * @param request can be repeated, whether the server had the last one or not.
 * @param what for the error: `stream godwit_TASKS`.
 * @throws ConnectError when nobody has answered for 20 s; what `request` throws, where that is an answer.
 */
export async function patiently<T>(what: string, request: () => Promise<T>, timeoutMs = patienceMs): Promise<T> {
  const deadlineMs = monotonicMs() + timeoutMs;
  for (;;) {
    try {
      return await request();
    } catch (thrown) {
      if (!isUnanswered(thrown)) throw thrown;
      if (monotonicMs() < deadlineMs) {
        await pause(againMs);
        continue;
      }
      throw new ConnectError(
        `The NATS cluster has had no leader, or too few servers, for ${timeoutMs / 1_000} s to answer about the ${what} (${toError(thrown).message}); start the servers that are missing, more than half of them must be up, and try again.`,
        { cause: thrown },
      );
    }
  }
}

/** Whether an error, or what is behind it, says that nobody answered. */
function isUnanswered(error: unknown): boolean {
  const known = causesOf(error).find((one) => one instanceof JetStreamApiError || one instanceof errors.TimeoutError);
  if (!(known instanceof JetStreamApiError)) return known !== undefined;
  return leaderless.has(known.code) || (known.code === unplaced && known.message.includes(joining));
}
