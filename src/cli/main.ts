#!/usr/bin/env node
/** The command `godwit`: runs the program on this process's arguments, and ends the process with its exit code. */
import { surviveClosedPipes, written } from "./io.ts";
import { run } from "./run.ts";

surviveClosedPipes();
process.exitCode = await run(process.argv.slice(2));
// What is left may keep the process: timers and connections of an actor's module, the channel to a process that owns this one.
await written();
process.exit();
