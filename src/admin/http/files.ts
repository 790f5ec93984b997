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
  app.use(async (c, next) => {
    await next();
    if (!c.res.ok) return;
    // Their names change with what they hold.
    const hashed = c.req.path.startsWith("/assets/");
    c.header("Cache-Control", hashed ? "public, max-age=31536000, immutable" : "no-cache");
  });
  app.use(serveStatic({ root }));
  return app;
}

/** From dist/src/, and from src/. */
function findFiles(): string | undefined {
  const places = ["../../../dashboard/", "../../../dist/dashboard/"];
  return places
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((path) => existsSync(`${path}index.html`));
}
