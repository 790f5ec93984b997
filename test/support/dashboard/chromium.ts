/** A real Chromium for tests: the one of this machine, or a sentence on how to install it. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";

const names = ["chromium", "chromium-browser", "google-chrome"];

/** Undefined where this machine has none. */
export const chromiumPath = (process.env["PATH"] ?? "")
  .split(delimiter)
  .flatMap((folder) => names.map((name) => join(folder, name)))
  .find(isExecutable);

/** Where nobody said that all tools must be there, tests that need a browser may be skipped. */
export const mayLackTools = process.env["CI"] !== "true" && process.env["GODWIT_REQUIRE_TOOLS"] === undefined;

export const howToInstall =
  "skipped, because there is no Chromium: apt-get install -y --no-install-recommends chromium fonts-dejavu-core";

/** @throws Error where there is none. */
export async function launchChromium(): Promise<Browser> {
  if (chromiumPath === undefined) throw new Error(`The browser tests cannot run; ${howToInstall}.`);
  // Chromium's sandbox refuses to run as root, which is who runs in a container.
  const root = process.getuid?.() === 0;
  return chromium.launch({ executablePath: chromiumPath, args: root ? ["--no-sandbox"] : [] });
}

/** What a page complains about from here on: its console, its scripts, its requests, its content security policy. */
export function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`script: ${error.message}`));
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()} ${response.url()}`);
  });
  page.on("requestfailed", (request) => {
    const reason = request.failure()?.errorText ?? "";
    // What a page still asked for when it was left.
    if (reason !== "net::ERR_ABORTED") complaints.push(`${reason} ${request.url()}`);
  });
  return complaints;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
