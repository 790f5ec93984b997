/** Refusal: what a server says against a connection before there is one. The client keeps it to itself, and tells of a time that ran out. */
import { connect } from "node:net";
import type { Authenticator } from "@nats-io/transport-node";

const timeoutMs = 1_000;

/**
 * Asks by a connection of its own, which is closed at once. Undefined where the server says nothing against it, or is not there.
 * @param server an address without credentials, such as `nats://127.0.0.1:4222` or `127.0.0.1`.
 */
export function refusalOf(server: string, login: Authenticator | undefined): Promise<string | undefined> {
  const { hostname, port } = new URL(server.includes("://") ? server : `nats://${server}`);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(port || 4222) });
    let said = "";
    let introduced = false;
    const end = (refusal?: string): void => {
      socket.destroy();
      resolve(refusal);
    };
    socket.setTimeout(timeoutMs, end);
    socket.on("error", () => end());
    socket.on("close", () => end());
    socket.on("data", (bytes: Buffer) => {
      said += bytes.toString();
      const refusal = /-ERR '(.*)'/.exec(said)?.[1];
      if (refusal !== undefined || said.includes("\r\nPONG")) return end(refusal);
      const info = /^INFO (.*)\r\n/.exec(said)?.[1];
      if (info === undefined || introduced) return;
      introduced = true;
      try {
        const { nonce, tls_required: secret } = JSON.parse(info) as { nonce?: string; tls_required?: boolean };
        if (secret !== true)
          socket.write(`CONNECT ${JSON.stringify({ verbose: false, ...login?.(nonce) })}\r\nPING\r\n`);
      } catch {
        // It is no NATS server.
        end();
      }
    });
  });
}
