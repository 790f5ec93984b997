/** Asks a server who it is: the INFO line that every nats-server sends to a fresh connection. */
import { connect } from "node:net";

/** The part of INFO that says which server it is and whether JetStream is up. */
export interface ServerInfo {
  readonly serverName: string;
  readonly jetstream: boolean;
}

const lineLimit = 64 * 1024;

/** The INFO of the server at `url`, or undefined when nothing there speaks NATS within `timeoutMs`. Never rejects. */
export function readInfo(url: string, timeoutMs: number): Promise<ServerInfo | undefined> {
  return new Promise((resolve) => {
    const address = addressOf(url);
    if (!address) return resolve(undefined);
    let text = "";
    const socket = connect(address);
    const end = (info: ServerInfo | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(info);
    };
    const timer = setTimeout(() => end(undefined), timeoutMs);
    socket.on("error", () => end(undefined));
    socket.on("close", () => end(undefined));
    socket.on("data", (chunk) => {
      text += chunk.toString();
      const lineEnd = text.indexOf("\r\n");
      if (lineEnd >= 0) end(parse(text.slice(0, lineEnd)));
      else if (text.length > lineLimit) end(undefined);
    });
  });
}

function addressOf(url: string): { host: string; port: number } | undefined {
  if (!URL.canParse(url)) return undefined;
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}

function parse(line: string): ServerInfo | undefined {
  if (!line.startsWith("INFO ")) return undefined;
  try {
    const { server_name, jetstream } = JSON.parse(line.slice(5)) as Record<string, unknown>;
    if (typeof server_name !== "string") return undefined;
    return { serverName: server_name, jetstream: jetstream === true };
  } catch {
    return undefined;
  }
}
