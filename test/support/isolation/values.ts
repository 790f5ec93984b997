/** Actors in threads that show what arrives there, and send what their receivers' settings refuse. */
import * as z from "zod";
import { Actor, config, type Context } from "../../../src/index.ts";

const module = import.meta.url;
const isolated = { isolate: "thread", module, concurrency: 1 } as const;

/** Takes less than the system does, and more. */
export class Narrow extends Actor {
  static override readonly config = config({
    name: "narrow",
    payload: { maxBytes: 500, maxDepth: 5, maxItems: 10 },
    accept: ["application/msgpack"],
  });
  override receive(): void {}
}
export class Wide extends Actor {
  static override readonly config = config({ name: "wide", payload: { maxDepth: 300 } });
  override receive(): void {}
}
export class Bytes extends Actor<Buffer> {
  static override readonly config = config({ name: "bytes", input: z.instanceof(Buffer) });
  override receive(): void {}
}

class Money {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}
/** Its schema makes what no thread can be given. */
export class Moneyed extends Actor<Money> {
  static override readonly config = config({
    ...isolated,
    name: "moneyed",
    input: z.string().transform((text) => new Money(text)),
  });
  override receive(): void {}
}

export function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}

async function sendAll(ctx: Context): Promise<Record<string, string>> {
  const sends: Record<string, () => Promise<unknown>> = {
    deep: () => ctx.tell(Narrow, nested(6)),
    many: () => ctx.tell(Narrow, Array(11).fill(1)),
    large: () => ctx.tell(Narrow, "x".repeat(600)),
    json: () => ctx.tell(Narrow, 1, { codec: "json" }),
    moneyed: () => ctx.tell(Moneyed, "5 EUR" as never),
    wide: () => ctx.tell(Wide, nested(250)),
    bytes: () => ctx.tell(Bytes, Buffer.from("x")),
  };
  const ended: Record<string, string> = {};
  for (const [name, send] of Object.entries(sends)) {
    ended[name] = await send().then(
      () => "sent",
      (error: unknown) => (error as { code: string }).code,
    );
  }
  return ended;
}

export class SendsAtHome extends Actor<unknown, unknown> {
  static override readonly config = config({ name: "sends.home" });
  override receive(_input: unknown, ctx: Context): Promise<unknown> {
    return sendAll(ctx);
  }
}
export class SendsInThread extends Actor<unknown, unknown> {
  static override readonly config = config({ ...isolated, name: "sends.thread" });
  override receive(_input: unknown, ctx: Context): Promise<unknown> {
    return sendAll(ctx);
  }
}

/** Says what its bytes are. */
export class ReadsBytes extends Actor<{ files: unknown[] }, unknown> {
  static override readonly config = config({ ...isolated, name: "reads.bytes" });
  override async receive({ files }: { files: unknown[] }, ctx: Context): Promise<unknown> {
    const kept = await ctx.once("bytes", () => ({ bytes: Buffer.from("text") }));
    return [...files, kept.bytes].map((one) => (Buffer.isBuffer(one) ? one.toString("base64") : "no Buffer"));
  }
}
