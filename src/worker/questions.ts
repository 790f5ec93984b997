/**
 * Questions over core NATS to however many there are to answer, and what workers can be asked. Answers go below `<ns>.reply.`, as those to
 * asks: no question can aim one elsewhere.
 */
import { randomBytes } from "node:crypto";
import * as z from "zod";
import type { Bus } from "../broker/bus.ts";
import { header, parseReplyAddress } from "../message/headers.ts";
import type { Names } from "../message/subjects.ts";
import { messageShape, snapshotShape, type MessageAnswer } from "./answers.ts";
import type { WorkerSnapshot } from "./snapshot.ts";

/** What a worker can be asked: all about itself, or what it has in hand, or has put back, of one message. */
const workerQuestion = z.discriminatedUnion("ask", [
  z.object({ ask: z.literal("snapshot") }),
  z.object({ ask: z.literal("message"), stream: z.string(), sequence: z.int(), storedAtMs: z.number() }),
]);
export type WorkerQuestion = z.output<typeof workerQuestion>;

export interface AskServices {
  names: Names;
  bus: Bus;
}

/** Asks, and hands on each answer until one is the last, the time is over, or `enough` aborts. */
export function gather(
  { names, bus }: AskServices,
  subject: string,
  question: Uint8Array,
  waitMs: number,
  onAnswer: (body: Uint8Array) => boolean,
  enough?: AbortSignal,
): Promise<void> {
  const address = `${randomBytes(9).toString("base64url")}.0`;
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      unsubscribe();
      resolve();
    };
    enough?.addEventListener("abort", end, { once: true });
    const timer = setTimeout(end, waitMs);
    const unsubscribe = bus.subscribe(names.replySubject(address), ({ body }) => {
      if (onAnswer(body)) end();
    });
    bus.publish(subject, question, { [header.reply]: address });
  });
}

/**
 * Answers what is asked at a subject, until it is ended.
 * @param onQuestion is handed the question, and what sends an answer to it, once or more often.
 * @returns ends it.
 */
export function answerTo(
  { names, bus }: AskServices,
  subject: string,
  onQuestion: (question: Uint8Array, answer: (body: Uint8Array) => void) => void,
): () => void {
  return bus.subscribe(subject, ({ headers, body }) => {
    const address = parseReplyAddress(headers.get(header.reply));
    if (address !== undefined) onQuestion(body, (answer) => bus.publish(names.replySubject(address), answer));
  });
}

/** True once a worker answers, false when none has within `waitMs`. */
export async function isPresent({ names, bus }: AskServices, actor: string, waitMs: number): Promise<boolean> {
  let present = false;
  await gather({ names, bus }, names.workerSubject(actor), new Uint8Array(), waitMs, () => (present = true));
  return present;
}

/**
 * What the workers answer, without what is no answer.
 * @param enough stops waiting once there are so many answers. Default: waits it out.
 */
export async function askWorkers(
  services: AskServices,
  question: { ask: "snapshot" },
  options: { waitMs: number; enough?: number },
): Promise<WorkerSnapshot[]>;
export async function askWorkers(
  services: AskServices,
  question: WorkerQuestion & { ask: "message" },
  options: { waitMs: number; enough?: number },
): Promise<MessageAnswer[][]>;
export async function askWorkers(
  services: AskServices,
  question: WorkerQuestion,
  { waitMs, enough = Infinity }: { waitMs: number; enough?: number },
): Promise<unknown[]> {
  const shape: z.ZodType = question.ask === "snapshot" ? snapshotShape : messageShape;
  const answers: unknown[] = [];
  const body = Buffer.from(JSON.stringify(question));
  if (enough < 1) return answers;
  await gather(services, services.names.workersSubject, body, waitMs, (answer) => {
    const parsed = shape.safeParse(readJson(answer)).data;
    if (parsed !== undefined) answers.push(parsed);
    return answers.length >= enough;
  });
  return answers;
}

/** Undefined for what is no question: anyone may publish. */
export function readWorkerQuestion(body: Uint8Array): WorkerQuestion | undefined {
  return workerQuestion.safeParse(readJson(body)).data;
}

/** Undefined for what is no JSON. */
export function readJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString());
  } catch {
    return undefined;
  }
}
