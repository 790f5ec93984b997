/**
 * Group probes: what a group of worker processes tells of itself as one: their metrics put together, and whether it is well.
 * 1. What processes that have ended counted stays counted, so that no sum goes back.
 * 2. A process that does not answer in time is told of as it last was.
 */
import type { HealthReport, ReadyReport } from "../observe/health.ts";
import { pageOf, pastOf, snapshotOf, type MetricsSnapshot } from "../observe/metrics-snapshot.ts";
import type { Probes } from "../observe/probes.ts";
import type { Supervisor } from "./supervisor.ts";

const patienceMs = 2_000;

export interface GroupProbesOptions {
  supervisor: Pick<Supervisor, "everyone" | "members" | "snapshot">;
  /** It was asked to end. */
  stopping: () => boolean;
}

export class GroupProbes implements Probes {
  readonly #options: GroupProbesOptions;
  /** In the order in which they ended, one after the other. */
  #past: Promise<MetricsSnapshot> = Promise.resolve([]);
  #begun = false;

  constructor(options: GroupProbesOptions) {
    this.#options = options;
  }

  /** A process has ended. @param metrics what it told last. */
  ended(metrics: MetricsSnapshot): void {
    this.#past = this.#past.then((past) => pastOf([past, metrics]));
  }

  async page(): Promise<string> {
    const { supervisor } = this.#options;
    // In one turn: who ends while the others answer is told of as one of them, and not as past too.
    const past = this.#past;
    const now = await Promise.all(supervisor.everyone.map((member) => member.metrics(patienceMs)));
    return pageOf([...now, await past, this.#own()]);
  }

  /** The supervisor replaces a process that is unhealthy; only a group in which none works is to be started again. */
  health(): HealthReport {
    const { members } = this.#options.supervisor;
    const { loops } = this.#options.supervisor.snapshot();
    const healthy = members.length > 0 || loops === 0;
    return {
      healthy,
      restart: !healthy,
      reasons: [
        ...(healthy ? [] : [`no process is at work: each ended soon after its start, in ${loops} places`]),
        ...members.flatMap(({ pid, report }) =>
          (report?.unhealthyReasons ?? []).map((why) => `process ${pid}: ${why}`),
        ),
      ],
      actors: {},
    };
  }

  readiness(): ReadyReport {
    const { serving, target } = this.#options.supervisor.snapshot();
    this.#begun ||= serving >= target && target > 0;
    const reasons = [
      ...(this.#begun ? [] : [`${serving} of ${target} processes are at work`]),
      ...(this.#begun && serving === 0 ? ["no process is at work"] : []),
      ...(this.#options.stopping() ? ["it drains"] : []),
    ];
    return { ready: reasons.length === 0, reasons };
  }

  #own(): MetricsSnapshot {
    const { target, starting, serving, draining, replaced, loops } = this.#options.supervisor.snapshot();
    return snapshotOf({
      godwit_processes: Object.entries({ starting, serving, draining }).map(([state, value]) => ({
        labels: { state },
        value,
      })),
      godwit_processes_target: [{ labels: {}, value: target }],
      godwit_process_replacements_total: Object.entries(replaced).map(([reason, value]) => ({
        labels: { reason },
        value,
      })),
      godwit_process_crash_loops: [{ labels: {}, value: loops }],
    });
  }
}
