/** The declarations that users see: what Godwit's own tools use is not in them. They are read as the build made them. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";

test.each([
  ["system/actor-system", /\bparts: /],
  ["worker/worker", /\b(identity|snapshot|perActor|looks)\(/],
  ["lifecycle/redrive", /\b(read|requeueStored|purgeStored)\(/],
])("%s", async (file, internal) => {
  const text = await readFile(new URL(`../../dist/src/${file}.d.ts`, import.meta.url), "utf8");
  expect(text).toContain("export declare class");
  expect(text).not.toMatch(internal);
});
