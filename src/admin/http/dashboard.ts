/** The dashboard: the admin API and its page on a port of this host, for as long as somebody wants it. */
import { isIP } from "node:net";
import { ConfigError } from "../../kernel/errors.ts";
import { packageVersion } from "../../kernel/version.ts";
import { startHttpServer } from "../../observe/http-server.ts";
import type { ActorSystem } from "../../system/actor-system.ts";
import { Inspector } from "../inspector.ts";
import { Live } from "../live/live.ts";
import { createAdminApp } from "./app.ts";

export interface DashboardOptions {
  /** 0 for any free one. */
  port: number;
  /** Default `127.0.0.1`. Any but this host's loopback addresses needs a token. */
  host?: string;
  token?: string | undefined;
  /** Shows bodies and headers of messages, and stored results. Default false. */
  bodies?: boolean;
  /** Lets nobody change anything. Default false. */
  readOnly?: boolean;
  /** Where its page is. Default: where the build puts it. */
  files?: string;
}

export interface Dashboard {
  /** `http://127.0.0.1:4280`. */
  readonly url: string;
  /** Ends event streams and frees the port. The system stays open. */
  stop(): Promise<void>;
}

/** Resolves once it listens. @throws ConfigError without the token that it needs, ListenError. */
export async function startDashboard(system: ActorSystem, options: DashboardOptions): Promise<Dashboard> {
  const { port, host = "127.0.0.1", token, bodies = false, readOnly = false, files } = options;
  const local = isLoopback(host);
  if (!local && (token === undefined || token === "")) {
    throw new ConfigError(
      `The dashboard on ${host} could be reached from other hosts, so it needs a token; give --token or GODWIT_DASHBOARD_TOKEN, or leave out --host.`,
    );
  }
  const live = new Live(system);
  const { namespace, servers } = system;
  const app = createAdminApp({
    inspector: new Inspector(system),
    live,
    token: token === "" ? undefined : token,
    local,
    host,
    session: { namespace, servers, version: packageVersion(), bodies, readOnly },
    ...(files !== undefined && { files }),
  });
  const server = await startHttpServer(app, { port, host, what: "dashboard" });
  return {
    url: server.url,
    stop: async () => {
      await Promise.all([live.close(), server.stop()]);
    },
  };
}

function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}
