/**
 * Puller: asks one durable for messages, knows how many it has asked for and not got, and never falls silent.
 * 1. `outstanding` is what open pulls may still bring. It falls by one with each message and by the rest of a pull that ends.
 * 2. Every pull ends: by its messages, by a status of the server, by missing heartbeats, or with the connection.
 * 3. After each end `onReady` is called, at once or, when the server refused, after a short wait that grows to `maxWaitMs`.
 */
import type { Msg, Subscription } from "@nats-io/transport-node";
import type { Connection } from "./connection.ts";

const expiresMs = 30_000;
const heartbeatMs = 1_500;
const watchMs = heartbeatMs / 3;
/** Two and a half heartbeats, counted in turns of the watch: a clock would take a pause of the event loop for silence. */
const maxSilentTurns = 8;
const minWaitMs = 25;
const maxWaitMs = 500;

export interface PullerOptions {
  connection: Connection;
  stream: string;
  durable: string;
  /** Takes a message; gives how many the durable had left then. */
  onMessage: (message: Msg) => number;
  /** A pull may be made now. */
  onReady: () => void;
  /** The server keeps refusing, for example because the durable is gone. Called once for each row of refusals. */
  onRefused: (reason: string) => void;
}

const refusalsToReport = 8;

export class Puller {
  readonly #options: PullerOptions;
  #inbox = "";
  readonly #cleanUps: (() => void)[] = [];
  readonly #requestSubject: string;
  #subscription: Subscription;
  #outstanding = 0;
  #pulls = 0;
  #refusals = 0;
  #silentTurns = 0;
  #watch: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #stopped = false;
  /** True while pulls bring messages. */
  hot = false;
  /** How many messages the durable had left when it last gave one. */
  known = 0;
  /** How many messages have come, ever. */
  arrived = 0;

  constructor(options: PullerOptions) {
    this.#options = options;
    const { connection, stream, durable } = options;
    this.#requestSubject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`;
    this.#subscription = this.#listen();
    this.#cleanUps.push(
      () => this.#subscription.unsubscribe(),
      // What was asked of the old connection is void: at a new address, or the server would take it up again.
      connection.onDown(() => {
        this.#reset();
        this.#subscription.unsubscribe();
        this.#subscription = this.#listen();
      }),
      connection.onUp(() => this.#ready()),
    );
    this.#watch = setInterval(() => this.#checkHeartbeats(), watchMs).unref();
  }

  #listen(): Subscription {
    this.#inbox = this.#options.connection.newInbox();
    return this.#options.connection.subscribe(`${this.#inbox}.*`, (message) => this.#receive(message));
  }

  get outstanding(): number {
    return this.#outstanding;
  }

  /** False while the connection is down, after stop(), and during the wait after a refusal. */
  get ready(): boolean {
    return !this.#stopped && this.#retry === undefined && this.#options.connection.up;
  }

  /** Asks for `batch` messages more. The caller has room for them. */
  pull(batch: number): void {
    if (!this.ready || batch < 1) return;
    this.#pulls += 1;
    if (this.#outstanding === 0) this.#silentTurns = 0;
    this.#outstanding += batch;
    this.#options.connection.nc.publish(
      this.#requestSubject,
      `{"batch":${batch},"expires":${expiresMs}000000,"idle_heartbeat":${heartbeatMs}000000}`,
      { reply: `${this.#inbox}.${this.#pulls.toString(36)}` },
    );
  }

  /**
   * Begins anew with another inbox, for whoever sees that nothing comes although messages wait. What was asked is void; what the server had
   * sent by then still goes to `onMessage`. While the connection is down there is nothing to do: its return does the same.
   */
  rebuild(): void {
    if (this.#stopped || !this.#options.connection.up) return;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#reset();
    // One that the client has closed is what this is for, and cannot be drained.
    void this.#subscription.drain().catch(() => undefined);
    this.#subscription = this.#listen();
    clearInterval(this.#watch);
    this.#watch = setInterval(() => this.#checkHeartbeats(), watchMs).unref();
    this.#ready();
  }

  /** Asks for nothing more. What open pulls still bring goes to `onMessage` until close(). */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    clearInterval(this.#watch);
  }

  /** Stops, and resolves once everything that the server had sent has gone to `onMessage`. */
  async drain(): Promise<void> {
    this.stop();
    this.#outstanding = 0;
    if (this.#options.connection.up) await this.#subscription.drain().catch(() => undefined);
  }

  close(): void {
    this.stop();
    for (const cleanUp of this.#cleanUps) cleanUp();
    this.#outstanding = 0;
  }

  #receive(message: Msg): void {
    this.#silentTurns = 0;
    // What is to be settled says where; a status does not.
    if (message.reply) {
      this.#outstanding = Math.max(0, this.#outstanding - 1);
      this.#refusals = 0;
      this.arrived += 1;
      this.known = this.#options.onMessage(message);
      this.hot = this.known > 0;
      if (this.#outstanding === 0) this.#ready();
      return;
    }
    const code = message.headers?.code ?? 0;
    if (code === 100 || code === 404 || code === 408) this.#refusals = 0;
    if (code === 100) return;
    const rest = Number(message.headers?.get("Nats-Pending-Messages") || Number.NaN);
    const description = message.headers?.description ?? "";
    // 404 and 408 are ordinary ends of a pull; so is 409 when a size limit ended it early.
    if (code === 404 || code === 408 || (code === 409 && /batch completed|max ?bytes/i.test(description))) {
      if (this.#outstanding === rest || Number.isNaN(rest)) this.#reset();
      else this.#outstanding = Math.max(0, this.#outstanding - rest);
      this.#ready();
      return;
    }
    this.#refuse(`${code} ${description || "no responders"}`);
  }

  /** Open pulls are void: leader change, no such consumer, too many pulls, shutdown. */
  #refuse(reason: string): void {
    this.#reset();
    if (this.#stopped || this.#retry !== undefined) return;
    this.#refusals += 1;
    if (this.#refusals === refusalsToReport) this.#options.onRefused(reason);
    const waitMs = Math.min(maxWaitMs, minWaitMs * 2 ** (this.#refusals - 1));
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#ready();
    }, waitMs).unref();
  }

  #checkHeartbeats(): void {
    this.#silentTurns += 1;
    if (this.#outstanding > 0 && this.#silentTurns >= maxSilentTurns) this.#refuse("no heartbeat");
  }

  #reset(): void {
    this.#outstanding = 0;
    this.hot = false;
  }

  #ready(): void {
    if (this.ready) this.#options.onReady();
  }
}
