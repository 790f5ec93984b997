/** A module that is actor and program in one: the threads that import it start the program no second time, and say why. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { actorOf } from "../support/actors.ts";
import { useStage } from "../support/stage.ts";
import type { ActorSource } from "../../src/actor/actor-class.ts";

const stage = useStage();
const godwit = JSON.stringify(new URL("../../src/index.ts", import.meta.url).href);
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "godwit-program-"));
  await writeFile(
    join(folder, "helper.mjs"),
    `import { ActorSystem } from ${godwit};
     export async function start(options) {
       await new Promise((resolve) => setTimeout(resolve, 30));
       return ActorSystem.connect({ ...options, log: "silent" });
     }`,
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The actor as its worker has it; its module runs the program wherever it is imported. */
async function actorWith(program: string, name: string): Promise<ActorSource> {
  const path = join(folder, `${name}.mjs`);
  await writeFile(
    path,
    `import { Actor } from ${godwit};
     import { start } from "./helper.mjs";
     const servers = ${JSON.stringify(stage.url)};
     export class Own extends Actor {
       static config = { name: "${name}", isolate: "thread", module: import.meta.url, concurrency: 2 };
       async receive() {
         const system = await start({ servers, namespace: ${JSON.stringify(stage.namespace)} });
         await system.close();
         return "connected";
       }
     }
     ${program}`,
  );
  return actorOf({ name, isolate: "thread", module: pathToFileURL(path).href, concurrency: 2 }, () => undefined);
}

test.each([
  ["awaited at the top level", "(await start({ servers })).work([Own]);"],
  ["with a server of its own", "await start({ embedded: true });"],
  ["started by a helper, with nobody waiting", "void start({ servers });"],
  ["whose failure is only logged", "start({ servers }).catch(() => undefined);"],
  ["that ends its process over a failure", "start({ servers }).catch(() => process.exit(1));"],
])("a program %s is not started again by a thread, and the worker says which module", async (kind, program) => {
  const name = `own-${kind.replaceAll(/\W+/g, "-")}`;
  const system = await stage.connect();
  const source = await actorWith(program, name);
  // One that nobody waits for may come to its connection when the thread is ready.
  const problems: Error[] = [];
  const refusal = await system.work([source]).then(
    async (worker) => {
      worker.on("problem", ({ error }) => problems.push(error));
      await expect.poll(() => problems.length, { timeout: 30_000 }).toBeGreaterThan(0);
      return problems[0];
    },
    (error: unknown) => error,
  );
  expect(refusal).toMatchObject({
    code: "INVALID_CONFIG",
    message: expect.stringMatching(
      new RegExp(
        `${name}\\.mjs of the isolated actor ${name} calls ActorSystem.connect\\(\\) .* put the class in a file of its own`,
      ),
    ),
  });
});

test("a handler in a thread may connect a system of its own", async () => {
  const system = await stage.connect();
  await system.work([await actorWith("", "own-handler")]);
  expect(await system.ask("own-handler", "connect", { timeout: "20s" })).toBe("connected");
});
