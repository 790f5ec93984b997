/** Where hono apps are served: the port's errors, and an end that waits for nobody for long. */
import { Hono } from "hono";
import { afterEach, expect, test } from "vitest";
import { startHttpServer, type HttpServer } from "../../src/observe/http-server.ts";

const servers: HttpServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

async function start(app: Hono, port = 0, host?: string): Promise<HttpServer> {
  const server = await startHttpServer(app, { port, what: "metrics", ...(host !== undefined && { host }) });
  servers.push(server);
  return server;
}

test("a port in use, or an address of another host, is one sentence that says what to do", async () => {
  const { port } = await start(new Hono());
  await expect(start(new Hono(), port)).rejects.toMatchObject({
    code: "PORT_UNAVAILABLE",
    message: `The metrics cannot be served on 127.0.0.1:${port}, because something else listens there; end that, or choose another port (0 for any free one).`,
  });
  await expect(start(new Hono(), 0, "192.0.2.1")).rejects.toMatchObject({
    code: "PORT_UNAVAILABLE",
    message: expect.stringContaining("this host has no such address"),
  });
});

test("a stream that never ends does not keep it from stopping, an answer under way is finished, and the port is free", async () => {
  const app = new Hono();
  let finish: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    app.get("/slow", async (c) => {
      resolve();
      await new Promise<void>((done) => (finish = done));
      return c.text("done");
    });
  });
  app.get("/endless", () => new Response(new ReadableStream({ start: (to) => to.enqueue(Buffer.from("first")) })));
  const server = await start(app);
  const reader = (await fetch(`${server.url}/endless`)).body?.getReader();
  await reader?.read();
  const slow = fetch(`${server.url}/slow`);
  await begun;
  const stopping = server.stop();
  finish();
  expect(await (await slow).text()).toBe("done");
  await stopping;
  await expect(reader?.read()).rejects.toThrow("terminated");
  await start(new Hono(), server.port);
});

test("the process keeps its own Request and Response", async () => {
  const before = [globalThis.Request, globalThis.Response];
  await start(new Hono());
  expect([globalThis.Request, globalThis.Response]).toEqual(before);
});
