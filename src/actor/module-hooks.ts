/**
 * Module hooks: what has to be set up in this process before a module of actors is imported. Each is set up once and stays, since
 * a handler may import more later on.
 */
import * as nodeModule from "node:module";

type Context = { parentURL?: string | undefined };
type Next = (specifier: string, context: Context) => unknown;
type RegisterHooks = (hooks: { resolve: (specifier: string, context: Context, next: Next) => unknown }) => unknown;

/** Of Node 22.15 and 23.5 on; the hooks run in this thread. */
const registerHooks = (nodeModule as { registerHooks?: RegisterHooks }).registerHooks;

// Before that hooks run in a thread of their own, which has to be handed their source.
const threadHooks = `
let parentURL;
export function initialize(data) { parentURL = data; }
export function resolve(specifier, context, next) {
  return next(specifier, /^godwit(\\/|$)/.test(specifier) ? { ...context, parentURL } : context);
}`;

let ownCopy = false;
let typescript: Promise<void> | undefined;

/** Makes `godwit` mean the running copy in every module, wherever it lies: with a second copy there would be two of each class. */
export function resolveToOwnCopy(): void {
  if (ownCopy) return;
  ownCopy = true;
  // A package may import itself by its name, so the name is looked up from here.
  const parentURL = import.meta.url;
  if (registerHooks) {
    registerHooks({
      resolve: (specifier, context, next) =>
        next(specifier, /^godwit(\/|$)/.test(specifier) ? { ...context, parentURL } : context),
    });
  } else {
    nodeModule.register(`data:text/javascript,${encodeURIComponent(threadHooks)}`, { data: parentURL });
  }
}

/**
 * Lets this process import TypeScript, through tsx on every Node: what Node itself strips leaves out syntax that actors are written
 * with, such as parameter properties. CommonJS too, which a `.ts` file is in a package without `"type": "module"`.
 */
export function allowTypeScript(): Promise<void> {
  typescript ??= (async () => {
    const [esm, cjs] = await Promise.all([import("tsx/esm/api"), import("tsx/cjs/api")]);
    cjs.register();
    esm.register();
  })();
  return typescript;
}
