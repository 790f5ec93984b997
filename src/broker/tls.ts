/** TLS: the files that a connection by TLS goes by. The client reads them anew at each reconnect. */
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { TlsOptions } from "@nats-io/nats-core";
import { causesOf, ConfigError, toError } from "../kernel/errors.ts";

/** Paths of PEM files. */
export interface TlsFiles {
  /** Who signed the servers' certificates. Default: those that Node.js trusts. */
  ca?: string | undefined;
  /** The client's certificate, where the servers ask for one, and its key. */
  cert?: string | undefined;
  key?: string | undefined;
  /** TLS before the server says a word, for servers with `handshake_first`. Default false. */
  handshakeFirst?: boolean | undefined;
}

/** @throws ConfigError for a file that cannot be read or is no such thing, and for a certificate with another's key. */
export function checkTls({ ca, cert, key, handshakeFirst }: TlsFiles): TlsOptions {
  if ((cert === undefined) !== (key === undefined)) {
    const [there, missing] = cert === undefined ? ["key", "cert"] : ["cert", "key"];
    throw new ConfigError(
      `TLS was given a ${there} and no ${missing}; a client's certificate and its key go together.`,
    );
  }
  const files = {
    ...(ca !== undefined && { ca: readPem(ca, "ca") }),
    ...(cert !== undefined && { cert: readPem(cert, "cert") }),
    ...(key !== undefined && { key: readPem(key, "key") }),
  };
  try {
    createSecureContext(files);
  } catch (cause) {
    const paths = [ca, cert, key].filter((path) => path !== undefined).map((path) => `'${path}'`);
    throw new ConfigError(
      `TLS cannot be done with ${paths.join(", ")} (${toError(cause).message}); name PEM files, the key without a passphrase and that of the certificate.`,
      { cause },
    );
  }
  return {
    ...(ca !== undefined && { caFile: ca }),
    ...(cert !== undefined && { certFile: cert }),
    ...(key !== undefined && { keyFile: key }),
    ...(handshakeFirst === true && { handshakeFirst }),
  };
}

function readPem(path: string, option: string): Buffer {
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (cause) {
    throw new ConfigError(
      `The file '${path}' of tls.${option} cannot be read (${toError(cause).message}); correct the path, or let this user read it.`,
      { cause },
    );
  }
  if (content.includes("-----BEGIN ")) return content;
  throw new ConfigError(`The file '${path}' of tls.${option} is no PEM file; name one that begins with -----BEGIN.`);
}

/** True for what goes wrong between finding a server and talking with it by TLS. */
export function isTlsTrouble(error: Error): boolean {
  return causesOf(error).some(
    ({ code, message }: NodeJS.ErrnoException) =>
      (typeof code === "string" && /^(ERR_SSL|ERR_TLS|EPROTO|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/.test(code)) ||
      /'tls'|certificate|\btls\b/i.test(message),
  );
}
