/** Godwit's side: tellMany, workers with an actor that does nothing, and asks, through the public API alone. */
import { ActorSystem } from "godwit";
import { actorName, actors, onReceive } from "./actors.ts";
import { orderOf, orders } from "./body.ts";
import { guarded } from "./guarded.ts";
import { serveSide, type OpenSettings, type Side } from "./side.ts";

type Variant = (typeof actors)[keyof typeof actors] | (typeof guarded)[keyof typeof guarded]["actor"];

class GodwitSide implements Side {
  #system!: ActorSystem;

  async open({ url, namespace }: OpenSettings): Promise<string> {
    this.#system = await ActorSystem.connect({ servers: url, namespace, log: "error" });
    // Makes the durables, so that the bare side can have the same.
    const worker = await this.#system.work([actors["no schema"]]);
    await worker.stop();
    return this.#system.parts.connection.nc.info?.version ?? "unknown";
  }

  async publish(variant: string, messages: number): Promise<number> {
    const actor = actorOf(variant);
    const startedMs = performance.now();
    const sent = await this.#system.tellMany(actor, orders(messages));
    const ms = performance.now() - startedMs;
    if (sent.accepted !== messages) throw new Error(`only ${sent.accepted} of ${messages} tasks were accepted`);
    return ms;
  }

  /** From the first message until the server has confirmed the last ack. */
  async consume(variant: string, messages: number): Promise<number> {
    let received = 0;
    let startedMs = 0;
    let finish: () => void = () => undefined;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    onReceive.call = () => {
      if (received === 0) startedMs = performance.now();
      received += 1;
      if (received === messages) finish();
    };
    const worker = await this.#system.work([actorOf(variant)]);
    await finished;
    const completed = (): number => worker.stats.actors[actorName]?.completed ?? 0;
    while (completed() < messages) await new Promise((resolve) => setImmediate(resolve));
    const ms = performance.now() - startedMs;
    await worker.stop();
    if (received !== messages) throw new Error(`${received} runs of ${messages} tasks`);
    return ms;
  }

  async ask(count: number): Promise<number[]> {
    onReceive.call = () => undefined;
    const actor = actors["no schema"];
    const worker = await this.#system.work([actor]);
    const trips: number[] = [];
    for (let trip = 0; trip < count; trip++) {
      const startedMs = performance.now();
      await this.#system.ask(actor, orderOf(trip));
      trips.push(performance.now() - startedMs);
    }
    await worker.stop();
    return trips;
  }

  close(): Promise<void> {
    return this.#system.close();
  }
}

const byVariant = new Map<string, Variant>([
  ...Object.entries(actors),
  ...Object.entries(guarded).map(([guard, { actor }]) => [guard, actor] as const),
]);

function actorOf(variant: string): Variant {
  const actor = byVariant.get(variant);
  if (actor === undefined) throw new Error(`no actor for the variant ${variant}`);
  return actor;
}

serveSide(new GodwitSide());
