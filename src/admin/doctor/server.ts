/** Checks of the servers and the account: version, room, how soon a write is on the disk, and the clocks. Pure. */
import { atLeast, serverFloor } from "../../broker/connection.ts";
import type { Share } from "../../broker/survey.ts";
import { formatMs } from "../../kernel/duration.ts";
import type { WorkerSnapshot } from "../../worker/snapshot.ts";
import { isEmpty, type Facts } from "./facts.ts";
import { orOk, unchecked, type Finding } from "./finding.ts";

/** Below this a server has less than its default. */
const usualPayloadBytes = 1_048_576;
/** From this share on a limit is near. */
export const nearlyFull = 0.8;
const skewMs = 1_000;

export function checkServers(facts: Facts): Finding[] {
  return [
    ...checkVersions(facts),
    ...checkPayload(facts),
    ...checkAccount(facts),
    ...checkSync(facts),
    ...checkClocks(facts),
    ...checkDomains(facts),
  ];
}

function checkVersions({ server, monitors = [] }: Facts): Finding[] {
  const others = monitors.flatMap(({ facts }) => ("value" in facts ? [facts.value] : []));
  const all = new Map([server, ...others].map(({ name, version }) => [name, version]));
  return [...all].map(([subject, version]) =>
    atLeast(version, serverFloor)
      ? { check: "server-version", level: "ok", subject, finding: `It is version ${version}.` }
      : {
          check: "server-version",
          level: "fault",
          subject,
          finding: `It is version ${version}, and Godwit needs ${serverFloor} or newer.`,
          mend: `Upgrade this nats-server to ${serverFloor} or newer.`,
        },
  );
}

function checkPayload({ server: { name: subject, maxPayloadBytes } }: Facts): Finding[] {
  if (maxPayloadBytes >= usualPayloadBytes) {
    return [{ check: "max-payload", level: "ok", subject, finding: `A message may have ${maxPayloadBytes} bytes.` }];
  }
  return [
    {
      check: "max-payload",
      level: "note",
      subject,
      finding: `A message may have ${maxPayloadBytes} bytes, less than the server's default; larger bodies take the slower way through the object store.`,
      mend: `Set max_payload: 1MB in the server's config.`,
    },
  ];
}

function checkAccount({ account }: Facts): Finding[] {
  const subject = "the account";
  if ("unread" in account) return [unchecked("account-limits", subject, account)];
  const settings: Record<string, string> = {
    streams: "max_streams",
    consumers: "max_consumers",
    fileBytes: "max_file",
    memoryBytes: "max_mem",
  };
  const words: Record<string, string> = {
    streams: "streams",
    consumers: "consumers",
    fileBytes: "bytes in files",
    memoryBytes: "bytes in memory",
  };
  const found = Object.entries(account.value).flatMap(([what, { used, limit }]: [string, Share]): Finding[] => {
    if (limit === undefined || used < limit * nearlyFull) return [];
    return [
      {
        check: "account-limits",
        level: used >= limit ? "fault" : "warning",
        subject,
        finding: `It has ${used} of the ${limit} ${words[what]} that it may have.`,
        mend: `Raise ${settings[what]} in the account's jetstream limits, or remove what is not needed.`,
      },
    ];
  });
  return orOk("account-limits", subject, found, "It is far from the limits of its JetStream.");
}

function checkSync({ monitors }: Facts): Finding[] {
  if (monitors === undefined) {
    return [
      {
        check: "fsync",
        level: "note",
        subject: "the servers",
        finding:
          "A client cannot see how soon a write is on the disk; by JetStream's default that takes up to 2 min, in which a machine that loses power loses what it had acknowledged, unless other replicas have it.",
        mend: "Name the servers' monitoring ports: godwit doctor --monitor http://HOST:8222; for the profile strict set sync_interval: always in their jetstream config.",
      },
    ];
  }
  return monitors.map(({ url, facts }): Finding => {
    if ("unread" in facts) return unchecked("fsync", url, { unread: `${url} does not answer (${facts.unread})` });
    const { name: subject, syncAlways, syncIntervalMs } = facts.value;
    if (syncAlways) return { check: "fsync", level: "ok", subject, finding: "Every write is on the disk at once." };
    return {
      check: "fsync",
      level: "note",
      subject,
      finding: `A write is on the disk after up to ${formatMs(syncIntervalMs)}: a machine that loses power loses what it had acknowledged, unless other replicas have it.`,
      mend: "For the profile strict set sync_interval: always in its jetstream config.",
    };
  });
}

function checkClocks(facts: Facts): Finding[] {
  const { clock, workers } = facts;
  if (isEmpty(facts)) return [];
  if ("unread" in clock) return [unchecked("clock-skew", "this host", clock)];
  const { aheadMs, errorMs } = clock.value;
  const own = skewOf("this host", aheadMs, errorMs);
  // By whichever of its moments is the kindest: it told its time at some moment between these.
  const others = workers.map((worker) => {
    const [fromMs, toMs] = [facts.askedAtMs - aheadMs, facts.answeredAtMs - aheadMs];
    const atMs = Date.parse(worker.at);
    return skewOf(nameOf(worker), atMs - (fromMs + toMs) / 2, (toMs - fromMs) / 2 + errorMs);
  });
  const found = [own, ...others].flatMap((one) => one ?? []);
  return orOk("clock-skew", "the hosts", found, "No clock is off by more than a second.");
}

function checkDomains({ names: { tasks: subject, namespace }, taskStreams }: Facts): Finding[] {
  if ("unread" in taskStreams) return [unchecked("domains", subject, taskStreams)];
  const { value: streams } = taskStreams;
  if (streams === 0) return [];
  if (streams === 1) {
    return [{ check: "domains", level: "ok", subject, finding: "Each task is stored once, in one JetStream domain." }];
  }
  return [
    {
      check: "domains",
      level: "fault",
      subject,
      finding: `Each task is stored ${streams} times: the namespace ${namespace} has streams in as many JetStream domains, such as a hub's and a leaf node's, so all runs ${streams} times.`,
      mend: "Keep the namespace in one domain: name it with --domain, NATS_DOMAIN or { domain } on all sides, stop the workers that use the other, let what is stored there run, and delete its streams there.",
    },
  ];
}

/** Undefined where the clock may be right. */
function skewOf(subject: string, aheadMs: number, errorMs: number): Finding | undefined {
  if (Math.abs(aheadMs) - errorMs <= skewMs) return undefined;
  const direction = aheadMs > 0 ? "ahead of" : "behind";
  return {
    check: "clock-skew",
    level: "warning",
    subject,
    finding: `Its clock is ${formatMs(Math.round(Math.abs(aheadMs)))} ${direction} the server's: delays, expiry and the time in the queue are off by that.`,
    mend: "Run a time service there, such as chrony, and look whether it is in step: chronyc tracking.",
  };
}

/** As people would look for it. */
export function nameOf({ host, pid, id }: Pick<WorkerSnapshot, "host" | "pid" | "id">): string {
  return `worker ${id} (${host}, pid ${pid})`;
}
