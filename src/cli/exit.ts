/** Exit codes and the errors that lead to them: the one place that says what each code means. `godwit --help` prints it. */
import { constants } from "node:os";
import { GodwitError } from "../kernel/errors.ts";

export const exitCode = { ok: 0, failed: 1, usage: 2 } as const;

export const exitCodeHelp = `Exit codes:
  0      done; for worker and dev: drained and ended when asked to
  1      failed, in part or in whole; standard error has a sentence and a code
  2      wrong usage: the command line cannot be understood, nothing was tried
  128+n  ended at once by a second signal n (130: Ctrl-C twice)`;

/** The command line cannot be understood. Nothing was tried. Its code is that of the check that refused it, else `USAGE`. */
export class UsageError extends GodwitError {
  constructor(message: string, cause?: Error) {
    super(cause instanceof GodwitError ? cause.code : "USAGE", message, { cause });
  }
}

/** By convention, 128 and the signal's number. */
export function signalExitCode(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
