/** `godwit/testing`: tests actors without a server, and systems on a server that comes and goes with the tests. */
export { runActor, runActorOnEvent } from "./run-actor.ts";
export type { ActorRun, RunActorOptions, RunOutcome } from "./run-actor.ts";
export type { PublishedEvent, ToldTask } from "./recorder.ts";
export { testServer, testSystem } from "./test-system.ts";
export type { TestServer, TestSystemOptions } from "./test-system.ts";
export { waitFor } from "./wait-for.ts";
export type { WaitedEvent } from "./wait-for.ts";
