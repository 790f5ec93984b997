/**
 * Autoscale: how many processes a host should run, out of what it is told and what it has seen before. Pure.
 *
 * 1. Up at the second look in a row that asks for more, or at once where twice as many are needed; at most doubled or four more, whichever is more,
 *    as Kubernetes' Horizontal Pod Autoscaler has it, and judged before the next step.
 *    What is needed follows from what waits and arrives, not from what runs, so that growing does not feed itself.
 * 2. Down to the most that was needed at any look of a window, as the stabilisation window of Kubernetes' Horizontal Pod Autoscaler has it; a need is
 *    rounded up more generously here than on the way up, so that one that lies on the edge changes nothing.
 * 3. A step that did not bring more throughput although work waited is undone, and nothing above it tried for a while: what is short is
 *    something else than processes.
 * 4. Never outside the bounds; never so many that they would pass the memory, each as large as the largest; no step while the CPU is at its ceiling.
 */
import { formatMs } from "../kernel/duration.ts";
import { wholeProcesses } from "../observe/demand.ts";
import type { FleetFacts } from "./fleet-facts.ts";

/** Defaults are those of `defaultAutoscale`; `min` and `max` have none. */
export interface AutoscaleOptions {
  /** Processes of this host. */
  min: number;
  max: number;
  /** Share of the CPU, 0 to 1, from which on nothing is added. Default 0.9. */
  cpuCeiling: number;
  /** Bytes that all processes together may take; what the host has left may be less. Default: no limit of its own. */
  memoryCeilingBytes: number;
  /** How long a step has to show what it brought, once its processes are ready. Default 15 s. */
  settleMs: number;
  /** Fewer must have been needed for so long. A window below the drain target would let go of processes before they have worked off what they are for. Default 1 minute. */
  shrinkAfterMs: number;
  /** How long what did not help is not tried again; each time that it does not, twice as long, up to 12 times. Default 5 minutes. */
  retryAfterMs: number;
}

export const defaultAutoscale = Object.freeze({
  cpuCeiling: 0.9,
  memoryCeilingBytes: Infinity,
  settleMs: 15_000,
  shrinkAfterMs: 60_000,
  retryAfterMs: 300_000,
});

/** What one look showed. */
interface Seen {
  atMs: number;
  /** This host's share of what is needed: to grow to, and to shrink to. */
  up: number;
  down: number;
  target: number;
  handledPerS: number;
  backlogged: boolean;
  /** All processes of the target worked, and work waited, since the look before. */
  full: boolean;
}

export interface AutoscaleState {
  readonly target: number;
  readonly seen: readonly Seen[];
  /** The last step up, until it has been judged. */
  readonly step: { from: number; beforePerS: number | undefined; readyMs: number | undefined } | undefined;
  /** What did not help when it was last tried, and for how long it is let be; also when that is over. */
  readonly barred: { above: number; untilMs: number; forMs: number } | undefined;
}

export interface Decision {
  target: number;
  /** One short sentence, for logs. */
  why: string;
  state: AutoscaleState;
}

/** To shrink, so much of a reserve must be left. */
const shrinkReserve = 1.1;
/** A step must have brought this share of what it would bring where nothing else is short. */
const leastGain = 0.2;

/** The state before the first look. @param target how many processes this host runs. */
export function beginAutoscale(target: number): AutoscaleState {
  return { target, seen: [], step: undefined, barred: undefined };
}

/**
 * One look.
 * @param facts of now. @param state what the look before returned, at first that of `beginAutoscale`.
 * @returns how many processes this host should run, within the bounds, why, and the state for the next look.
 */
export function decide(facts: FleetFacts, state: AutoscaleState, options: AutoscaleOptions): Decision {
  const { min, max, settleMs, shrinkAfterMs, retryAfterMs } = options;
  const { atMs, need } = facts;
  const current = Math.min(max, Math.max(min, state.target));
  if (need === undefined)
    return { target: current, why: "how many are needed is not known", state: { ...state, target: current } };
  const hosts = Math.max(1, facts.hosts);
  const share = (of: number): number => Math.min(max, Math.max(min, Math.ceil(wholeProcesses(of) / hosts)));
  const last = state.seen.at(-1);
  const now: Seen = {
    atMs,
    up: share(need),
    down: share(need * shrinkReserve),
    target: current,
    handledPerS: facts.handledPerS,
    backlogged: facts.backlogged,
    full: facts.ready >= current && facts.backlogged && last?.backlogged === true && last.target === current,
  };
  const seen = [...since(state.seen, atMs - Math.max(shrinkAfterMs, 2 * settleMs)), now];
  const ready = facts.ready >= current ? (state.step?.readyMs ?? atMs) : state.step?.readyMs;
  const after: AutoscaleState = {
    ...state,
    target: current,
    seen,
    step: state.step && { ...state.step, readyMs: ready },
  };
  const bar = (above: number): NonNullable<AutoscaleState["barred"]> => {
    const again = state.barred?.above === above;
    const forMs = again ? Math.min(2 * state.barred.forMs, 12 * retryAfterMs) : retryAfterMs;
    return { above, untilMs: atMs + forMs, forMs };
  };

  const roomy = memoryFor(facts, options);
  if (roomy < current) {
    const why = `the memory is enough for ${roomy}`;
    return { target: roomy, why, state: { ...after, target: roomy, step: undefined, barred: bar(roomy) } };
  }
  const verdict = after.step && judge(after.step, current, seen, atMs, settleMs);
  if (after.step !== undefined && verdict === "useless") {
    const { from } = after.step;
    const its = bar(from);
    const why = `${current} did no more than ${from}: no more than these for ${formatMs(its.forMs)}`;
    return { target: from, why, state: { ...after, target: from, step: undefined, barred: its } };
  }
  // What did not help then does now.
  const barred = current > (after.barred?.above ?? 0) ? undefined : after.barred;
  const judged = verdict === "useful" ? { ...after, step: undefined, barred } : after;

  const asked = now.up >= 2 * current ? now.up : Math.min(now.up, last?.up ?? 0);
  if (asked > current) {
    const [limit, why] = ceilingOf(facts, judged, roomy, options);
    const target = Math.min(asked, limit);
    if (target <= current) return { target: current, why: `${needed(now.up)}, but ${why}`, state: judged };
    const beforePerS = fullPerS(seen, current, atMs - 2 * settleMs);
    const step = { from: current, beforePerS, readyMs: undefined };
    return {
      target,
      why: target < asked ? `${needed(now.up)}, but ${why}` : needed(now.up),
      state: { ...judged, target, step },
    };
  }
  const most = mostOf(seen, atMs, shrinkAfterMs);
  // After a step the window holds the look that asked for it, so that nothing is undone too soon.
  if (most !== undefined && most < current) {
    const why = `at most ${needed(most)} for ${formatMs(shrinkAfterMs)}`;
    return { target: most, why, state: { ...judged, target: most, step: undefined } };
  }
  const why = now.up > current ? `${needed(now.up)}; at the next look too, and they are started` : needed(now.up);
  return { target: current, why, state: judged };
}

/** How far a step may go, and why no further. */
function ceilingOf(
  { atMs, cpuUse, cpuPerProcess }: FleetFacts,
  { target, step, barred }: AutoscaleState,
  roomy: number,
  { max, cpuCeiling }: AutoscaleOptions,
): [limit: number, why: string] {
  if (step !== undefined) return [target, "the last step has yet to show what it brought"];
  if (cpuUse >= cpuCeiling) return [target, `${percent(cpuUse)} of the CPU is in use`];
  // The last one may pass the ceiling: half of what one process could use need not lie idle.
  const cooler = target + (cpuPerProcess > 0 ? Math.ceil((cpuCeiling - cpuUse) / cpuPerProcess) : Infinity);
  const limits: [number, string][] = [
    [max, `no more than ${max} may run`],
    [roomy, `the memory is enough for ${roomy}`],
    [cooler, `the CPU is enough for ${cooler}`],
    [
      barred !== undefined && atMs < barred.untilMs ? barred.above : Infinity,
      "more than these brought nothing when they were tried",
    ],
    [Math.max(2 * target, target + 4), "a step at most doubles or adds four"],
  ];
  return limits.reduce((least, one) => (one[0] < least[0] ? one : least));
}

/** Nobody below `min`, which its user has named. */
function memoryFor(facts: FleetFacts, { min, max, memoryCeilingBytes }: AutoscaleOptions): number {
  const { memoryBytes, memoryPerProcessBytes } = facts;
  if (memoryPerProcessBytes <= 0) return max;
  const most = Math.floor(Math.min(memoryBytes, memoryCeilingBytes) / memoryPerProcessBytes);
  return Math.min(max, Math.max(min, most));
}

/** A step is not judged where there was nothing to compare it with, or where no work waits any more: then it was enough. */
function judge(
  { from, beforePerS, readyMs }: NonNullable<AutoscaleState["step"]>,
  to: number,
  seen: readonly Seen[],
  atMs: number,
  settleMs: number,
): "open" | "useful" | "useless" {
  if (readyMs === undefined || atMs - readyMs < settleMs) return "open";
  // What its first looks show is also of those that still warmed up.
  const afterPerS = fullPerS(seen, to, readyMs + settleMs / 2);
  if (beforePerS === undefined || afterPerS === undefined) return "useful";
  return afterPerS < beforePerS * (1 + leastGain * (to / from - 1)) ? "useless" : "useful";
}

/** The most that any look of the window asked for; undefined while nobody has looked for so long. */
function mostOf(seen: readonly Seen[], atMs: number, windowMs: number): number | undefined {
  const first = seen[0];
  if (first === undefined || atMs - first.atMs < windowMs) return undefined;
  return Math.max(...since(seen, atMs - windowMs).map(({ down }) => down));
}

/** The looks since then, and the one that was true at that moment. */
function since(seen: readonly Seen[], fromMs: number): Seen[] {
  return seen.slice(
    Math.max(
      0,
      seen.findLastIndex(({ atMs }) => atMs <= fromMs),
    ),
  );
}

/** What so many processes did on average since then while they were full; undefined where they never were. */
function fullPerS(seen: readonly Seen[], target: number, fromMs: number): number | undefined {
  const full = seen.filter((one) => one.full && one.target === target && one.atMs > fromMs);
  if (full.length === 0) return undefined;
  return full.reduce((sum, { handledPerS }) => sum + handledPerS, 0) / full.length;
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

function needed(processes: number): string {
  return processes === 1 ? "1 is needed" : `${processes} are needed`;
}
