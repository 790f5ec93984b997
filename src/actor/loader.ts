/**
 * Loader: finds actors in modules and in folders of modules.
 * 1. A module that exports a list named `actors` gives what is in it and nothing else: that is where functions that make actors with
 *    arguments go. Any other module gives each exported class that extends Actor and has a config.
 * 2. Of a folder, modules without an actor are helpers; a folder without any actor, like a named module without one, is a mistake.
 * 3. An actor that several modules export counts once.
 */
import { readdir, stat } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ActorNotFoundError, toError } from "../kernel/errors.ts";
import { isActorClass } from "./actor.ts";
import type { ActorSource } from "./actor-class.ts";
import { allowTypeScript, resolveToOwnCopy } from "./module-hooks.ts";

const moduleName = /\.m?[jt]s$/;
const typescriptName = /\.[cm]?tsx?$/;
const notActors = /\.d\.m?ts$|\.(test|test-d|spec)\.m?[jt]s$/;

/**
 * The actors of these modules and folders, for `system.work()`. Folders are searched through, in the order of their names, for
 * `.js .mjs .ts .mts`, without tests, declarations, `node_modules` and names that begin with a dot.
 * @param paths as seen from the current folder.
 * @throws ActorNotFoundError for a path that does not exist, a module that cannot be loaded, and where there is no actor.
 */
export async function loadActors(paths: string | readonly string[]): Promise<ActorSource[]> {
  const given = typeof paths === "string" ? [paths] : paths;
  const found = new Set<ActorSource>();
  for (const path of given) {
    const modules = await modulesOf(resolve(path));
    let own = 0;
    let withoutConfig: string | undefined;
    for (const module of modules) {
      const { sources, bare } = actorsOf(await load(module), module);
      own += sources.length;
      withoutConfig ??= bare;
      for (const source of sources) found.add(source);
    }
    if (own === 0) throw noActor(path, modules.length, withoutConfig);
  }
  if (found.size === 0) throw new ActorNotFoundError("No module was given to load actors from; name one, or a folder.");
  return [...found];
}

async function modulesOf(path: string): Promise<string[]> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new ActorNotFoundError(`There is no file or folder '${shown(path)}' to load actors from; correct the path.`, {
      cause,
    });
  });
  return found.isDirectory() ? modulesIn(path) : [path];
}

async function modulesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const found: string[] = [];
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    // Links to folders are not followed: they may lead in a circle.
    if (entry.isDirectory()) found.push(...(await modulesIn(path)));
    else if (moduleName.test(entry.name) && !notActors.test(entry.name)) found.push(path);
  }
  return found;
}

async function load(path: string): Promise<Record<string, unknown>> {
  try {
    if (typescriptName.test(path)) await allowTypeScript();
    resolveToOwnCopy();
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (thrown) {
    const cause = toError(thrown);
    throw new ActorNotFoundError(
      `The module '${shown(path)}' could not be loaded (${brief(cause)}${place(cause)}); mend it, or leave it out.`,
      { cause },
    );
  }
}

/** `bare` is the name of a class that would be an actor if it had a config. */
function actorsOf(module: Record<string, unknown>, path: string): { sources: ActorSource[]; bare: string | undefined } {
  const exported = exportsOf(module);
  const list = exported["actors"];
  if (list !== undefined) {
    if (!Array.isArray(list) || list.length === 0 || !list.every((one) => typeof one === "function")) {
      throw new ActorNotFoundError(
        `The module '${shown(path)}' exports 'actors', which must be a list of actor classes and of functions that make actors.`,
      );
    }
    return { sources: list as ActorSource[], bare: undefined };
  }
  const classes = Object.values(exported).filter(isActorClass);
  const hasConfig = (actor: object): boolean => (actor as { config?: unknown }).config !== undefined;
  return {
    sources: classes.filter(hasConfig),
    bare: classes.find((actor) => !hasConfig(actor) && actor.name !== "Actor")?.name,
  };
}

/** The exports by name. What was compiled to CommonJS has them one level down. */
function exportsOf(module: Record<string, unknown>): Record<string, unknown> {
  const inner = module["default"];
  return typeof inner === "object" && inner !== null ? { ...inner, ...module } : module;
}

function noActor(path: string, modules: number, bare: string | undefined): ActorNotFoundError {
  const where = `'${shown(resolve(path))}'`;
  if (bare !== undefined) {
    return new ActorNotFoundError(
      `There is no actor in ${where}: its class ${bare} extends Actor and has no static config; write: static override readonly config = config({ name: "…" }).`,
    );
  }
  if (modules === 0) return new ActorNotFoundError(`There is no module in the folder ${where}; name another one.`);
  return new ActorNotFoundError(
    `There is no actor in ${where}; export a class that extends Actor and has a static config, or a list named 'actors'.`,
  );
}

/** As the user would write it. */
function shown(path: string): string {
  const near = relative(process.cwd(), path);
  return near === "" ? "." : near.startsWith(`..${sep}..`) ? path : near;
}

const maxTextLength = 300;

function brief(error: Error): string {
  // Which module required a missing one follows as a list; the first line has said what is missing.
  const text = (error.message.split("\nRequire stack", 1)[0] ?? "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join(" ");
  return `${error.name}: ${text.length > maxTextLength ? `${text.slice(0, maxTextLength)}…` : text}`;
}

/** Where it was thrown, as far as the stack tells of code that is neither Node's nor a package's. */
function place(error: Error): string {
  const lines = (error.stack ?? "").split("\n");
  for (const line of lines) {
    const found = /(file:\/\/[^\s()]+?):(\d+)(?::\d+)?\)?$/.exec(line);
    if (!found || /\/node_modules\//.test(line)) continue;
    const path = fileURLToPath(found[1] ?? "");
    return error.message.includes(path) ? "" : ` at ${shown(path)}:${found[2]}`;
  }
  return "";
}
