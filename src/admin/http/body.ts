/** Bodies of requests: taken up to a limit, whether or not they say how long they are. */
import type { MiddlewareHandler } from "hono";
import { HTTPException } from "hono/http-exception";

/** Refuses larger ones with 413, unread where they say so, else where the limit is passed. */
export function limitBody(maxBytes: number): MiddlewareHandler {
  return async (c, next) => {
    const tooLarge = (): HTTPException => {
      // What is left of it is not read.
      c.header("Connection", "close");
      return new HTTPException(413, { message: `A body may have at most ${maxBytes} bytes here.` });
    };
    const declared = c.req.header("content-length");
    if (declared !== undefined && Number(declared) > maxBytes) throw tooLarge();
    if (declared !== undefined || c.req.header("transfer-encoding") === undefined) return next();
    const { url, method, raw } = c.req;
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    const body: AsyncIterable<Uint8Array> | Uint8Array[] = raw.body ?? [];
    for await (const chunk of body) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) throw tooLarge();
      chunks.push(chunk);
    }
    // Another of its own: the adapter's cannot be made from itself.
    c.req.raw = new Request(url, { method, headers: raw.headers, body: Buffer.concat(chunks), signal: raw.signal });
    return next();
  };
}
