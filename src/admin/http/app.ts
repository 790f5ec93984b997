/** The admin HTTP API: the inspector and the live frames, as JSON. docs/operating.md lists its routes, `api.ts` what they say. */
import { Hono } from "hono";
import { NotFoundError } from "../../kernel/errors.ts";
import type { Session } from "../api.ts";
import type { Explanation } from "../api.ts";
import type { Inspector } from "../inspector.ts";
import type { Live } from "../live/live.ts";
import { checkHost, checkOrigin, checkReadOnly, checkToken, loginRoutes, type AccessOptions } from "./access.ts";
import { guardHeaders, onError, onNotFound } from "./answers.ts";
import { limitBody } from "./body.ts";
import { fileRoutes } from "./files.ts";
import { Guesses } from "./guesses.ts";
import { readBulk, readExplain, readFor, readGroups, readHold, readPage, readRelease, readSequence } from "./input.ts";
import { streamFrames } from "./stream.ts";

export interface AdminOptions extends Omit<AccessOptions, "readOnly" | "guesses"> {
  inspector: Inspector;
  live: Live;
  session: Session;
  /** Where the dashboard's files are. Default: where the build puts them. */
  files?: string;
}

const maxBodyBytes = 1_048_576;

export function createAdminApp(options: AdminOptions): Hono {
  const { inspector, live, session, files } = options;
  const access = { ...options, readOnly: session.readOnly, guesses: new Guesses() };
  const app = new Hono();
  app.onError(onError);
  app.notFound(onNotFound);
  app.use(...guardHeaders(), checkHost(access), checkOrigin(), limitBody(maxBodyBytes));
  app.route("/", loginRoutes(access));
  app.use(checkToken(access));
  app.use("/api/*", checkReadOnly(access));

  app.get("/api/session", (c) => c.json(session));
  app.get("/api/frame", async (c) => c.json(await live.frame()));
  app.get("/api/history", (c) => c.json(live.history()));
  app.get("/api/stream", (c) => streamFrames(c, live));
  app.get("/api/actors/:actor", async (c) => {
    const name = c.req.param("actor");
    const actor = (await live.frame()).actors.find((one) => one.actor === name);
    if (actor === undefined)
      throw new NotFoundError(`No actor ${name} is known; 'godwit status' lists those there are.`);
    return c.json(actor);
  });

  app.get("/api/dead", async (c) => {
    const { query, ...page } = readPage(c);
    return c.json(await inspector.deadPage(query, page));
  });
  app.get("/api/dead/groups", async (c) => c.json(await inspector.deadGroups(readGroups(c))));
  app.get("/api/dead/:sequence", async (c) =>
    c.json(await inspector.deadLetter(readSequence(c), { bodies: session.bodies })),
  );
  app.post("/api/dead/requeue", async (c) => c.json(await inspector.requeueDead(await readBulk(c))));
  app.post("/api/dead/delete", async (c) => c.json(await inspector.deleteDead(await readBulk(c))));

  app.post("/api/actors/:actor/pause", async (c) =>
    c.json(await inspector.pause(c.req.param("actor"), await readFor(c))),
  );
  app.post("/api/actors/:actor/resume", async (c) => c.json(await inspector.resume(c.req.param("actor"))));
  app.post("/api/breakers/:name/open", async (c) =>
    c.json(await inspector.openBreaker(c.req.param("name"), await readFor(c))),
  );
  app.post("/api/breakers/:name/close", async (c) => c.json(await inspector.closeBreaker(c.req.param("name"))));
  app.post("/api/limits/:name/hold", async (c) => {
    const { for: duration, ...rest } = await readHold(c);
    return c.json(await inspector.holdLimit(c.req.param("name"), duration, rest));
  });
  app.post("/api/limits/:name/release", async (c) =>
    c.json(await inspector.releaseLimit(c.req.param("name"), await readRelease(c))),
  );

  app.get("/api/explain", async (c) => {
    const { id, ...rest } = readExplain(c);
    const explanation = await inspector.explain(id, rest);
    return c.json(session.bodies ? explanation : withoutValues(explanation));
  });

  app.get("/api/doctor", async (c) => c.json(await inspector.doctor()));

  app.route("/", fileRoutes(files));
  return app;
}

/** A stored result is what a handler returned, which is as secret as what it was sent. */
function withoutValues(explanation: Explanation): Explanation {
  const found = explanation.found.map((one) => (one.state === "completed" ? { ...one, value: undefined } : one));
  return { ...explanation, found };
}
