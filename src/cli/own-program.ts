/** This program's own file, to start another of it. */
import { fileURLToPath } from "node:url";

export const ownProgram = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./main.ts" : "./main.js", import.meta.url),
);
