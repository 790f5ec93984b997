/** Checked configs for the tests of pure parts. */
import { resolveConfig, type ActorConfig, type ResolvedConfig } from "../../src/actor/config.ts";

/** The config of an actor called `test`, defaults filled in. */
export function resolved(more: Partial<ActorConfig> = {}): ResolvedConfig {
  return resolveConfig({ name: "test", ...more }, "test actor");
}
