/** The dashboard of `dev`: a help for whoever sits there, and so no reason to end. */
import type { Dashboard } from "../admin/http/dashboard.ts";
import { ListenError, toError } from "../kernel/errors.ts";
import type { ActorSystem } from "../system/actor-system.ts";
import { connect } from "./connect.ts";
import { dashboardPort } from "./dashboard.ts";
import { note } from "./io.ts";

export interface DevDashboardOptions {
  servers: string;
  namespace: string;
  /** Undefined: the usual one if it is free, else any. */
  port: number | undefined;
  bodies: boolean;
}

export class DevDashboard {
  #system: ActorSystem | undefined;
  #dashboard: Dashboard | undefined;
  #stopped = false;
  #started: Promise<void> | undefined;

  /** Says where it is, or why it is not. Never rejects. */
  start(options: DevDashboardOptions): Promise<void> {
    this.#started ??= this.#start(options).catch((thrown: unknown) => {
      if (!this.#stopped) note(`there is no dashboard: ${toError(thrown).message}`);
    });
    return this.#started;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#started;
    await this.#dashboard?.stop();
    await this.#system?.close();
  }

  async #start({ servers, namespace, port, bodies }: DevDashboardOptions): Promise<void> {
    this.#system = await connect({ servers, namespace }, { name: "godwit dev dashboard" });
    if (this.#stopped) return;
    this.#dashboard = await this.#listen(this.#system, port, bodies);
    if (!this.#stopped) note(`dashboard at ${this.#dashboard.url}`);
  }

  async #listen(system: ActorSystem, port: number | undefined, bodies: boolean): Promise<Dashboard> {
    const { startDashboard } = await import("../admin/http/dashboard.ts");
    try {
      return await startDashboard(system, { port: port ?? dashboardPort, bodies });
    } catch (thrown) {
      if (!(thrown instanceof ListenError)) throw thrown;
      if (port !== undefined) note(thrown.message);
      return startDashboard(system, { port: 0, bodies });
    }
  }
}
