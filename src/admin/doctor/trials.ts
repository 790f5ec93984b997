/** Trials: what publishers, workers and admins need to be allowed, each as something that can be tried and leaves nothing behind. */
import type { Trial } from "../../broker/survey.ts";
import type { Names } from "../../message/subjects.ts";

/** Who needs a right. `provisioner`: workers and publishers that make streams and durables themselves. */
export type Role = "publisher" | "worker" | "provisioner" | "admin";

export interface RightsTrial extends Trial {
  role: Role;
}

/** Nobody has this name, so that nothing is found and nothing changed under it. */
const nobody = "godwit-doctor";

export function trialsOf(names: Names): RightsTrial[] {
  const { namespace } = names;
  const work = [names.tasks, names.schedule, names.events];
  const { buckets } = names;
  const streams = [...work, names.dead, ...buckets.map((bucket) => `KV_${bucket}`)];
  const api = (role: Role, request: string, ...of: string[]): RightsTrial[] =>
    of.map((one) => ({ role, operation: "publish", subject: `$JS.API.${request}.${one}` }));
  const listen = (role: Role, ...subjects: string[]): RightsTrial[] =>
    subjects.map((subject) => ({ role, operation: "subscribe", subject }));
  const say = (role: Role, ...subjects: string[]): RightsTrial[] =>
    subjects.map((subject) => ({ role, operation: "publish", subject }));
  const store = (role: Role, ...subjects: string[]): RightsTrial[] =>
    subjects.map((subject) => ({ role, operation: "publish", subject, stored: true }));
  const kv = (bucket: string): string => `$KV.${bucket}.${nobody}`;
  const durables = work.map((stream) => `${stream}.${nobody}`);
  return [
    ...say("publisher", "$JS.API.INFO"),
    ...api("publisher", "STREAM.INFO", ...streams),
    ...store("publisher", names.taskSubject(nobody), names.scheduleSubject(nobody, nobody), names.eventSubject(nobody)),
    ...listen("publisher", names.replySubject(`${nobody}.*`), names.doneSubject(nobody, nobody)),
    ...api("publisher", "STREAM.MSG.GET", `KV_${names.resultsBucket}`),
    ...store("publisher", kv(names.resultsBucket)),

    ...api("worker", "CONSUMER.INFO", ...durables),
    ...api("worker", "CONSUMER.MSG.NEXT", ...durables),
    ...work.map((stream): RightsTrial => ({
      role: "worker",
      operation: "publish",
      subject: `$JS.ACK.${stream}.${nobody}.1.1.1.1.0`,
    })),
    ...api("worker", "STREAM.MSG.GET", ...buckets.map((bucket) => `KV_${bucket}`)),
    ...store("worker", names.deadSubject(nobody, names.tasks, 1), ...buckets.map(kv)),
    ...say("worker", names.replySubject(`${nobody}.0`), names.doneSubject(nobody, nobody)),
    ...say("worker", names.noticeSubject(nobody, nobody)),
    ...listen("worker", names.workersSubject, names.workerSubject(nobody), names.noticeSubject(nobody, ">")),

    ...api("provisioner", "STREAM.CREATE", ...streams),
    ...api("provisioner", "STREAM.UPDATE", ...streams),
    ...api("provisioner", "CONSUMER.CREATE", ...durables),

    ...say("admin", "$JS.API.STREAM.NAMES", `${namespace}.workers`, names.workerSubject(nobody)),
    ...api("admin", "CONSUMER.LIST", ...work),
    ...api("admin", "STREAM.MSG.GET", ...work, names.dead),
    ...api("admin", "DIRECT.GET", ...work, names.dead),
    ...api("admin", "STREAM.MSG.DELETE", names.dead),
    ...api("admin", "STREAM.PURGE", names.dead),
    ...api("admin", "CONSUMER.PAUSE", ...durables),
    ...api("admin", "CONSUMER.DELETE", ...durables),
  ];
}
