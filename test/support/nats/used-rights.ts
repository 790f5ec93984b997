/** Records which subjects each connection publishes and subscribes to, by its inbox prefix: what rights it used. */
import type { NatsConnection } from "@nats-io/transport-node";
import { subjectMatches } from "../../../src/message/names.ts";

export interface UsedRights {
  /** Those of the patterns that no connection with the inbox prefix has used. */
  unused(inboxPrefix: string, operation: "publish" | "subscribe", patterns: readonly string[]): string[];
  end(): void;
}

type Watched = Pick<NatsConnection, "publish" | "subscribe"> & { options: { inboxPrefix?: string } };

/** @param any connection: the others are of the same class. */
export function recordRights(any: NatsConnection): UsedRights {
  const used = new Set<string>();
  const prototype = Object.getPrototypeOf(any) as Watched;
  const original = { publish: prototype.publish, subscribe: prototype.subscribe };
  for (const operation of ["publish", "subscribe"] as const) {
    const call = original[operation] as (...args: unknown[]) => unknown;
    Object.assign(prototype, {
      [operation](this: Watched, subject: string, ...rest: unknown[]) {
        used.add(`${this.options.inboxPrefix} ${operation} ${subject}`);
        return call.call(this, subject, ...rest);
      },
    });
  }
  return {
    unused(inboxPrefix, operation, patterns) {
      const start = `${inboxPrefix} ${operation} `;
      const subjects = [...used].filter((one) => one.startsWith(start)).map((one) => one.slice(start.length));
      return patterns.filter(
        (pattern) => !subjects.some((subject) => pattern === subject || subjectMatches(pattern, subject)),
      );
    },
    end: () => void Object.assign(prototype, original),
  };
}
