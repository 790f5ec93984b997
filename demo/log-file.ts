/**
 * Opens the log to count: checked before anything is started, read as a stream.
 * Pipes are read as standard input only: a read of one by its path blocks a thread, for which the process would wait at its end.
 */
import { createReadStream } from "node:fs";
import { access, constants, stat } from "node:fs/promises";

export interface LogFile {
  name: string;
  /** 0 where it is not known: of standard input. */
  sizeBytes: number;
  read(): AsyncIterable<Buffer>;
}

/** The log cannot be read; the message is one sentence. */
export class LogFileError extends Error {}

const reasons: Record<string, string> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EACCES: "permission was denied",
  EPERM: "permission was denied",
  EISDIR: "it is a directory",
  ENOTFILE: "it is no file; to count what comes through a pipe, write - for FILE",
};

/**
 * @param path `-` is standard input.
 * @throws LogFileError.
 */
export async function openLogFile(path: string): Promise<LogFile> {
  if (path === "-") return { name: "standard input", sizeBytes: 0, read: () => process.stdin };
  try {
    const found = await stat(path);
    if (!found.isFile()) throw Object.assign(new Error(), { code: found.isDirectory() ? "EISDIR" : "ENOTFILE" });
    await access(path, constants.R_OK);
    return { name: path, sizeBytes: found.size, read: () => read(path) };
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function* read(path: string): AsyncGenerator<Buffer> {
  try {
    yield* createReadStream(path, { highWaterMark: 32 * 1024 }) as AsyncIterable<Buffer>;
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): LogFileError {
  const { code, message } = error as NodeJS.ErrnoException;
  return new LogFileError(`${path} cannot be read: ${reasons[code ?? ""] ?? message}.`, { cause: error });
}
