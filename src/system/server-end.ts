/** Server end: tells when an embedded server ends that nobody has stopped. */
import type { EmbeddedServer } from "../broker/embedded/server.ts";
import type { Logger } from "../kernel/logger.ts";

/** Resolves, with why, when it ends by itself. @param closing it is being stopped. */
export async function endOf(server: EmbeddedServer, log: Logger, closing: () => boolean): Promise<string> {
  const { code } = await server.exited;
  if (closing()) return new Promise(() => undefined);
  const why = `the embedded nats-server ended by itself with code ${code ?? "unknown"}; connect again to go on`;
  log.error({ storeDir: server.storeDir }, why);
  return why;
}
