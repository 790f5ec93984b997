/** A delivery without a server: the executor sees what it would see of a real one. */
import type { AnyDelivery, Settlement } from "../broker/delivery.ts";
import { monotonicMs } from "../kernel/clock.ts";
import type { HeaderFields, ReceivedHeaders } from "../message/headers.ts";

export interface TestDeliverySettings {
  stream: string;
  subject: string;
  /** 1 for the first delivery. */
  count: number;
  ackWaitMs: number;
  /** Wall-clock ms. */
  storedAtMs: number;
  headers: HeaderFields;
  body: Uint8Array;
}

export class TestDelivery implements AnyDelivery {
  readonly stream: string;
  readonly consumer = "test";
  readonly sequence = 1;
  readonly count: number;
  readonly storedAtMs: number;
  readonly pending = 0;
  readonly ackWaitMs: number;
  deadlineMs = Infinity;
  markedMs = monotonicMs();
  returnsAtMs = Infinity;
  readonly lost = false;
  readonly disowned = false;
  readonly subject: string;
  readonly body: Uint8Array;
  readonly headers: ReceivedHeaders;

  constructor({ stream, subject, count, ackWaitMs, storedAtMs, headers, body }: TestDeliverySettings) {
    this.stream = stream;
    this.subject = subject;
    this.count = count;
    this.ackWaitMs = ackWaitMs;
    this.storedAtMs = storedAtMs;
    this.body = body;
    this.headers = {
      get: (name) => headers[name] || undefined,
      entries: () => Object.entries(headers).map(([name, value]) => [name, [value]]),
    };
  }

  disown(): void {}

  mark(): void {
    this.markedMs = monotonicMs();
  }

  settle(_settlement: Settlement, onEnd: (confirmed: boolean) => void): void {
    onEnd(true);
  }
}
