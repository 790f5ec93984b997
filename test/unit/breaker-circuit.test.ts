import { afterEach, expect, test, vi } from "vitest";
import { breakerSettingsShape } from "../../src/actor/guard-config.ts";
import type { BreakerSettings } from "../../src/actor/guard-handles.ts";
import { Circuit } from "../../src/guard/breaker/circuit.ts";
import type { Verdict } from "../../src/guard/breaker/record.ts";

afterEach(() => void vi.useRealTimers());

interface Rig {
  circuit: Circuit;
  opened: Error[];
  ok(): Promise<unknown>;
  fail(verdict?: Verdict): Promise<string>;
}

function rig(settings: BreakerSettings): Rig {
  const opened: Error[] = [];
  const circuit = new Circuit(breakerSettingsShape.parse(settings), (error) => opened.push(error));
  let failures = 0;
  return {
    circuit,
    opened,
    ok: () =>
      circuit.run(
        () => "ok",
        () => "failed",
      ),
    fail: (verdict = "failed") =>
      circuit
        .run(
          () => {
            throw new Error(`failure ${++failures}`);
          },
          () => verdict,
        )
        .then(
          () => "no error",
          (error: Error) => error.message,
        ),
  };
}

test("it opens at the share of failures, not only above it, and says which failure was the one too many", async () => {
  const { ok, fail, opened } = rig({ errorThreshold: 0.5, volume: 4 });
  await ok();
  await ok();
  expect(await fail()).toBe("failure 1");
  expect(opened).toEqual([]);
  expect(await fail()).toBe("failure 2");
  expect(opened.map((error) => error.message)).toEqual(["failure 2"]);
});

test("a threshold of 1 opens when every call fails, and not before", async () => {
  const all = rig({ errorThreshold: 1, volume: 3 });
  for (let n = 0; n < 3; n++) await all.fail();
  expect(all.opened).toHaveLength(1);
  const some = rig({ errorThreshold: 1, volume: 3 });
  await some.ok();
  for (let n = 0; n < 20; n++) await some.fail();
  expect(some.opened).toEqual([]);
  some.circuit.end();
});

test("below the volume it stays closed", async () => {
  const { fail, opened, circuit } = rig({ volume: 4 });
  for (let n = 0; n < 3; n++) await fail();
  expect(opened).toEqual([]);
  circuit.end();
});

test("errors that say nothing against the dependency open nothing, and reach the caller as they are", async () => {
  const { fail, opened, circuit } = rig({ volume: 3 });
  for (let n = 1; n <= 10; n++) expect(await fail(n % 2 === 0 ? "answered" : "nothing")).toBe(`failure ${n}`);
  expect(opened).toEqual([]);
  circuit.end();
});

test("calls that are on their way when it opens end as they would have, and open nothing again", async () => {
  const { circuit, fail, opened } = rig({ volume: 3, errorThreshold: 0.1 });
  const ends: ((how: "well" | "badly") => void)[] = [];
  const pending = [0, 1].map(() =>
    circuit.run(
      () =>
        new Promise((resolve, reject) =>
          ends.push((how) => (how === "well" ? resolve("late") : reject(new Error("late failure")))),
        ),
      () => "failed",
    ),
  );
  await fail();
  expect(opened).toHaveLength(1);
  ends[0]?.("well");
  ends[1]?.("badly");
  await expect(pending[0]).resolves.toBe("late");
  await expect(pending[1]).rejects.toThrow("late failure");
  expect(opened).toHaveLength(1);
});

test("what failed longer ago than the window is not counted", async () => {
  vi.useFakeTimers();
  const { ok, fail, opened, circuit } = rig({ volume: 4, window: "10s" });
  for (let n = 0; n < 3; n++) await fail();
  await vi.advanceTimersByTimeAsync(11_000);
  await ok();
  await fail();
  expect(opened).toEqual([]);
  circuit.end();
});

test("neither open nor ended it keeps a timer, and a window of months does not make its timers run wild", async () => {
  vi.useFakeTimers();
  const long = rig({ volume: 1, window: "100d" });
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(10_000);
  await long.ok();
  await vi.advanceTimersByTimeAsync(10_000);
  await long.fail();
  expect(long.opened).toHaveLength(1);
  expect(vi.getTimerCount()).toBe(0);
  const idle = rig({});
  idle.circuit.end();
  expect(vi.getTimerCount()).toBe(0);
});
