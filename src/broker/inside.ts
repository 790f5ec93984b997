/** Inside the client: the two things that it does not do for whoever asks. */
import { Socket } from "node:net";
import type { NatsConnection } from "@nats-io/transport-node";

type Inside = {
  /** Read anew each time. */
  options?: { ignoreAuthErrorAbort?: boolean };
  /** Where it keeps its socket, and a TLS socket the one under it. */
  protocol?: { transport?: { socket?: { _parent?: unknown } } };
};

/**
 * From now on a credential that is refused may be restored: by itself the client closes for good at the second refusal. From the beginning
 * it would never say that it was refused where several servers do so.
 */
export function keepTrying(client: NatsConnection): void {
  const { options } = client as Inside;
  if (options !== undefined) options.ignoreAuthErrorAbort = true;
}

/**
 * Resets a connection that is given up. Closing it, as the client does, leaves what was written to the system, which goes on trying to
 * deliver it for minutes: acks, naks and progress marks would reach the server when the cable is back, when other workers have their
 * messages. The client also waits with the closing until all is written, which to a server that stands still may take for ever.
 */
export function resetSocket(client: NatsConnection): void {
  const socket = (client as Inside).protocol?.transport?.socket;
  for (const one of [socket?._parent, socket]) {
    if (!(one instanceof Socket)) continue;
    one.resetAndDestroy();
    return;
  }
}
