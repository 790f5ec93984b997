/**
 * Access: who may ask the admin API for what.
 * 1. On this host's loopback address everyone on this host may; elsewhere only who has the token.
 * 2. A page of another site can neither change anything nor, by a name that it lets point here, read anything.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { Hono, type Context, type MiddlewareHandler } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { csrf } from "hono/csrf";
import { AccessError } from "../../kernel/errors.ts";
import type { Guesses } from "./guesses.ts";
import { loginPage } from "./login-page.ts";

export interface AccessOptions {
  /** Absent: none is asked for. */
  token: string | undefined;
  /** It listens on the loopback address only. */
  local: boolean;
  /** What it listens on: a name that it may be asked under. */
  host?: string;
  readOnly: boolean;
  guesses: Guesses;
}

const cookie = "godwit_session";
const localNames = new Set(["localhost", "127.0.0.1", "[::1]"]);
const reading = new Set(["GET", "HEAD"]);

/** Refuses requests under a name that is not this host's: what a page of another site sends whose name it lets point here. */
export function checkHost({ local, host }: AccessOptions): MiddlewareHandler {
  return async (c, next) => {
    const name = hostName(c);
    if (local && (name === undefined || (!localNames.has(name) && name !== host))) {
      throw new AccessError(
        "WRONG_HOST",
        `This is served to 127.0.0.1 and localhost, and the request was for another name; use one of these.`,
      );
    }
    await next();
  };
}

/** Refuses writes that a page of another site sends. */
export function checkOrigin(): MiddlewareHandler {
  const forms = csrf();
  return async (c, next) => {
    if (!reading.has(c.req.method)) {
      const site = c.req.header("sec-fetch-site");
      const origin = c.req.header("origin");
      const foreign = site !== undefined && site !== "same-origin" && site !== "none";
      if (foreign || (origin !== undefined && originHost(origin) !== c.req.header("host"))) {
        throw new AccessError(
          "CROSS_SITE",
          "A page of another site may change nothing here; use the dashboard's own address.",
        );
      }
    }
    return forms(c, next);
  };
}

/** Refuses writes where nothing may be changed. */
export function checkReadOnly({ readOnly }: AccessOptions): MiddlewareHandler {
  return async (c, next) => {
    if (readOnly && !reading.has(c.req.method)) {
      throw new AccessError(
        "READ_ONLY",
        "Nothing can be changed here; start the dashboard without --read-only for that.",
      );
    }
    await next();
  };
}

/** Refuses those without the token, if there is one. */
export function checkToken({ token, guesses }: AccessOptions): MiddlewareHandler {
  return async (c, next) => {
    if (token === undefined || (await isKnown(c, token, guesses))) return next();
    // A person's browser, which asks for a page.
    if (c.req.method === "GET" && c.req.header("accept")?.includes("text/html")) return c.html(loginPage(), 401);
    c.header("WWW-Authenticate", "Bearer");
    throw new AccessError(
      "NO_TOKEN",
      "The token is missing or wrong; send 'Authorization: Bearer TOKEN', or open /login in a browser.",
    );
  };
}

/** `/login`: takes the token, and leaves a cookie in its place. */
export function loginRoutes({ token, guesses }: AccessOptions): Hono {
  const app = new Hono();
  const login = async (c: Context, given: string | undefined): Promise<Response> => {
    if (token === undefined) return c.redirect("/", 303);
    if (given === undefined) return c.html(loginPage(), 200);
    if (!(await guesses.check(c, () => equal(given, token)))) return c.html(loginPage("That is not the token."), 401);
    setCookie(c, cookie, sessionOf(token), { httpOnly: true, sameSite: "Strict", path: "/" });
    return c.redirect("/", 303);
  };
  app.get("/login", (c) => login(c, c.req.query("token")));
  app.post("/login", async (c) => {
    const { token: given } = await c.req.parseBody();
    return login(c, typeof given === "string" ? given : "");
  });
  return app;
}

async function isKnown(c: Context, token: string, guesses: Guesses): Promise<boolean> {
  const [, bearer] = /^Bearer (.+)$/i.exec(c.req.header("authorization") ?? "") ?? [];
  if (bearer !== undefined) return guesses.check(c, () => equal(bearer, token));
  const session = getCookie(c, cookie);
  return session !== undefined && guesses.check(c, () => equal(session, sessionOf(token)));
}

/** Not the token itself: cookies go to whatever else listens on other ports of this host. */
function sessionOf(token: string): string {
  return createHash("sha256").update(`godwit dashboard ${token}`).digest("base64url");
}

/** In constant time, whatever the lengths. */
function equal(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

/** Without the port. */
function hostName(c: Context): string | undefined {
  return /^(\[[^\]]*\]|[^:]*)(?::\d+)?$/.exec(c.req.header("host")?.toLowerCase() ?? "")?.[1];
}

function originHost(origin: string): string | undefined {
  try {
    return new URL(origin).host;
  } catch {
    return undefined;
  }
}
