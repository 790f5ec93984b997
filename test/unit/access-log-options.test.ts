/** The command line of `npm start`. */
import { describe, expect, test } from "vitest";
import { parseStartOptions, UsageError } from "../../demo/options.ts";

const parse = (args: string[], env: NodeJS.ProcessEnv = {}): unknown => parseStartOptions(args, "/here", env);
const nothing = { file: undefined, once: false, json: false, help: false };

describe("the options of npm start", () => {
  test("are a file, --once, --json and --help", () => {
    expect(parse([])).toEqual(nothing);
    expect(parse(["--json", "a.log", "--once"])).toEqual({ ...nothing, file: "/here/a.log", once: true, json: true });
    expect(parse(["-"])).toEqual({ ...nothing, file: "-" });
    expect(parse(["-h"])).toEqual({ ...nothing, help: true });
  });

  test("take the file to be where the user is, not where npm runs its scripts", () => {
    const npm = { npm_lifecycle_event: "start", INIT_CWD: "/there" };
    expect(parse(["a.log"], npm)).toMatchObject({ file: "/there/a.log" });
    expect(parse(["/a.log"], npm)).toMatchObject({ file: "/a.log" });
    expect(parse(["a.log"], { ...npm, npm_lifecycle_event: "test" })).toMatchObject({ file: "/here/a.log" });
  });

  test.each([
    [["--wat"], "Unknown option '--wat'"],
    [["--json=1"], "Option '--json' does not take an argument"],
    [["a", "b"], "One FILE at a time, and not a, b"],
    [[""], "FILE is empty"],
  ])("refuse %j in one sentence", (args, message) => {
    expect(() => parse(args)).toThrow(new UsageError(message));
  });
});
