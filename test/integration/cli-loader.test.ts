/** Loading actors from modules and folders, in a process as a user's would be: plain Node, the built package, modules anywhere on disk. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const checkout = fileURLToPath(new URL("../../", import.meta.url));
const script = join(checkout, "dist/test/support/cli/load.js");

interface Answer {
  loaded?: { name: string; own: boolean }[];
  code?: string;
  message?: string;
  cause?: string;
}

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "godwit-load-"));
  await write("package.json", '{ "type": "module" }');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(name: string, text: string): Promise<void> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

async function load(...paths: string[]): Promise<Answer> {
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...paths], { cwd: folder });
  return JSON.parse(stdout) as Answer;
}

function actor(name: string, className = "A"): string {
  return `import { Actor } from "godwit";
export class ${className} extends Actor { static config = { name: "${name}" }; receive() {} }
`;
}

// Parameter properties and enums are what Node's own stripping of types refuses.
const typescript = `import { Actor, config, type Context } from "godwit";
import { greet } from "./lib/greet.js";
enum Mood { Good = "good" }
export class Typed extends Actor<unknown, string> {
  static override readonly config = config({ name: "typed" });
  constructor(private readonly mood: Mood = Mood.Good) { super(); }
  override receive(_input: unknown, ctx: Context): string { return greet(this.mood, ctx.id); }
}
`;

describe("what is found", () => {
  test("a folder is searched through by name: JavaScript and TypeScript, without helpers, tests, declarations and packages", async () => {
    await write("actors/b.mjs", actor("b"));
    await write("actors/a/deep.js", actor("deep"));
    await write("actors/c.ts", typescript);
    await write("actors/d.mts", actor("d"));
    await write("actors/lib/greet.ts", "export const greet = (mood: string, id: string): string => mood + id;");
    await write("actors/types.d.ts", "export declare const nothing: 1;");
    await write("actors/b.test.mjs", "throw new Error('a test was loaded');");
    await write("actors/node_modules/x/index.js", "throw new Error('a package was loaded');");
    await write("actors/.hidden/x.js", "throw new Error('a hidden folder was loaded');");
    await write("actors/notes.txt", "no module");
    expect(await load("actors")).toEqual({
      loaded: ["deep", "b", "typed", "d"].map((name) => ({ name, own: true })),
    });
  });

  test("godwit is the one running copy, wherever a module lies and whatever copy is installed beside it", async () => {
    await write("node_modules/godwit/package.json", '{ "name": "godwit", "type": "module", "exports": "./index.js" }');
    await write("node_modules/godwit/index.js", "throw new Error('the other copy was loaded');");
    await write("a.mjs", actor("a"));
    await write("b.ts", actor("b"));
    expect(await load("a.mjs", "b.ts")).toEqual({
      loaded: [
        { name: "a", own: true },
        { name: "b", own: true },
      ],
    });
  });

  test("a class that several modules export, or several paths lead to, counts once", async () => {
    await write("actors/a.mjs", actor("a"));
    await write("actors/index.mjs", 'export { A, A as Again } from "./a.mjs";');
    expect(await load("actors", "actors/a.mjs")).toEqual({ loaded: [{ name: "a", own: true }] });
  });

  test("a list named actors is all that its module gives, functions that make actors included", async () => {
    await write(
      "a.mjs",
      `${actor("a")}
export class Other extends A { static config = { name: "other" }; }
export const actors = [A, function makeOther() { return new Other(); }];`,
    );
    expect(await load("a.mjs")).toEqual({
      loaded: [
        { name: "a", own: true },
        { name: "makeOther", own: false },
      ],
    });
  });

  test("TypeScript of a CommonJS package is loaded too", async () => {
    await write("package.json", "{}");
    await mkdir(join(folder, "node_modules"));
    await symlink(checkout, join(folder, "node_modules/godwit"));
    await write("a.ts", actor("a"));
    expect((await load("a.ts")).loaded).toMatchObject([{ name: "a" }]);
  });
});

describe("what is refused, in one sentence", () => {
  test.each([
    [
      "a path that does not exist",
      "nowhere",
      "There is no file or folder 'nowhere' to load actors from; correct the path.",
    ],
    ["an empty folder", "empty", "There is no module in the folder 'empty'; name another one."],
    [
      "a module without an actor",
      "none.mjs",
      "There is no actor in 'none.mjs'; export a class that extends Actor and has a static config, or a list named 'actors'.",
    ],
    [
      "a class without a config",
      "bare.mjs",
      "There is no actor in 'bare.mjs': its class Bare extends Actor and has no static config; write: static override readonly config = config({ name: \"…\" }).",
    ],
    [
      "a list that is none",
      "list.mjs",
      "The module 'list.mjs' exports 'actors', which must be a list of actor classes and of functions that make actors.",
    ],
  ])("%s", async (_what, path, sentence) => {
    await mkdir(join(folder, "empty"));
    await write("none.mjs", "export const nothing = 1;");
    await write("bare.mjs", 'import { Actor } from "godwit"; export class Bare extends Actor { receive() {} }');
    await write("list.mjs", "export const actors = 3;");
    expect(await load(path)).toMatchObject({ code: "NO_ACTOR", message: sentence });
  });

  test("a module that throws when it is imported, with the place and the cause", async () => {
    await write("throws.mjs", "const broken = 1;\nthrow new TypeError('boom');");
    expect(await load("throws.mjs")).toEqual({
      code: "NO_ACTOR",
      message:
        "The module 'throws.mjs' could not be loaded (TypeError: boom at throws.mjs:2); mend it, or leave it out.",
      cause: "boom",
    });
  });

  test("a module in a folder that imports what is not there, and one that does not parse", async () => {
    await write("actors/missing.mjs", 'import "nowhere-to-be-found";');
    expect((await load("actors")).message).toMatch(
      /^The module 'actors\/missing.mjs' could not be loaded \(Error: Cannot find package 'nowhere-to-be-found'.*leave it out\.$/,
    );
    await write("syntax.ts", "export const = 1;");
    expect((await load("syntax.ts")).message).toMatch(
      /^The module 'syntax.ts' could not be loaded \(.*:1:13.*\); mend it/,
    );
  });
});
