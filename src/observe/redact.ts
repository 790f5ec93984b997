/**
 * Redaction: hides the values of fields whose names say that they are secret, so that they are never logged.
 * By names and not with a logger's paths: those of every such name at every depth would cost some 200 µs for each line, as measured.
 */

export const hidden = "[Redacted]";
/** Fields of fields of fields: an error's `config.headers.authorization` is one. */
const maxDepth = 4;

/** As they are compared: in lower case, without `-` and `_`. */
const secretNames = new Set([
  "accesskey",
  "accesstoken",
  "apikey",
  "authorization",
  "authtoken",
  "bearer",
  "clientsecret",
  "cookie",
  "credential",
  "credentials",
  "idtoken",
  "jwt",
  "pass",
  "passphrase",
  "passwd",
  "password",
  "privatekey",
  "proxyauthorization",
  "pwd",
  "refreshtoken",
  "secret",
  "secretaccesskey",
  "secretkey",
  "sessiontoken",
  "setcookie",
  "token",
  "xapikey",
  "xauthtoken",
]);
/** `dbPassword`, `SMTP_PASSWORD`. */
const secretEnd = /(?:password|passphrase|privatekey|clientsecret|secretkey)$/;

export function isSecret(name: string): boolean {
  const plain = name.replaceAll(/[-_]/g, "").toLowerCase();
  return secretNames.has(plain) || secretEnd.test(plain);
}

/** The same fields where none is secret, else a copy without what is. @param keep a field that is left as it is. */
export function redact<T extends object>(fields: T, keep?: string): T {
  return redactTo(fields, maxDepth, keep) as T;
}

function redactTo(value: object, depth: number, keep?: string): object {
  // What says itself how it looks as text, such as a date, has no fields to see.
  if ("toJSON" in value || ArrayBuffer.isView(value)) return value;
  let copy: Record<string, unknown> | unknown[] | undefined;
  for (const [name, field] of Object.entries(value) as [string, unknown][]) {
    if (name === keep) continue;
    const shown = isSecret(name) && field !== undefined ? hidden : within(field, depth);
    if (shown === field) continue;
    copy ??= Array.isArray(value) ? [...(value as unknown[])] : { ...value };
    (copy as Record<string, unknown>)[name] = shown;
  }
  return copy ?? value;
}

function within(field: unknown, depth: number): unknown {
  return typeof field === "object" && field !== null && depth > 1 ? redactTo(field, depth - 1) : field;
}
