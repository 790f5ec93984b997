/** Fingerprint: what makes dead letters alike: the same actor, reason and error, but for what differs from message to message. Pure. */
import { createHash } from "node:crypto";
import type { DeadInfo } from "../../lifecycle/dead-letter.ts";

const maxLength = 300;

/** In this order: what stands within quotes may be anything, an id may hold digits. */
const differing: [pattern: RegExp, instead: string][] = [
  [/(?<!\w)(["'`])(?:(?!\1)[^\n])*\1(?!\w)/g, "$1…$1"],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, "<id>"],
  [/\b0x[0-9a-f]+\b/gi, "<hex>"],
  [/\b(?=[a-f]*\d)[0-9a-f]{8,}\b/gi, "<hex>"],
  [/\b(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{20,}/g, "<id>"],
  [/\d+(?:[.,]\d+)*/g, "<n>"],
];

/** The text with what differs replaced, cut short. */
export function alike(text: string): string {
  let like = text.slice(0, maxLength);
  for (const [pattern, instead] of differing) like = like.replace(pattern, instead);
  return like.slice(0, maxLength);
}

/** The error as its group shows it: `CardDeclined: card <n> was declined`. */
export function errorAlike({ error }: Pick<DeadInfo, "error">): string {
  return `${error.name}: ${alike(error.message)}`;
}

/** The name of the group, 12 characters that any URL can carry. */
export function fingerprint(info: Pick<DeadInfo, "actor" | "reason" | "error">): string {
  const text = [info.actor, info.reason, errorAlike(info)].join("\n");
  return createHash("sha256").update(text).digest("base64url").slice(0, 12);
}
