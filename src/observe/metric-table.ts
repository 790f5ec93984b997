/** Every metric that there is, as data: the registry is made from it, and the table in docs/operating.md is checked against it. */

export interface MetricSpec {
  readonly type: "counter" | "gauge" | "histogram" | "summary";
  readonly labels: readonly string[];
  readonly help: string;
  /** What several processes tell of it together, which as a rule is their sum. */
  readonly together?: "max" | "min";
}

const of = (type: MetricSpec["type"], labels: readonly string[], help: string): MetricSpec => ({ type, labels, help });
const counter = of.bind(undefined, "counter");
const gauge = of.bind(undefined, "gauge");
const histogram = of.bind(undefined, "histogram");
const summary = of.bind(undefined, "summary");
/** Of the server, or of what the fleet shares: each process tells the same, as it last saw it. */
const shared = (labels: readonly string[], help: string): MetricSpec => ({ ...gauge(labels, help), together: "max" });

/** By name. Units are seconds and bytes; labels take few values each: no ids, keys or hosts. */
export const metricTable = {
  godwit_messages_total: counter(
    ["actor", "outcome"],
    "Deliveries that came to an end: completed, retry, deferred, interrupted, dead or lost.",
  ),
  godwit_deferrals_total: counter(["actor", "reason"], "Deliveries put back without an attempt being counted."),
  godwit_dead_letters_total: counter(["actor", "reason"], "Messages given up on."),
  godwit_lost_total: counter(
    ["actor", "reason"],
    "Deliveries that were no longer this worker's when they came to an end.",
  ),
  godwit_stalls_total: counter(
    ["actor"],
    "Runs that died with their worker or stood still in it, of messages that have ended.",
  ),
  godwit_overdue_total: counter(["actor"], "Handlers that passed the hard time limit."),
  godwit_abandoned_total: counter(["actor"], "Overdue handlers that were given up."),
  godwit_results_lost_total: counter(["actor"], "Results that could not be stored; their messages were completed."),
  godwit_pullers_rebuilt_total: counter(
    ["actor"],
    "Pullers that brought nothing although messages waited and handlers were free, and were begun anew.",
  ),
  godwit_handler_duration_seconds: histogram(["actor"], "How long handlers ran, however they ended."),
  godwit_queue_duration_seconds: histogram(["actor"], "How long messages had been stored when their first run began."),
  godwit_received_body_bytes: histogram(["actor"], "Bodies of what was run, as they came."),
  godwit_handlers_running: gauge(["actor"], "Handlers that run in this worker."),
  godwit_handlers_limit: gauge(["actor"], "Handlers that may run at once in this worker."),
  godwit_messages_in_hand: gauge(["actor"], "Messages in the hands of this worker: running, held, or being settled."),
  godwit_queue_depth: shared(
    ["actor", "lane"],
    "Messages that no worker has been handed yet, by lane of its tasks; due: delayed tasks whose time has come; event: events.",
  ),
  godwit_queue_oldest_age_seconds: shared(
    ["actor", "lane"],
    "How long the oldest of the messages in godwit_queue_depth has been stored; 0 where there is none.",
  ),
  godwit_queue_scheduled: shared(["actor"], "Delayed tasks whose time has not come."),
  godwit_messages_in_flight: shared(
    ["actor"],
    "Messages handed to any worker and not settled, those asleep until their next attempt included.",
  ),
  godwit_dead_letters_stored: shared(["actor"], "Dead letters that there are."),
  godwit_actor_paused: shared(["actor"], "1 where the server delivers nothing to the actor because it is paused."),
  godwit_processes_wanted: shared(
    [],
    "Worker processes like this one that the fleet needs for what waits and arrives; 1 where nothing does.",
  ),
  godwit_publish_duration_seconds: histogram(
    ["stream"],
    "From handing a message to the publisher until the server had it, waits and repeats included.",
  ),
  godwit_sent_body_bytes: histogram(["stream"], "Bodies of what the server took, as sent."),
  godwit_publish_errors_total: counter(
    ["stream", "code"],
    "Messages that the server refused or did not answer, by the error's code.",
  ),
  godwit_breaker_state: shared(
    ["breaker", "state"],
    "1 for the state of the circuit as this process sees it: closed, open or half-open.",
  ),
  godwit_rate_limit_wait_seconds: summary(
    ["limit"],
    "How long messages in the hands of this process waited for a slot of a rate limit.",
  ),
  godwit_event_loop_lag_seconds: {
    ...summary(
      ["quantile"],
      "How late the timers of this process came since the last scrape; quantile 1 is the latest.",
    ),
    together: "max",
  },
  godwit_event_loop_blocked_total: counter([], "Standstills of the event loop for longer than blockedAfter."),
  godwit_memory_resident_bytes: gauge([], "Resident memory of this process."),
  godwit_heap_used_bytes: gauge([], "JavaScript heap in use."),
  godwit_heap_limit_bytes: gauge([], "Largest that the JavaScript heap may grow."),
  godwit_connection_up: { ...gauge([], "1 while there is a connection to a server."), together: "min" },
  godwit_worker_info: gauge(["worker", "version"], "1 for each worker of this process that has not stopped."),
  godwit_worker_healthy: gauge(["worker"], "0 while there is a reason to replace the process."),
  godwit_processes: gauge(
    ["state"],
    "Worker processes of a supervisor: starting, serving or draining. Told by supervisors alone.",
  ),
  godwit_processes_target: gauge([], "Worker processes that a supervisor keeps at work. Told by supervisors alone."),
  godwit_process_replacements_total: counter(
    ["reason"],
    "Worker processes that were replaced: messages, memory, age, unhealthy, silent, restart or crash. Told by supervisors alone.",
  ),
  godwit_process_crash_loops: gauge(
    [],
    "Places of a supervisor whose processes keep ending soon after their start. Told by supervisors alone.",
  ),
} as const satisfies Record<string, MetricSpec>;

export type MetricName = keyof typeof metricTable;
