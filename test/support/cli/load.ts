/** Loads actors from the paths in its arguments, in a process of its own with no test runner around it, and says what it got. */
import { Actor, loadActors, type GodwitError } from "godwit";

try {
  const sources = await loadActors(process.argv.slice(2));
  const loaded = sources.map((source) => {
    const Class = source as { name: string; prototype?: unknown; config?: { name: string } };
    return { name: Class.config?.name ?? Class.name, own: Class.prototype instanceof Actor };
  });
  console.log(JSON.stringify({ loaded }));
} catch (error) {
  const { code, message, cause } = error as GodwitError;
  console.log(JSON.stringify({ code, message, cause: cause instanceof Error ? cause.message : undefined }));
}
