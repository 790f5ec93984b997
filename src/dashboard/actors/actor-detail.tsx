/** One actor, large: its plots with axes, its lanes, what puts its messages off, its guards, its dead letters. */
import type { ActorFrame, Frame } from "../../admin/api.ts";
import { LetterBrief } from "../dead/letter-brief.tsx";
import { count, none, rate, share, span } from "../format.ts";
import { BreakerCard, LimitCard } from "../guards/guard-card.tsx";
import { useScene } from "../live/use-live.ts";
import { useKeys } from "../parts/keys.ts";
import { Empty } from "../parts/small.tsx";
import { Chart } from "../plot/chart.tsx";
import { go, writeRoute, type Route } from "../route.ts";
import { holdsOf, limitsOf } from "./guarded.ts";
import { HoldBadges } from "./hold-badges.tsx";
import { PauseControl } from "./pause-control.tsx";

export interface ActorDetailProps {
  name: string;
  /** The filter and order of the table, for the way back. */
  params: Route["params"];
}

export function ActorDetail({ name, params }: ActorDetailProps) {
  const { live, nowMs } = useScene();
  const { frame } = live;
  useKeys({ Escape: () => go({ view: "actors", params }) });
  const actor = frame?.actors.find((one) => one.actor === name);
  return (
    <section aria-labelledby="actor-title" class="detail">
      <a class="back" href={writeRoute({ view: "actors", params })}>
        ← All actors
      </a>
      <div class="bar">
        <h1 id="actor-title">{name}</h1>
        {actor !== undefined && frame !== undefined && (
          <HoldBadges holds={holdsOf(actor, frame, nowMs)} nowMs={nowMs} />
        )}
        {actor !== undefined && <PauseControl actor={actor} />}
      </div>
      {actor === undefined || frame === undefined ? (
        frame !== undefined && <Empty title={`No actor called ${name} has run in this namespace.`} />
      ) : (
        <>
          <Charts actor={actor} />
          <div class="columns">
            <Figures actor={actor} />
            <Lanes actor={actor} />
            <Deferrals actor={actor} />
          </div>
          <Guards actor={actor} frame={frame} />
          <LetterBrief actor={name} dead={actor.dead} />
        </>
      )}
    </section>
  );
}

function Charts({ actor }: { actor: ActorFrame }) {
  const { history } = useScene().live;
  const figures = history.actors[actor.actor];
  if (figures === undefined) return null;
  const { times } = history;
  const errors = actor.rate === 0 ? none : share(actor.errorShare);
  return (
    <div class="charts">
      <Chart title="Rate" now={rate(actor.rate)} series="rate" times={times} values={figures.rate} format={rate} />
      <Chart
        title="Depth"
        now={count(actor.depth)}
        series="depth"
        times={times}
        values={figures.depth}
        format={count}
      />
      <Chart
        title="P95"
        now={span(actor.p95Ms)}
        series="p95Ms"
        times={times}
        values={figures.p95Ms}
        format={(ms) => (ms === 0 ? "0" : span(ms))}
      />
      <Chart title="Errors" now={errors} series="errorShare" times={times} values={figures.errorShare} format={share} />
    </div>
  );
}

function Figures({ actor }: { actor: ActorFrame }) {
  const figures: [string, string][] = [
    ["Running", `${count(actor.running)} of ${count(actor.concurrency)}`],
    ["Workers", count(actor.workers)],
    ["In flight", count(actor.inFlight)],
    ["Scheduled", count(actor.scheduled)],
    ["Oldest waits", span(actor.oldestMs)],
    ["P50, P95, P99", [actor.p50Ms, actor.p95Ms, actor.p99Ms].map(span).join(", ")],
    ["P95 in the queue", span(actor.queuedP95Ms)],
  ];
  return (
    <div>
      <h2>Now</h2>
      <dl class="facts">
        {figures.map(([title, value]) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function Lanes({ actor }: { actor: ActorFrame }) {
  return (
    <div>
      <h2>Tasks that wait, by lane</h2>
      <dl class="facts">
        {Object.entries(actor.lanes).map(([lane, depth]) => (
          <div key={lane}>
            <dt>{lane}</dt>
            <dd class={depth === 0 ? "nil" : ""}>{count(depth)}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function Deferrals({ actor }: { actor: ActorFrame }) {
  const reasons = Object.entries(actor.deferrals).filter(([, a]) => a > 0);
  return (
    <div>
      <h2>Put back without an attempt</h2>
      {reasons.length === 0 ? (
        <p class="muted">Nothing in the last ten seconds.</p>
      ) : (
        <dl class="facts">
          {reasons.map(([reason, each]) => (
            <div key={reason}>
              <dt>{reason}</dt>
              <dd>{rate(each)}</dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}

function Guards({ actor, frame }: { actor: ActorFrame; frame: Frame }) {
  const breaker = frame.breakers.find(({ name }) => name === actor.breaker);
  const limits = limitsOf(actor, frame);
  if (breaker === undefined && limits.length === 0) return null;
  return (
    <div>
      <h2>Guards</h2>
      <div class="cards">
        {breaker !== undefined && <BreakerCard breaker={breaker} />}
        {limits.map((limit) => (
          <LimitCard key={`${limit.kind}/${limit.name}`} limit={limit} />
        ))}
      </div>
    </div>
  );
}
