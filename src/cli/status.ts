/** `godwit status`: how much waits where, who listens, and what nobody serves. */
import type { Command } from "commander";
import type { ActorStatus, Status } from "../admin/status.ts";
import { lanes } from "../message/names.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { holdUpText } from "./hold-up-text.ts";
import { print, printJson } from "./io.ts";
import { bytes, count, table, time, type Column } from "./table.ts";

export function statusCommand(program: Command): void {
  connectOptions(jsonOption(program.command("status")))
    .summary("how much waits where, who listens, what nobody serves")
    .description(
      `How much is stored in each stream, and how each actor stands:

  WAITING    tasks that no worker has been handed yet
  DUE        delayed tasks whose time has come, likewise
  EVENTS     events, likewise
  SCHEDULED  tasks whose time has not come
  IN FLIGHT  handed to a worker and not settled; those put back for later too
  WORKERS    workers that serve it and answer
  DEAD       dead letters; see 'godwit dead list'

Below stands what holds an actor up: it is paused, a circuit is open, a limit
is reached, or messages wait and nobody serves them.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit status
  godwit status --servers nats://nats-1:4222,nats://nats-2:4222 --namespace shop
  godwit status --json | jq '.actors[] | select(.waiting > 1000)'`,
    )
    .action(async (flags: ConnectFlags & { json?: boolean }) => {
      await withExisting(flags, async (system) => {
        const { Inspector } = await import("../admin/inspector.ts");
        const status = await new Inspector(system).status();
        if (flags.json) printJson(status);
        else print(render(status, system.servers));
      });
    });
}

function render(status: Status, servers: readonly string[]): string {
  const parts = [`namespace ${status.namespace} on ${servers.join(", ")} at ${time(status.at)}`, streamTable(status)];
  parts.push(status.actors.length > 0 ? actorTable(status.actors) : "No actor has run here yet.");
  const heldUp = status.actors.flatMap((actor) => heldUpRows(actor));
  if (heldUp.length > 0)
    parts.push(
      table(
        [
          { title: "HELD UP", flexible: true },
          { title: "BY", flexible: true, wraps: true },
        ],
        heldUp,
      ),
    );
  const urgent = status.actors.filter((actor) => actor.waiting > actor.lanes.normal);
  if (urgent.length > 0) parts.push(laneTable(urgent));
  if (status.orphans.length > 0) parts.push(orphanTable(status));
  return parts.join("\n\n");
}

function streamTable({ streams }: Status): string {
  return table(
    [{ title: "STREAM", flexible: true }, number("MESSAGES"), number("SIZE")],
    streams.map(({ stream, messages, bytes: size }) => [stream, count(messages), bytes(size)]),
  );
}

/** Columns in which nothing stands are left out, so that names have room; those that people look for first stay. */
function actorTable(actors: readonly ActorStatus[]): string {
  const all: [title: string, stays: boolean, of: (actor: ActorStatus) => number][] = [
    ["WAITING", true, (actor) => actor.waiting],
    ["DUE", false, (actor) => actor.due],
    ["EVENTS", false, (actor) => actor.events],
    ["SCHEDULED", false, (actor) => actor.scheduled],
    ["IN FLIGHT", true, (actor) => actor.inFlight],
    ["WORKERS", true, (actor) => actor.workers],
    ["DEAD", true, (actor) => actor.dead],
  ];
  const shown = all.filter(([, stays, of]) => stays || actors.some((actor) => of(actor) > 0));
  return table(
    [{ title: "ACTOR", flexible: true }, ...shown.map(([title]) => number(title))],
    actors.map((actor) => [actor.actor, ...shown.map(([, , of]) => count(of(actor)))]),
  );
}

/** That nobody is there, or that all are at work, is no matter where nothing waits. */
function heldUpRows({ actor, holdUps, waiting, due, events }: ActorStatus): string[][] {
  const idle = waiting + due + events === 0;
  const shown = holdUps.filter(({ why }) => !idle || why === "paused" || why === "breaker-open");
  return shown.map((one) => [actor, holdUpText(one)]);
}

function laneTable(actors: readonly ActorStatus[]): string {
  return table(
    [{ title: "WAITING BY LANE", flexible: true }, ...lanes.map((lane) => number(lane.toUpperCase()))],
    actors.map((actor) => [actor.actor, ...lanes.map((lane) => count(actor.lanes[lane]))]),
  );
}

function orphanTable({ orphans }: Status): string {
  return table(
    [{ title: "NOBODY SERVES", flexible: true }, number("MESSAGES")],
    orphans.map(({ subject, messages }) => [subject, count(messages)]),
  );
}

function number(title: string): Column {
  return { title, align: "right" };
}
