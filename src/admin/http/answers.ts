/** Answers: every refusal as one JSON shape with its code, and the headers that keep a browser from doing more than it should. */
import type { Context, ErrorHandler, MiddlewareHandler, NotFoundHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import { secureHeaders } from "hono/secure-headers";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { GodwitError, toError } from "../../kernel/errors.ts";
import type { ApiError } from "../api.ts";

const statuses: Record<string, ContentfulStatusCode> = {
  NOT_FOUND: 404,
  UNDECODABLE: 422,
  IN_USE: 409,
  INVALID_CONFIG: 400,
  INVALID_NAME: 400,
  NO_TOKEN: 401,
  TOO_MANY_GUESSES: 429,
  READ_ONLY: 403,
  CROSS_SITE: 403,
  WRONG_HOST: 403,
  CLOSED: 503,
  NO_SERVER: 503,
};

export const onError: ErrorHandler = (thrown, c) => {
  const error = toError(thrown);
  if (error instanceof HTTPException) return refuse(c, error.status, codeOf(error.status), saidOf(error));
  if (error instanceof GodwitError) return refuse(c, statuses[error.code] ?? 500, error.code, error.message);
  return refuse(c, 500, "UNEXPECTED", error.message);
};

export const onNotFound: NotFoundHandler = (c) =>
  refuse(
    c,
    404,
    "NOT_FOUND",
    `There is nothing at ${c.req.method} ${c.req.path}; docs/operating.md lists what there is.`,
  );

function refuse(c: Context, status: ContentfulStatusCode, code: string, message: string): Response {
  const body: ApiError = { error: { code, message } };
  return c.json(body, status);
}

/** What hono itself refuses. */
function codeOf(status: number): string {
  if (status === 403) return "CROSS_SITE";
  return status === 413 ? "TOO_LARGE" : "BAD_REQUEST";
}

function saidOf({ status, message }: HTTPException): string {
  if (status === 403)
    return "A write needs 'Content-Type: application/json', so that no other site's form can send one.";
  return message === "" ? "The request cannot be understood." : message;
}

/** No script but our own files, no frame around us, nothing from elsewhere; and what is asked is never kept. */
export function guardHeaders(): MiddlewareHandler[] {
  const own = ["'self'"];
  return [
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        scriptSrc: own,
        styleSrc: own,
        imgSrc: ["'self'", "data:"],
        fontSrc: own,
        connectSrc: own,
        manifestSrc: own,
        baseUri: ["'none'"],
        formAction: own,
        frameAncestors: ["'none'"],
      },
      xFrameOptions: "DENY",
      // Of whoever ends TLS in front of it.
      strictTransportSecurity: false,
    }),
    async (c, next) => {
      await next();
      if (!c.res.headers.has("Cache-Control")) c.header("Cache-Control", "no-store");
    },
  ];
}
