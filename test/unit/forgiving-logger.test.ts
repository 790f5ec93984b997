/** A user's logger that fails: what it is called for goes on, and the process is warned once. */
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { forgivingLogger, silentLogger, type Logger } from "../../src/kernel/logger.ts";

let warnings: string[] = [];
const note = ({ message }: Error): void => void warnings.push(message);
beforeEach(() => {
  warnings = [];
  process.on("warning", note);
});
afterEach(() => void process.off("warning", note));
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const fail = (): never => {
  throw new Error("disk full");
};
const reject = (): never => Promise.reject(new Error("disk full")) as never;

test.each<[string, Partial<Logger>]>([
  ["throws", { error: fail }],
  ["gives a promise that rejects", { error: reject }],
  ["throws in child()", { child: fail }],
  ["gives no child", { child: () => undefined as never }],
])("one that %s ends nothing, and the process is warned once", async (_what, broken) => {
  const log = forgivingLogger({ ...silentLogger, ...broken });
  for (let times = 0; times < 2; times++) {
    log.error("one");
    log.child({ actor: "a" }).error({ id: 1 }, "two");
  }
  await turn();
  await turn();
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/^The logger that Godwit was given failed \((disk full|its child\(\) gave no logger)\)/);
});

test("one of pino's works as it did, with what pino has beside it, and so does one that is frozen", () => {
  const lines: string[] = [];
  const log = forgivingLogger(pino({ level: "trace" }, { write: (line: string) => void lines.push(line) }));
  const child = log.child({ actor: "a" }) as Logger & { trace(text: string): void; level: string };
  child.trace("deep");
  child.level = "error";
  child.info("not any more");
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([{ level: 10, actor: "a", msg: "deep" }]);
  const frozen = forgivingLogger(Object.freeze({ ...silentLogger }));
  expect(() => frozen.child({}).info("one")).not.toThrow();
});
