/** CPU profiles of single phases, for Chrome's developer tools or any other reader of .cpuprofile files. */
import { mkdir, writeFile } from "node:fs/promises";
import { Session } from "node:inspector/promises";
import { join } from "node:path";

/** Runs `phase` and leaves `<name>.cpuprofile` in the folder, over one of that name. */
export async function profiled<T>(folder: string, name: string, phase: () => Promise<T>): Promise<T> {
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: 200 });
    await session.post("Profiler.start");
    const value = await phase();
    const { profile } = await session.post("Profiler.stop");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${name.replaceAll(/[^a-z0-9]+/g, "-")}.cpuprofile`), JSON.stringify(profile));
    return value;
  } finally {
    session.disconnect();
  }
}
