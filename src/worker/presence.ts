/**
 * Presence: whether anyone serves an actor. Open pulls do not tell: a worker that is full, or that a guard holds back, has none. So each
 * worker answers for its actors, over core NATS. Answers go below `<ns>.reply.`, as those to asks: no question can aim one elsewhere.
 */
import { randomBytes } from "node:crypto";
import type { Bus } from "../broker/bus.ts";
import { header, parseReplyAddress } from "../message/headers.ts";
import type { Names } from "../message/subjects.ts";

export interface PresenceServices {
  names: Names;
  bus: Bus;
}

const nothing = new Uint8Array();

/** Says that the actor is served, to all who ask. @returns a function that ends it. */
export function answerFor({ names, bus }: PresenceServices, actor: string): () => void {
  return bus.subscribe(names.workerSubject(actor), ({ headers }) => {
    const address = parseReplyAddress(headers.get(header.reply));
    if (address !== undefined) bus.publish(names.replySubject(address), nothing);
  });
}

/** True once a worker answers, false when none has within `waitMs`. */
export function isPresent({ names, bus }: PresenceServices, actor: string, waitMs: number): Promise<boolean> {
  const address = `${randomBytes(9).toString("base64url")}.0`;
  return new Promise((resolve) => {
    const end = (present: boolean): void => {
      clearTimeout(timer);
      unsubscribe();
      resolve(present);
    };
    const timer = setTimeout(() => end(false), waitMs);
    const unsubscribe = bus.subscribe(names.replySubject(address), () => end(true));
    bus.publish(names.workerSubject(actor), nothing, { [header.reply]: address });
  });
}
