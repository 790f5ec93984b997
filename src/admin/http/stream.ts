/** The event stream: a `frame` for each frame, until the reader goes away or the server stops. One that reads slowly gets fewer of them. */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { Frame } from "../api.ts";
import type { Live } from "../live/live.ts";

/** Many read the same frame. */
const texts = new WeakMap<Frame, string>();

export function streamFrames(c: Context, live: Live): Response {
  // nginx would otherwise keep them until it has a bufferful.
  c.header("X-Accel-Buffering", "no");
  const response = streamSSE(c, async (stream) => {
    let latest: Frame | undefined;
    let ended = false;
    let wake = (): void => undefined;
    const end = live.watch({
      onFrame: (frame) => {
        latest = frame;
        wake();
      },
      onEnd: () => {
        ended = true;
        wake();
      },
    });
    stream.onAbort(() => {
      ended = true;
      wake();
    });
    try {
      // Its head goes out with the first bytes: who waits for it need not wait for a frame.
      await stream.write("retry: 2000\n\n");
      while (!ended) {
        const frame: Frame | undefined = latest;
        latest = undefined;
        if (frame === undefined) await new Promise<void>((resolve) => (wake = resolve));
        else await stream.writeSSE({ event: "frame", data: textOf(frame) });
      }
    } finally {
      end();
    }
  });
  // Nothing follows on it, and a server that stops need not wait for what might.
  response.headers.set("Connection", "close");
  return response;
}

function textOf(frame: Frame): string {
  const text = texts.get(frame) ?? JSON.stringify(frame);
  texts.set(frame, text);
  return text;
}
