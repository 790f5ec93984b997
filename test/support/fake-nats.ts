/** Something that speaks just enough of the NATS protocol to be connected to, and is not what Godwit needs. */
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";

export interface FakeNats {
  readonly url: string;
  close(): Promise<void>;
}

/** @param options.refuse a protocol error to turn every client away with. JetStream requests find no responder. */
export async function fakeNats(options: { version: string; refuse?: string }): Promise<FakeNats> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    const info = { server_id: "F", version: options.version, proto: 1, headers: true, max_payload: 1_048_576 };
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    let inboxId = "1";
    let buffered = "";
    socket.on("data", (chunk: Buffer) => {
      buffered += chunk.toString("latin1");
      const lines = buffered.split("\r\n");
      buffered = lines.pop() ?? "";
      for (const line of lines) {
        const [verb, subject, ...rest] = line.split(" ");
        if (verb === "CONNECT" && options.refuse !== undefined) socket.end(`-ERR '${options.refuse}'\r\n`);
        if (verb === "PING") socket.write("PONG\r\n");
        if (verb === "SUB") inboxId = rest.at(-1) ?? inboxId;
        if ((verb === "PUB" || verb === "HPUB") && subject?.startsWith("$JS.API")) {
          socket.write(`HMSG ${rest[0]} ${inboxId} 16 16\r\nNATS/1.0 503\r\n\r\n\r\n`);
        }
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `nats://127.0.0.1:${port}`,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
