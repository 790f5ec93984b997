/** Received headers: found in their text, through the one shape that the rest of Godwit knows. */
import type { Msg, MsgHdrs } from "@nats-io/transport-node";
import { noHeaders, type ReceivedHeaders } from "../message/headers.ts";

/**
 * The headers of a received message, through the one shape that the rest of Godwit knows. Headers that the client cannot read, which
 * any publisher can write, count as none.
 */
export function readHeaders(message: Pick<Msg, "headers">): ReceivedHeaders {
  const text = headerText(message);
  if (text === "") return noHeaders;
  if (text !== undefined && plainHeaders.test(text)) return new PlainHeaders(text);
  try {
    const { headers } = message;
    return headers ? new NatsHeaders(headers) : noHeaders;
  } catch {
    return noHeaders;
  }
}

/** As nearly all headers are, Godwit's own among them. What is not quite so is left to the client's parsing. */
const plainHeaders = /^NATS\/1\.0\r\n(?:[A-Za-z0-9-]+:[^\r\n]*\r\n)+\r\n$/;

/** The headers as they came, where the client, in version 3, keeps them; undefined where it does not. */
function headerText(message: object): string | undefined {
  const { _msg: parsed, _rdata: bytes } = message as { _msg?: { hdr: number }; _rdata?: Uint8Array };
  if (parsed === undefined || bytes === undefined) return undefined;
  if (parsed.hdr <= 0) return "";
  return (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset)).toString("utf8", 0, parsed.hdr);
}

/** The beginnings of lines that have been looked for: making one costs as much as finding it. */
const lines = new Map<string, string>();
const maxLines = 100;

function lineOf(name: string): string {
  const line = `\r\n${name}:`;
  if (lines.size < maxLines) lines.set(name, line);
  return line;
}

/**
 * Finds headers in their text. A message that succeeds at once is asked for four of them, and the client's parsing, into lists and maps,
 * cost a quarter to a half of all that a worker spends on such a message.
 */
class PlainHeaders implements ReceivedHeaders {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  get(name: string): string | undefined {
    const line = lines.get(name) ?? lineOf(name);
    const at = this.#text.indexOf(line);
    if (at === -1) return undefined;
    const from = at + line.length;
    return this.#text.slice(from, this.#text.indexOf("\r\n", from)).trim() || undefined;
  }

  entries(): [name: string, values: string[]][] {
    const found = new Map<string, string[]>();
    for (const line of this.#text.trimEnd().split("\r\n").slice(1)) {
      const colon = line.indexOf(":");
      const name = line.slice(0, colon);
      const value = line.slice(colon + 1).trim();
      const values = found.get(name);
      if (values === undefined) found.set(name, [value]);
      else values.push(value);
    }
    return [...found];
  }
}

export class NatsHeaders implements ReceivedHeaders {
  readonly #headers: MsgHdrs;

  constructor(headers: MsgHdrs) {
    this.#headers = headers;
  }

  get(name: string): string | undefined {
    return this.#headers.get(name) || undefined;
  }

  entries(): [name: string, values: string[]][] {
    return this.#headers.keys().map((name) => [name, [...this.#headers.values(name)]]);
  }
}
