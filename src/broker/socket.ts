/** The socket under a client's connection, for the one thing that the client does not do: give it up so that nothing in it is still sent. */
import { Socket } from "node:net";
import type { NatsConnection } from "@nats-io/transport-node";

/** Where the client keeps its socket, and a TLS socket the one under it. */
type Inside = { protocol?: { transport?: { socket?: { _parent?: unknown } } } };

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
