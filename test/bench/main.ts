/**
 * The benchmark: Godwit against the same work done with bare nats.js and no framework, in one run on one embedded server.
 *
 * Each side has a process and a connection of its own; they take turns, and a ratio is made of two phases that ran one after the
 * other. The bare side's stream and durable are copies of Godwit's. Both sides move the same number of messages with 128-byte bodies:
 * - publishing, bare: one constant body, ready-made (bare-publish.ts); Godwit: `tellMany` of generated objects, which it checks,
 *   encodes, gives ids and outcomes, and would send again.
 * - consuming, bare: plain acks, unconfirmed, the body unread (bare-consume.ts); Godwit: an actor that does nothing: bodies
 *   decoded, a run with a context for each, acks confirmed.
 * - round trips: bare-ask.ts against `ask`.
 */
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { formatGroupGain, measureGroup } from "./group.ts";
import { formatMetricsCost, measureMetrics, metricsGoal } from "./metrics.ts";
import { readOptions, usage, type BenchOptions, type Part } from "./options.ts";
import { formatReport, makeReport, type Report } from "./report.ts";
import { runAll } from "./rounds.ts";
import { RemoteSide } from "./side.ts";

const namespace = "bench";
const longestMs = 30 * 60_000;

async function measure(options: BenchOptions): Promise<Report> {
  const server = await EmbeddedServer.start();
  const sides = {
    bare: new RemoteSide("./bare-side.js"),
    godwit: new RemoteSide("./godwit-side.js", options.profileDir),
  };
  try {
    const place = { url: server.url, namespace };
    await sides.godwit.open(place);
    const version = await sides.bare.open(place);
    const runs = await runAll(sides, options, (what) => process.stderr.write(options.json ? "" : `${what}\n`));
    await sides.bare.close();
    await sides.godwit.close();
    return makeReport(runs, options, version);
  } finally {
    sides.bare.kill();
    sides.godwit.kill();
    await server.stop();
  }
}

/** @returns whether the goals are met. */
async function measureOnly(part: Part, options: BenchOptions): Promise<boolean> {
  const server = await EmbeddedServer.start();
  const say = (what: string): void => void process.stderr.write(options.json ? "" : `${what}\n`);
  const print = (data: object, text: string): void =>
    void process.stdout.write(`${options.json ? JSON.stringify(data, undefined, 2) : text}\n`);
  try {
    if (part === "group") {
      const gain = await measureGroup(server.url, options, say);
      print(gain, formatGroupGain(gain));
      return gain.every(({ met }) => met);
    }
    const cost = await measureMetrics(server.url, options, say);
    print(cost, formatMetricsCost(cost));
    return cost.consume.ratio <= metricsGoal;
  } finally {
    await server.stop();
  }
}

async function main(): Promise<number> {
  let options: BenchOptions;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage}\n`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  setTimeout(() => {
    process.stderr.write(`the benchmark took longer than ${longestMs / 60_000} minutes and was ended\n`);
    process.exit(1);
  }, longestMs).unref();
  if (options.only !== undefined) return (await measureOnly(options.only, options)) || !options.check ? 0 : 1;
  const report = await measure(options);
  process.stdout.write(`${options.json ? JSON.stringify(report, undefined, 2) : formatReport(report)}\n`);
  return options.check && report.goals.some((goal) => !goal.met) ? 1 : 0;
}

process.exitCode = await main();
