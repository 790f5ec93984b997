/**
 * Puller: asks one durable for messages, knows how many it has asked for and not got, and never falls silent.
 * 1. `outstanding` is what open pulls may still bring. It falls by one with each message and by the rest of a pull that ends.
 * 2. Every pull ends: by its messages, by a status of the server, by missing heartbeats, or with the connection.
 * 3. After each end `onReady` is called, at once or, when the server refused, after a short wait that grows to `maxWaitMs`.
 * 4. While nobody knows whether the durable has a leader that answers, pulls are trials: short, with quick heartbeats, and given up and
 *    repeated after `trialMs`. A durable without a leader, or whose leader stands still, swallows pulls without a word. Any word of it
 *    ends the doubt, also one that comes late.
 * 5. A new leader knows of no pull that was made before it was elected, and the old one may have dropped some without a word.
 * 6. A pull that was given up counts no more. Once the doubt is over nobody listens where its messages would go, so that a server that
 *    took it up much later, having stood still, delivers nothing.
 * 7. A pull brings no more than `maxBytes`, the less the more pullers share the connection, or a server with many large
 *    messages would have more under way than it waits for, and cut the connection. Each message fits; one that does not,
 *    stored when the server took larger ones, is asked for by itself and without a bound.
 */
import type { Msg, Subscription } from "@nats-io/transport-node";
import type { Connection } from "./connection.ts";
import { RefusalStreak } from "./refusal-streak.ts";

/** Where an account imports the durable, a cluster does not see that nobody listens any more, and a pull takes what comes until it ends. */
const expiresMs = 5_000;
const heartbeatMs = 1_500;
const watchMs = heartbeatMs / 3;
/** Two and a half heartbeats, counted in turns of the watch: a clock would take a pause of the event loop for silence. */
const maxSilentTurns = 8;
/** After so long without a pull nobody knows whether the durable still has the leader that it had: 2 s. */
const quietTurns = 4;
const trialMs = 300;
const trialExpiresMs = 1_000;
const trialHeartbeatMs = 200;
/** What a pull brings at most, and what a message may have beside its body and headers: its subjects. */
const pullBytes = 8 * 1_048_576;
/** What all pulls of a connection bring together: half of what a server lets wait for a client by default. */
const allBytes = 32 * 1_048_576;
const addressBytes = 8_192;
const minWaitMs = 25;
const maxWaitMs = 500;

const advisoryPrefix = "$JS.EVENT.ADVISORY.CONSUMER.";

/** Where the servers tell of a durable, `<stream>.<durable>`: that it has a new leader, or is gone. */
export function advisoriesOf(durable: string): string {
  return `${advisoryPrefix}*.${durable}`;
}

export interface PullerOptions {
  connection: Connection;
  stream: string;
  durable: string;
  /** Takes a message; gives how many the durable had left then. */
  onMessage: (message: Msg) => number;
  /** A pull may be made now. */
  onReady: () => void;
  /** The durable was deleted, perhaps with its stream: what it handed out is nobody's. */
  onGone: () => void;
  /** The server has refused, or not answered, for 5 s, for example because the durable is gone. Called once for each row of refusals. */
  onRefused: (error: Error) => void;
}

export class Puller {
  readonly #options: PullerOptions;
  #inbox = "";
  readonly #cleanUps: (() => void)[] = [];
  readonly #requestSubject: string;
  #subscription: Subscription;
  #outstanding = 0;
  #pulls = 0;
  readonly #refusals = new RefusalStreak();
  #silentTurns = 0;
  #doubtful = true;
  /** Trials that were given up since the doubt began. */
  #givenUp = 0;
  /** The newest pull that is void. */
  #void = 0;
  #trial: NodeJS.Timeout | undefined;
  /** Ends the listening where the trials' answers went. */
  #retire: () => void = () => undefined;
  #watch: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #stopped = false;
  /** The next message is larger than a pull may bring. */
  #oversized = false;
  /** True while pulls bring messages. */
  hot = false;
  /** How many messages the durable had left when it last gave one. */
  known = 0;
  /** How many messages have come, ever. */
  arrived = 0;

  constructor(options: PullerOptions) {
    this.#options = options;
    const { connection, stream, durable } = options;
    this.#requestSubject = `${connection.apiPrefix}.CONSUMER.MSG.NEXT.${stream}.${durable}`;
    connection.pullers += 1;
    this.#subscription = this.#listen();
    this.#cleanUps.push(
      () => (connection.pullers -= 1),
      () => this.#subscription.unsubscribe(),
      () => this.#retire(),
      // What was asked of the old connection is void: at a new address, or the server would take it up again.
      connection.onDown(() => {
        this.#doubt();
        this.#subscription.unsubscribe();
        this.#subscription = this.#listen();
      }),
      connection.onUp(() => this.#ready()),
    );
    const heard = connection.subscribe(advisoriesOf(`${stream}.${durable}`), ({ subject }) => {
      if (subject.startsWith(`${advisoryPrefix}LEADER_ELECTED.`)) this.#refuse("a new leader");
      else if (subject.startsWith(`${advisoryPrefix}DELETED.`)) this.#options.onGone();
    });
    this.#cleanUps.push(() => heard.unsubscribe());
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

  /** The size of the largest message that the server takes now. */
  get #largestBytes(): number {
    return this.#options.connection.maxPayloadBytes + addressBytes;
  }

  get #maxBytes(): number {
    const share = Math.floor(allBytes / this.#options.connection.pullers);
    return Math.max(Math.min(pullBytes, share), this.#largestBytes);
  }

  /** Asks for `room` messages more, as a rule. The caller has room for them. */
  pull(room: number): void {
    if (!this.ready || room < 1) return;
    const batch = this.#oversized ? 1 : room;
    // The server ends each pull that has such a bound with a message of its own, so none is given that cannot be reached.
    const isSmall = this.#oversized || batch * this.#largestBytes <= this.#maxBytes;
    const bytes = isSmall ? "" : `,"max_bytes":${this.#maxBytes}`;
    this.#pulls += 1;
    if (this.#outstanding === 0) {
      if (this.#silentTurns >= quietTurns) this.#doubtful = true;
      this.#silentTurns = 0;
    }
    this.#outstanding += batch;
    const [lifeMs, beatMs] = this.#doubtful ? [trialExpiresMs, trialHeartbeatMs] : [expiresMs, heartbeatMs];
    if (this.#doubtful) this.#trial ??= setTimeout(() => this.#giveUp(), trialMs).unref();
    this.#options.connection.nc.publish(
      this.#requestSubject,
      `{"batch":${batch}${bytes},"expires":${lifeMs}000000,"idle_heartbeat":${beatMs}000000}`,
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
    this.#doubt();
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
    clearTimeout(this.#trial);
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
    for (const cleanUp of this.#cleanUps.splice(0)) cleanUp();
    this.#outstanding = 0;
  }

  #receive(message: Msg): void {
    // What is to be settled says where; a status does not.
    if (message.reply) {
      this.#heard();
      this.#outstanding = Math.max(0, this.#outstanding - 1);
      this.arrived += 1;
      this.#oversized = false;
      this.known = this.#options.onMessage(message);
      this.hot = this.known > 0;
      if (this.#outstanding === 0) this.#ready();
      return;
    }
    const code = message.headers?.code ?? 0;
    const description = message.headers?.description ?? "";
    // 404 and 408 are ordinary ends of a pull; so is 409 when a size limit ended it early.
    const ends = code === 404 || code === 408 || (code === 409 && /batch completed|max ?bytes/i.test(description));
    const isVoid = Number.parseInt(message.subject.slice(message.subject.lastIndexOf(".") + 1), 36) <= this.#void;
    if (ends || code === 100) {
      this.#heard();
      if (!ends || isVoid) return;
      this.#oversized = code === 409 && Number(message.headers?.get("Nats-Pending-Bytes")) >= this.#maxBytes;
      const rest = Number(message.headers?.get("Nats-Pending-Messages") || Number.NaN);
      if (this.#outstanding === rest || Number.isNaN(rest)) this.#reset();
      else this.#outstanding = Math.max(0, this.#outstanding - rest);
      this.#ready();
      return;
    }
    if (code === 409 && /consumer deleted/i.test(description)) this.#options.onGone();
    if (!isVoid) this.#refuse(`${code} ${description || "no responders"}`);
  }

  /** The durable has a leader, and it answers. */
  #trust(): void {
    this.#doubtful = false;
    this.#endTrial();
    if (this.#givenUp === 0 || this.#stopped) return;
    this.#givenUp = 0;
    const old = this.#subscription;
    this.#subscription = this.#listen();
    this.#retire();
    // The last trials may still bring something.
    const timer = setTimeout(() => this.#retire(), 2 * trialExpiresMs).unref();
    this.#retire = () => {
      clearTimeout(timer);
      old.unsubscribe();
    };
  }

  /** A trial is open, and nobody has said a word of it: whatever ends one, or the doubt, ends this timer. */
  #giveUp(): void {
    this.#givenUp += 1;
    this.#reset();
    this.#countRefusal("no answer");
    this.#ready();
  }

  /** Open pulls are void: leader change, no such consumer, too many pulls, shutdown. */
  #refuse(reason: string): void {
    this.#doubt();
    if (this.#stopped || this.#retry !== undefined) return;
    this.#countRefusal(reason);
    const waitMs = Math.min(maxWaitMs, minWaitMs * 2 ** (this.#refusals.length - 1));
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#ready();
    }, waitMs).unref();
  }

  #countRefusal(reason: string): void {
    if (!this.#refusals.add()) return;
    const { stream, durable, onRefused } = this.#options;
    onRefused(
      new Error(
        `The server refuses pulls from ${stream} by ${durable} (${reason}); it is tried on. Is a leader being elected, or was the durable or its stream deleted?`,
      ),
    );
  }

  #endTrial(): void {
    clearTimeout(this.#trial);
    this.#trial = undefined;
  }

  /** A word of the durable's leader. */
  #heard(): void {
    this.#silentTurns = 0;
    this.#refusals.end();
    if (this.#doubtful) this.#trust();
  }

  #checkHeartbeats(): void {
    this.#silentTurns += 1;
    if (this.#outstanding > 0 && this.#silentTurns >= maxSilentTurns) this.#refuse("no heartbeat");
  }

  /** What was asked is void, and nobody knows whether the durable has a leader that answers. */
  #doubt(): void {
    this.#reset();
    this.#doubtful = true;
  }

  #reset(): void {
    this.#void = this.#pulls;
    this.#endTrial();
    this.#outstanding = 0;
    this.hot = false;
  }

  #ready(): void {
    if (this.ready) this.#options.onReady();
  }
}
