/**
 * Credentials: what the client proves with who it is, at each connect and reconnect.
 * 1. A file of credentials is read anew each time, so that one which was replaced holds from the next reconnect on. While it cannot be
 *    read, or holds none, what it held last is used.
 * 2. Secrets live in functions only: no dump of options or of the connection shows one.
 */
import { readFileSync } from "node:fs";
import {
  jwtAuthenticator,
  nkeyAuthenticator,
  nkeys,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
  type Authenticator,
} from "@nats-io/nats-core";
import { ConfigError, toError } from "../kernel/errors.ts";
import type { Credentials } from "./addresses.ts";

/** The seed of a user's key: bare in a file, or between the lines that frame it in a .creds file. */
const seedLine = /^\s*(SU[A-Z2-7]{56})\s*$/m;
const jwtBlock = /-+BEGIN NATS USER JWT-+\s*([\w=-]+\.[\w=-]+\.[\w=-]+)\s*-+END/;

/**
 * @returns undefined where there are no credentials.
 * @throws ConfigError for a file that cannot be read or holds none. Nothing of what it holds is told.
 */
export function authenticatorOf({ user, pass, token, nkey, creds }: Credentials): Authenticator | undefined {
  if (nkey !== undefined) {
    const seed = kept(() => seedIn(nkey, "nkey", readText(nkey, "nkey")));
    return nkeyAuthenticator(seed);
  }
  if (creds !== undefined) {
    const read = kept(() => {
      const text = readText(creds, "creds");
      const [, jwt] = jwtBlock.exec(text) ?? [];
      if (jwt === undefined) {
        throw new ConfigError(
          `The file '${creds}' of creds holds no JWT of a user; name a file such as nsc and nats auth write, with a JWT and a seed.`,
        );
      }
      return { jwt, seed: seedIn(creds, "creds", text) };
    });
    return jwtAuthenticator(
      () => read().jwt,
      () => read().seed,
    );
  }
  if (token !== undefined) return tokenAuthenticator(token);
  if (user !== undefined) return usernamePasswordAuthenticator(user, pass);
  return undefined;
}

/** What the function gives, or gave last where it throws. @throws what it throws the first time. */
function kept<T>(read: () => T): () => T {
  let last = read();
  return () => {
    try {
      last = read();
    } catch {
      // The client would close itself for good if this threw; the server says whether what it held last is still good.
    }
    return last;
  };
}

function readText(path: string, option: "nkey" | "creds"): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new ConfigError(
      `The file '${path}' of ${option} cannot be read (${toError(cause).message}); correct the path, or let this user read it.`,
      { cause },
    );
  }
}

function seedIn(path: string, option: "nkey" | "creds", text: string): Uint8Array {
  const [, seed] = seedLine.exec(text) ?? [];
  if (seed !== undefined) {
    try {
      // Of a copy: clear() wipes what it was made from.
      nkeys.fromSeed(Buffer.from(seed)).clear();
      return Buffer.from(seed);
    } catch {
      // As one that is not there; what the library says may hold some of it.
    }
  }
  throw new ConfigError(
    `The file '${path}' of ${option} holds no seed of a user's NKey, which begins with SU and has 58 characters; make one with nsc or nk -gen user.`,
  );
}
