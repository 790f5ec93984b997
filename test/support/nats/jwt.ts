/** JWTs as NATS signs them: an operator's, with an account that has JetStream, and users of it as .creds files. */
import { randomUUID } from "node:crypto";
import { nkeys } from "@nats-io/nats-core";

type KeyPair = ReturnType<typeof nkeys.createUser>;

export interface Operator {
  /** What a server's config needs to go by these JWTs. */
  readonly config: {
    operator: string;
    resolver: "MEMORY";
    resolver_preload: Record<string, string>;
    system_account: string;
  };
  /** The content of a .creds file of a new user. */
  creds(): string;
}

export function makeOperator(): Operator {
  const [operator, account, system] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createAccount()];
  const claims = { version: 2, type: "account", limits: unlimited };
  const preload = {
    [account.getPublicKey()]: sign(operator, account, { ...claims, limits: { ...unlimited, ...jetStream } }),
    [system.getPublicKey()]: sign(operator, system, claims),
  };
  return {
    config: {
      operator: sign(operator, operator, { version: 2, type: "operator" }),
      resolver: "MEMORY",
      resolver_preload: preload,
      system_account: system.getPublicKey(),
    },
    creds() {
      const user = nkeys.createUser();
      const jwt = sign(account, user, { version: 2, type: "user", subs: -1, data: -1, payload: -1, pub: {}, sub: {} });
      const seed = Buffer.from(user.getSeed()).toString();
      return `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`;
    },
  };
}

const unlimited = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
const jetStream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

function sign(issuer: KeyPair, subject: KeyPair, nats: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { jti: randomUUID(), iat: Math.floor(Date.now() / 1_000), iss: issuer.getPublicKey(), name: "test" };
  const text = `${part({ typ: "JWT", alg: "ed25519-nkey" })}.${part({ ...claims, sub: subject.getPublicKey(), nats })}`;
  return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString("base64url")}`;
}
