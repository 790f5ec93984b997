/** Control: what the supervisors of a fleet can be asked over core NATS: to replace their processes. */
import { hostname } from "node:os";
import * as z from "zod";
import { toError } from "../kernel/errors.ts";
import { answerTo, gather, readJson, type AskServices } from "../worker/questions.ts";
import type { Restarted } from "./restarts.ts";

const question = z.object({ ask: z.literal("restart") });

const answerShape = z.object({
  v: z.literal(1),
  id: z.string(),
  host: z.string(),
  pid: z.number(),
  actors: z.array(z.string()),
  processes: z.number(),
  /** `restarting` comes first, then how it ended. */
  state: z.enum(["restarting", "restarted", "failed"]),
  replaced: z.number().exactOptional(),
  failure: z.string().exactOptional(),
});
export type SupervisorAnswer = z.output<typeof answerShape>;

export interface ControlOptions extends AskServices {
  id: string;
  actors: () => string[];
  processes: () => number;
  restart: () => Promise<Restarted>;
  onProblem: (error: Error) => void;
}

/** Answers until it is ended. @returns ends it. */
export function answerAsSupervisor(options: ControlOptions): () => void {
  const { id, actors, processes, restart, onProblem } = options;
  return answerTo(options, options.names.supervisorsSubject, (body, send) => {
    if (!question.safeParse(readJson(body)).success) return;
    const answer = (state: SupervisorAnswer["state"], more: Partial<Restarted> = {}): void => {
      const who = { v: 1, id, host: hostname(), pid: process.pid, actors: actors(), processes: processes() } as const;
      send(Buffer.from(JSON.stringify({ ...who, state, ...more })));
    };
    answer("restarting");
    restart()
      .then((done) => answer(done.failure === undefined ? "restarted" : "failed", done))
      .catch((thrown: unknown) => onProblem(toError(thrown)));
  });
}

/**
 * Has all of them replace their processes.
 * @param options.waitMs for the first answer of each. @param options.timeoutMs for the end of it.
 * @returns the last word of each, by id: `restarting` from those that have not ended in time.
 */
export async function restartSupervisors(
  services: AskServices,
  { waitMs, timeoutMs, onAnswer }: { waitMs: number; timeoutMs: number; onAnswer: (answer: SupervisorAnswer) => void },
): Promise<Map<string, SupervisorAnswer>> {
  const last = new Map<string, SupervisorAnswer>();
  const waited = new AbortController();
  let allAreKnown = false;
  const allEnded = (): boolean => allAreKnown && [...last.values()].every(({ state }) => state !== "restarting");
  const timer = setTimeout(() => {
    allAreKnown = true;
    if (allEnded()) waited.abort();
  }, waitMs);
  const hear = (answer: SupervisorAnswer): boolean => {
    last.set(answer.id, answer);
    onAnswer(answer);
    return allEnded();
  };
  const body = Buffer.from(JSON.stringify({ ask: "restart" } satisfies z.output<typeof question>));
  const read = (said: Uint8Array): boolean => {
    const answer = answerShape.safeParse(readJson(said)).data;
    return answer !== undefined && hear(answer);
  };
  await gather(services, services.names.supervisorsSubject, body, timeoutMs, read, waited.signal);
  clearTimeout(timer);
  return last;
}
