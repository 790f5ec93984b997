/** Span attributes: OpenTelemetry's conventions for messaging, as of their version 1.45, and what Godwit adds. */

export const attribute = {
  system: "messaging.system",
  /** `send` or `process`. */
  operationType: "messaging.operation.type",
  /** Godwit's own word: `tell`, `tellMany`, `ask`, `publish`; `process`. */
  operationName: "messaging.operation.name",
  /** The actor of a task, the subject of an event. */
  destination: "messaging.destination.name",
  messageId: "messaging.message.id",
  /** Of `tellMany` alone. */
  messageCount: "messaging.batch.message_count",
  /** As it came: compressed, or empty where it lies in the object store. */
  bodyBytes: "messaging.message.body.size",
  /** The actor, which is who the event's subscribers are told apart by. */
  group: "messaging.consumer.group.name",
  /** An error's code where it has one, else its name. */
  errorType: "error.type",
  stream: "godwit.stream",
  sequence: "godwit.sequence",
  attempt: "godwit.attempt",
  deliveries: "godwit.deliveries",
  outcome: "godwit.outcome",
  reason: "godwit.reason",
  delayMs: "godwit.delay_ms",
  duplicate: "godwit.duplicate",
  failures: "godwit.failures",
} as const;

export const system = "nats";

/** What groups errors: their code where that is a stable word, else their name. */
export function errorType(error: Error): string {
  const { code } = error as { code?: unknown };
  return typeof code === "string" && code !== "" ? code : error.name;
}
