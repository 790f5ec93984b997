/** Squeeze: an encoded message, compressed where that makes it smaller, or refused where nobody would take it. */
import type { OutgoingMessage } from "../broker/publisher.ts";
import { PayloadTooLargeError } from "../kernel/errors.ts";
import { compress, gzipEncoding } from "../message/compression.ts";
import { header } from "../message/headers.ts";

/** Compresses a body where that makes it smaller. A promise only for one that would hold up the event loop. */
export function squeeze(message: OutgoingMessage): OutgoingMessage | Promise<OutgoingMessage> {
  const finish = (body: Uint8Array | undefined): OutgoingMessage => {
    if (body === undefined) return message;
    return { ...message, body, headers: { ...message.headers, [header.contentEncoding]: gzipEncoding } };
  };
  const packed = compress(message.body);
  return packed instanceof Promise ? packed.then(finish) : finish(packed);
}

/** Those that receive it would refuse it too. */
export function refuseSize(subject: string, sizeBytes: number, maxBytes: number): PayloadTooLargeError {
  return new PayloadTooLargeError(
    subject,
    sizeBytes,
    maxBytes,
    `The body for '${subject}' has ${sizeBytes} bytes and payload.maxBytes allows ${maxBytes}; send a reference to the data, or raise it here and where it is received.`,
  );
}
