/** The guards: breakers and limits that the fleet shares, each with its switch. */
import type { VNode } from "preact";
import { useScene } from "../live/use-live.ts";
import { Empty } from "../parts/small.tsx";
import { BreakerCard, LimitCard } from "./guard-card.tsx";

export function GuardsView() {
  const { frame } = useScene().live;
  if (frame === undefined) return null;
  const rates = frame.limits.filter(({ kind }) => kind === "rate");
  const permits = frame.limits.filter(({ kind }) => kind === "concurrency");
  if (frame.breakers.length + frame.limits.length === 0) {
    return (
      <Empty title="No actor that runs has a breaker or a limit.">
        <p>
          They are declared in an actor's config, as <code>breaker</code>, <code>rateLimit</code> and{" "}
          <code>concurrencyLimit</code>.
        </p>
      </Empty>
    );
  }
  return (
    <section class="guards">
      <Group title="Breakers" none="No actor that runs has one.">
        {frame.breakers.map((breaker) => (
          <BreakerCard key={breaker.name} breaker={breaker} />
        ))}
      </Group>
      <Group title="Rate limits" none="No actor that runs has one.">
        {rates.map((limit) => (
          <LimitCard key={limit.name} limit={limit} />
        ))}
      </Group>
      <Group title="Concurrency limits" none="No actor that runs has one.">
        {permits.map((limit) => (
          <LimitCard key={limit.name} limit={limit} />
        ))}
      </Group>
    </section>
  );
}

function Group({ title, none, children }: { title: string; none: string; children: VNode[] }) {
  return (
    <>
      <h1>{title}</h1>
      {children.length === 0 ? <p class="muted">{none}</p> : <div class="cards">{children}</div>}
    </>
  );
}
