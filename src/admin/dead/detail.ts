/** One dead letter, whole: why it died, its runs, and, where they may be shown, its headers and body as text. */
import { readInfo, type DeadMessage } from "../../lifecycle/dead-letter.ts";
import type { Redrive } from "../../lifecycle/redrive.ts";
import { decodeBody } from "../../message/body.ts";
import { toJson } from "../../message/json-text.ts";
import type { DeadDetail } from "../api.ts";
import { summary } from "./letters.ts";

/** What a page can show; a body may have megabytes. */
const maxBodyLength = 64 * 1_024;

/**
 * @param bodies false leaves out what the sender wrote: headers and body.
 * @throws NotFoundError, also where the body is gone from the object store; DecodeError for what Godwit did not write.
 */
export async function deadDetail(dead: Redrive, sequence: number, bodies: boolean): Promise<DeadDetail> {
  const stored = await dead.read(sequence);
  const info = readInfo(stored);
  const { stream, sequence: originSequence, subject } = info.origin;
  const detail: DeadDetail = {
    ...summary({ stored, info }),
    origin: { stream, sequence: originSequence, subject },
    headers: [],
    history: info.history.map(({ at, ...run }) => ({ at: new Date(at).toISOString(), ...run })),
    ...(info.stack !== undefined && { stack: info.stack }),
  };
  if (!bodies) return detail;
  const letter = await dead.show(sequence);
  return { ...detail, sizeBytes: letter.body.length, headers: letter.headers, body: await bodyText(letter) };
}

async function bodyText({ headers, body }: DeadMessage): Promise<NonNullable<DeadDetail["body"]>> {
  const get = (wanted: string): string | undefined =>
    headers.find(([name]) => name.toLowerCase() === wanted.toLowerCase())?.[1][0];
  try {
    const value = await decodeBody(body, { get });
    return typeof value === "string" ? cut(value, "text") : cut(toJson(value, 2), "json");
  } catch {
    const bytes = body.subarray(0, maxBodyLength / 2);
    return { text: Buffer.from(bytes).toString("hex"), format: "hex", cut: bytes.length < body.length };
  }
}

function cut(text: string, format: "json" | "text"): NonNullable<DeadDetail["body"]> {
  return { text: text.slice(0, maxBodyLength), format, cut: text.length > maxBodyLength };
}
