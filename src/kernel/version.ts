/** The version of this package. */
import { readFileSync } from "node:fs";

let known: string | undefined;

/** As in package.json; `"unknown"` where that is not to be found. */
export function packageVersion(): string {
  known ??= read();
  return known;
}

function read(): string {
  // From src/, and from where it was built to.
  for (const path of ["../../package.json", "../../../package.json"]) {
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as { version: string }).version;
    } catch {
      // The next one.
    }
  }
  return "unknown";
}
