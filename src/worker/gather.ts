/** Gathers answers over core NATS from however many there are to give one. */
import { randomBytes } from "node:crypto";
import type { Bus } from "../broker/bus.ts";
import { header } from "../message/headers.ts";
import type { Names } from "../message/subjects.ts";

export interface AskServices {
  names: Names;
  bus: Bus;
}

/** Asks, and hands on each answer until one is the last, the time is over, or `enough` aborts. */
export function gather(
  { names, bus }: AskServices,
  subject: string,
  question: Uint8Array,
  waitMs: number,
  onAnswer: (body: Uint8Array) => boolean,
  enough?: AbortSignal,
): Promise<void> {
  const address = `${randomBytes(9).toString("base64url")}.0`;
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      unsubscribe();
      resolve();
    };
    enough?.addEventListener("abort", end, { once: true });
    const timer = setTimeout(end, waitMs);
    const unsubscribe = bus.subscribe(names.replySubject(address), ({ body }) => {
      if (onAnswer(body)) end();
    });
    bus.publish(subject, question, { [header.reply]: address });
  });
}
