/** The dashboard's own files, as the build made them. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";
import { NotFoundError } from "../../kernel/errors.ts";

export function fileRoutes(root = findFiles()): Hono {
  const app = new Hono();
  if (root === undefined) {
    app.get("/", () => {
      throw new NotFoundError("The dashboard's files are not built; run 'npm run build', or use the API below /api/.");
    });
    return app;
  }
  app.use(
    "*",
    serveStatic({
      root,
      onFound: (path, c) => {
        // Their names change with what they hold.
        c.header("Cache-Control", /[\\/]assets[\\/]/.test(path) ? "public, max-age=31536000, immutable" : "no-cache");
      },
    }),
  );
  return app;
}

/** From dist/src/, and from src/. */
function findFiles(): string | undefined {
  const places = ["../../../dashboard/", "../../../dist/dashboard/"];
  return places
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((path) => existsSync(`${path}index.html`));
}
