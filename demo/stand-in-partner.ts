/** A stand-in for the partner that `partners.call` calls: a server on loopback that answers everything. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** @returns its address. It keeps no process alive and ends with it. */
export async function startPartner(): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end(`{"status":"shipped"}`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
