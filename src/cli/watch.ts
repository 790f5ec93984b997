/**
 * Watches source files by looking at them now and then: works alike on every system and through mounts into containers, where
 * notifications get lost, and costs little for as many files as people write.
 */
import { readdir, stat } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { monotonicMs, pause } from "../kernel/clock.ts";

const source = /\.([cm]?[jt]sx?|json)$/;
/** What others write, and what no worker loads. */
const ignored = new Set(["node_modules", "coverage"]);
const built = new Set(["dist", "build", "out"]);
const everyMs = 250;
/** A look takes no more than this share of the time. */
const share = 0.05;

/** Size and time of change, by path. */
type Look = ReadonlyMap<string, string>;

/**
 * Gives the changed files after each row of changes, once a look has found no further ones. Ends when the signal aborts.
 * @param paths modules and folders; the current folder is watched too, since modules import others.
 */
export async function* changes(paths: readonly string[], signal: AbortSignal): AsyncGenerator<string[]> {
  const roots = rootsOf(paths);
  let known = await look(roots);
  let changed = new Set<string>();
  for (let waitMs = everyMs; ;) {
    await pause(waitMs, signal);
    if (signal.aborted) return;
    const startedMs = monotonicMs();
    const now = await look(roots);
    waitMs = Math.max(everyMs, (monotonicMs() - startedMs) / share);
    const fresh = differing(known, now);
    known = now;
    for (const path of fresh) changed.add(path);
    if (fresh.length > 0 || changed.size === 0) continue;
    yield [...changed].map((path) => relative(process.cwd(), path)).toSorted();
    changed = new Set();
  }
}

/** Folders to look through. One that lies in another is left out, unless the other would not look into it. */
function rootsOf(paths: readonly string[]): string[] {
  const here = resolve(".");
  const outside = paths
    .map((path) => resolve(path))
    .map((path) => (source.test(path) ? dirname(path) : path))
    .filter((path) => {
      const inside = path === here || path.startsWith(here + sep);
      return !inside || relative(here, path).split(sep).some(skipped);
    });
  return [...new Set([here, ...outside])];
}

function skipped(name: string): boolean {
  return name.startsWith(".") || ignored.has(name) || built.has(name);
}

async function look(roots: readonly string[]): Promise<Look> {
  const found = new Map<string, string>();
  for (const root of roots) await lookInto(root, found);
  return found;
}

async function lookInto(folder: string, found: Map<string, string>): Promise<void> {
  // What vanishes between two calls is a change that the next look sees.
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  await Promise.all(
    entries.map(async (entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!skipped(entry.name)) await lookInto(path, found);
      } else if (source.test(entry.name)) {
        const { mtimeMs, size } = await stat(path).catch(() => ({ mtimeMs: 0, size: 0 }));
        found.set(path, `${mtimeMs} ${size}`);
      }
    }),
  );
}

function differing(before: Look, now: Look): string[] {
  const gone = [...before.keys()].filter((path) => !now.has(path));
  return [...gone, ...[...now].filter(([path, mark]) => before.get(path) !== mark).map(([path]) => path)];
}
