/** Live frames for tests, ended with each test. */
import { afterEach } from "vitest";
import { Live } from "../../src/admin/live/live.ts";
import type { ActorSystem } from "../../src/index.ts";

/** @returns a function that makes one of a system. */
export function useLive(): (system: ActorSystem) => Live {
  let open: Live[] = [];
  afterEach(async () => {
    for (const live of open) await live.close();
    open = [];
  });
  return (system) => {
    const live = new Live(system);
    open.push(live);
    return live;
  };
}
