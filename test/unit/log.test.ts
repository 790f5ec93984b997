/** Logs: what a worker's events say. */
import { EventEmitter } from "node:events";
import { expect, test, vi } from "vitest";
import { textLogger } from "../../src/cli/text-log.ts";
import type { Logger } from "../../src/index.ts";
import { createLogger, logWorker, type LogSettings } from "../../src/observe/log.ts";
import { isSecret } from "../../src/observe/redact.ts";
import type { WorkerEvents } from "../../src/worker/events.ts";
import { collectLogs } from "../support/logs.ts";

test("a message that a guard puts back has a line with the reason, for those who ask for debug", () => {
  const worker = new EventEmitter<WorkerEvents>();
  const { log, lines } = collectLogs();
  logWorker(worker, log);
  const ref = { actor: "pay", id: "p1", stream: "S", sequence: 7, deliveries: 1, attempt: 1 };
  worker.emit("deferred", { ...ref, reason: "rate-limited", delayMs: 250 });
  expect(lines).toEqual([
    {
      level: "debug",
      fields: { actor: "pay", id: "p1", at: "S:7", attempt: 1, deliveries: 1, reason: "rate-limited", delayMs: 250 },
      message: "put back, will be tried again",
    },
  ]);
});

/** What a logger of ours writes, line by line. */
function written(settings: LogSettings, write: (log: Logger) => void): Record<string, unknown>[] {
  const lines: string[] = [];
  write(createLogger(settings, { write: (line) => void lines.push(line) }));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

class ApiError extends Error {
  readonly token = "s3cret";
  readonly config = { url: "/pay", headers: { Authorization: "s3cret", "set-cookie": ["s3cret"], accept: "*/*" } };
}

test("secrets are hidden: at the top and further down, in lists, in errors' own fields, in what a child was given", () => {
  const error = new ApiError("refused", { cause: new Error("the deeper reason") });
  const fields = { password: "s3cret", order: { id: 7, api_key: "s3cret", by: [{ accessToken: "s3cret" }] } };
  const lines = written({}, (log) => {
    log.error({ err: error, ...fields }, "with fields");
    log.error(error as object);
    log.warn({ error }, "an error under another name");
    log
      .child({ conn: { user: "me", Pass: "s3cret" } })
      .child({ secret: "s3cret" })
      .info("from a child");
  });
  expect(JSON.stringify(lines)).not.toContain("s3cret");
  expect(lines[0]).toMatchObject({
    msg: "with fields",
    password: "[Redacted]",
    order: { id: 7, api_key: "[Redacted]", by: [{ accessToken: "[Redacted]" }] },
    err: {
      type: "ApiError",
      message: "refused: the deeper reason",
      token: "[Redacted]",
      config: { url: "/pay", headers: { Authorization: "[Redacted]", "set-cookie": "[Redacted]", accept: "*/*" } },
    },
  });
  expect(lines[1]).toMatchObject({ msg: "refused", err: { token: "[Redacted]" } });
  expect(lines[3]).toMatchObject({ conn: { user: "me", Pass: "[Redacted]" }, secret: "[Redacted]" });
  // What is logged stays what it was.
  expect(error.config.headers.Authorization).toBe("s3cret");
  expect(fields.order.api_key).toBe("s3cret");
});

test("what is no secret is written as it is", () => {
  const at = new Date(0);
  const [line] = written({}, (log) =>
    log.info({ passed: 3, tokens: 4, at, list: [1], none: null, gone: undefined }, "m"),
  );
  expect(line).toMatchObject({ passed: 3, tokens: 4, at: at.toISOString(), list: [1], none: null });
});

test.each(["refused", 7, null])("what was thrown and is no error is written as it is: %j", (err) => {
  const lines = written({}, (log) => log.error({ err }, "failed"));
  expect(lines).toMatchObject([{ err, msg: "failed" }]);
});

test("redact names more, by pino's paths; false hides nothing", () => {
  const fields = { order: { iban: "DE00", token: "t" }, deep: { iban: "DE00" } };
  const log = (to: Logger): void => to.info(fields, "m");
  expect(written({ redact: ["order.iban"] }, log)[0]).toMatchObject({
    order: { iban: "[Redacted]", token: "[Redacted]" },
    deep: { iban: "DE00" },
  });
  expect(written({ redact: ["*.iban"] }, log)[0]).toMatchObject({ deep: { iban: "[Redacted]" } });
  expect(written({ redact: false }, log)[0]).toMatchObject(fields);
});

test("a path that is none is refused", () => {
  expect(() => createLogger({ redact: ["a["] })).toThrow(/log\.redact holds what is no path/);
});

test("the text form hides them too", () => {
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  textLogger("info")
    .child({ token: "s3cret" })
    .info({ order: { id: 7, password: "s3cret" } }, "hello");
  const said = write.mock.calls.join("");
  write.mockRestore();
  expect(said).toContain('hello (token [Redacted], order {"id":7,"password":"[Redacted]"})');
});

test.each(["dbPassword", "SMTP_PASSWORD", "x-auth-token", "sessionToken", "accessKey", "secretKey", "pwd", "jwt"])(
  "%s is a secret",
  (name) => expect(isSecret(name)).toBe(true),
);

test.each(["passwords", "tokens", "author", "key", "nextToken", "compass", "sequence", "id"])("%s is none", (name) =>
  expect(isSecret(name)).toBe(false),
);
