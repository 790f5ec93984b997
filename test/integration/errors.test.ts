/** Errors: each mistake is told in one sentence that says what, where and how to mend it, with a stable code. */
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import * as z from "zod";
import { afterEach, describe, expect, test } from "vitest";
import { Actor, ActorSystem, GodwitError, config, event, on, type ActorConfig } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { fakeNats, type FakeNats } from "../support/fake-nats.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();

/** The error of a promise that must be rejected: one of ours, in one sentence. */
async function errorOf(promise: Promise<unknown>): Promise<GodwitError> {
  const error: unknown = await promise.then(
    () => new Error("nothing was refused"),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(GodwitError);
  expect((error as GodwitError).message).toMatch(/^\S.*\.$/);
  expect((error as GodwitError).message).not.toMatch(/\n|\[object Object\]|is not a function|Cannot read/);
  return error as GodwitError;
}

const Fine = actorOf({ name: "fine" }, () => {});

describe("connecting", () => {
  let fake: FakeNats | undefined;
  afterEach(async () => {
    await fake?.close();
    fake = undefined;
  });

  test("to where no server is", async () => {
    const probe = createServer();
    probe.listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, "close");
    const error = await errorOf(ActorSystem.connect({ servers: `nats://127.0.0.1:${port}` }));
    expect(error).toMatchObject({ name: "ConnectError", code: "NO_SERVER", cause: expect.any(Error) });
    expect(error.message).toMatch(
      new RegExp(
        `^No NATS server could be reached at nats://127\\.0\\.0\\.1:${port} \\(.+\\); start one, or .*NATS_URL.*$`,
      ),
    );
  });

  test("to a server that turns the client away", async () => {
    fake = await fakeNats({ version: "2.14.0", refuse: "Authorization Violation" });
    const error = await errorOf(ActorSystem.connect({ servers: fake.url, user: "me", pass: "secret-word" }));
    expect(error).toMatchObject({ code: "NOT_AUTHORIZED", message: expect.stringMatching(/refused the credentials/) });
    expect(error.message).not.toContain("secret-word");
  });

  test("to a server that is too old", async () => {
    fake = await fakeNats({ version: "2.13.9" });
    const error = await errorOf(ActorSystem.connect({ servers: fake.url }));
    expect(error).toMatchObject({ name: "UnsupportedServerError", code: "UNSUPPORTED_SERVER" });
    expect(error.message).toMatch(/is version 2\.13\.9 and Godwit needs 2\.14\.0 or newer; upgrade/);
  });

  test("to a server without JetStream", async () => {
    fake = await fakeNats({ version: "2.14.0" });
    const error = await errorOf(ActorSystem.connect({ servers: fake.url }));
    expect(error).toMatchObject({ code: "UNSUPPORTED_SERVER" });
    expect(error.message).toMatch(/does not offer JetStream to this account .*; start it with -js/);
  });

  const refusals: [what: string, options: object, code: string, text: string][] = [
    ["an unknown option", { servr: "x" }, "INVALID_CONFIG", 'unknown key "servr"'],
    ["an unknown option inside", { limits: { perActor: 5 } }, "INVALID_CONFIG", 'unknown key "limits.perActor"'],
    ["an unknown option of embedded", { embedded: { dir: "x" } }, "INVALID_CONFIG", 'unknown key "embedded.dir"'],
    ["servers of a wrong type", { servers: 4222 }, "INVALID_CONFIG", '"servers" must be a string, or a list'],
    ["no servers", { servers: [] }, "INVALID_CONFIG", '"servers" must not be empty'],
    ["one server of a wrong type", { servers: ["a", 7] }, "INVALID_CONFIG", '"servers.1" must be a string'],
    [
      "embedded of a wrong type",
      { embedded: "yes" },
      "INVALID_CONFIG",
      '"embedded" must be true or false, or an object',
    ],
    [
      "servers and embedded",
      { servers: "x", embedded: true },
      "INVALID_CONFIG",
      "both servers and embedded; choose one",
    ],
    ["a log level that does not exist", { log: "loud" }, "INVALID_CONFIG", '"log" must be one of "debug", "info"'],
    [
      "a profile that does not exist",
      { durability: "gold" },
      "INVALID_CONFIG",
      '"durability" must be one of "dev", "single"',
    ],
    [
      "a duration that is none",
      { limits: { deadMaxAge: "1 month" } },
      "INVALID_CONFIG",
      '"limits.deadMaxAge" must be a duration',
    ],
    ["a namespace of two words", { namespace: "a.b" }, "INVALID_NAME", 'The namespace "a.b" is not valid'],
    ["an empty namespace", { namespace: "" }, "INVALID_NAME", 'The namespace "" is not valid'],
    ["null", null as never, "INVALID_CONFIG", "it must be an object"],
  ];
  test.each(refusals)("with %s", async (_what, options, code, text) => {
    const error = await errorOf(ActorSystem.connect(options));
    expect(error.code).toBe(code);
    expect(error.message).toContain(text);
  });
});

describe("an actor's config with", () => {
  const retry = (more: object): object => ({ name: "x", retry: more });
  const refusals: [what: string, config: unknown, code: string, text: string][] = [
    ["an unknown key", { name: "x", concurency: 5 }, "INVALID_CONFIG", 'unknown key "concurency"'],
    ["an unknown key inside", retry({ attempt: 3 }), "INVALID_CONFIG", 'unknown key "retry.attempt"'],
    ["no name", {}, "INVALID_CONFIG", '"name" is missing'],
    ["a name with a blank", { name: "charge card" }, "INVALID_NAME", 'The actor name "charge card" is not valid'],
    ["a name with an empty word", { name: "a..b" }, "INVALID_NAME", 'The actor name "a..b" is not valid'],
    ["a name with a wildcard", { name: "a.*" }, "INVALID_NAME", 'The actor name "a.*" is not valid'],
    ["an empty name", { name: "" }, "INVALID_NAME", 'The actor name "" is not valid'],
    ["a name of 129 letters", { name: "x".repeat(129) }, "INVALID_NAME", "at most 128 characters"],
    ["a name that is no text", { name: 7 }, "INVALID_NAME", "The actor name 7 is not valid"],
    [
      "a concurrency that is text",
      { name: "x", concurrency: "10" },
      "INVALID_CONFIG",
      '"concurrency" must be a whole number',
    ],
    ["a concurrency of 0", { name: "x", concurrency: 0 }, "INVALID_CONFIG", '"concurrency" must be at least 1'],
    [
      "a concurrency of 10001",
      { name: "x", concurrency: 10_001 },
      "INVALID_CONFIG",
      '"concurrency" must be at most 10000',
    ],
    [
      "an ack-wait without unit",
      { name: "x", ackWait: "30" },
      "INVALID_CONFIG",
      '"ackWait" must be a duration such as',
    ],
    [
      "an ack-wait under a second",
      { name: "x", ackWait: "10ms" },
      "INVALID_CONFIG",
      '"ackWait" must be at least 1000 ms',
    ],
    [
      "a backoff that does not exist",
      retry({ backoff: "expo" }),
      "INVALID_CONFIG",
      '"retry.backoff" must be one of "exponential", "linear", "fixed", or a function',
    ],
    [
      "a jitter that does not exist",
      retry({ jitter: "some" }),
      "INVALID_CONFIG",
      '"retry.jitter" must be one of "full", "decorrelated", "none"',
    ],
    [
      "a first delay above the longest",
      retry({ base: "1m", max: "30s" }),
      "INVALID_CONFIG",
      '"retry.base" must be at most retry.max, and 60000 ms are more than 30000 ms;',
    ],
    [
      "a first delay above the longest by default",
      retry({ base: "1h" }),
      "INVALID_CONFIG",
      '"retry.base" must be at most retry.max, and 3600000 ms are more than 600000 ms;',
    ],
    ["a retry.when that is no function", retry({ when: true }), "INVALID_CONFIG", '"retry.when" must be a function'],
    [
      "an input that is no schema",
      { name: "x", input: { n: "number" } },
      "INVALID_CONFIG",
      '"input" must be a Standard Schema',
    ],
    ["a result without ttl", { name: "x", result: {} }, "INVALID_CONFIG", '"result.ttl" must be a duration'],
    [
      "a lane that does not exist",
      { name: "x", lanes: ["urgent"] },
      "INVALID_CONFIG",
      '"lanes.0" must be one of "critical", "high"',
    ],
    [
      "a beginning that does not exist",
      { name: "x", from: "today" },
      "INVALID_CONFIG",
      '"from" must be one of "new", "all", or a date',
    ],
    [
      "a subscription that is none",
      { name: "x", subscribe: [7] },
      "INVALID_CONFIG",
      '"subscribe.0" must be a string, or what on() gives',
    ],
    [
      "several mistakes",
      { name: "x", a: 1, stalls: "x" },
      "INVALID_CONFIG",
      '"stalls" must be a whole number; unknown key "a"',
    ],
  ];
  test.each(refusals)("%s is refused by work and by tell", async (_what, definition, code, text) => {
    const system = await stage.connect();
    for (const use of [(Bad: typeof Fine) => system.work([Bad]), (Bad: typeof Fine) => system.tell(Bad, {})]) {
      class Mistaken extends actorOf(definition as ActorConfig, () => {}) {}
      const error = await errorOf(use(Mistaken));
      expect(error.code).toBe(code);
      expect(error.message).toContain(text);
      expect(error.message).toContain(code === "INVALID_CONFIG" ? "actor class Mistaken" : "actor name");
    }
  });

  test("nothing at all is refused", async () => {
    class Bare extends Actor {
      override async receive(): Promise<void> {}
    }
    const system = await stage.connect();
    const error = await errorOf(system.work([Bare]));
    expect(error).toMatchObject({ code: "INVALID_CONFIG" });
    expect(error.message).toMatch(/^The actor class Bare has no static config; write: static override readonly config/);
  });
});

describe("work() with", () => {
  class NeedsApi extends Actor {
    static override readonly config = config({ name: "needs.api" });
    readonly #api: { call(): void };
    constructor(api: { call(): void }) {
      super();
      this.#api = api;
    }
    override async receive(): Promise<void> {
      this.#api.call();
    }
  }
  class Unmakeable extends Actor {
    static override readonly config = config({ name: "unmakeable" });
    constructor(...urls: string[]) {
      super();
      if (urls.length === 0) throw new Error("no address was given");
    }
    override async receive(): Promise<void> {}
  }
  class Deaf extends Actor {
    static override readonly config = config({ name: "deaf" });
    override receive(): void {}
  }
  // As in plain JavaScript: the type checker asks for it.
  Reflect.deleteProperty(Deaf.prototype, "receive");
  class Mute extends Deaf {}
  class NoActor {
    receive(): void {}
  }
  const Two = actorOf({ name: "fine" }, () => {});

  const refusals: [what: string, sources: unknown, code: string, text: RegExp][] = [
    ["no actor", [], "NO_ACTOR", /^No actor was given; pass a list of actor classes/],
    ["a class instead of a list", Fine, "NO_ACTOR", /^No actor was given; pass a list of actor classes/],
    ["nothing", undefined, "NO_ACTOR", /^No actor was given/],
    [
      "a class that is no actor",
      [NoActor],
      "NO_ACTOR",
      /^The function NoActor is not an actor and makes none; pass a class that extends Actor/,
    ],
    ["a function that makes no actor", [() => new NoActor()], "NO_ACTOR", /is not an actor and makes none/],
    ["a function that makes one later", [async () => new Fine()], "NO_ACTOR", /is not an actor and makes none/],
    ["text", ["payments.charge"], "NO_ACTOR", /^A value of type string is not an actor and makes none/],
    ["undefined in the list", [Fine, undefined], "NO_ACTOR", /^A value of type undefined is not an actor/],
    [
      "a class that needs arguments",
      [NeedsApi],
      "INVALID_CONFIG",
      /^The constructor of the actor class NeedsApi takes arguments; pass a function that makes it: \(\) => new NeedsApi\(…\)\.$/,
    ],
    [
      "a class that cannot be made without them",
      [Unmakeable],
      "INVALID_CONFIG",
      /^The actor class Unmakeable could not be made without arguments \(no address was given\); pass a function that makes it: \(\) => new Unmakeable\(…\)\.$/,
    ],
    [
      "a class without receive()",
      [Deaf],
      "INVALID_CONFIG",
      /^The actor class Deaf has no method receive\(\); write: async receive\(input, ctx\) \{ … \}\.$/,
    ],
    [
      "a function that makes one whose receive is no function",
      [() => Object.assign(new Mute(), { receive: "soon" })],
      "INVALID_CONFIG",
      /^The actor class Mute has no method receive\(\)/,
    ],
    [
      "two actors of one name",
      [Fine, Two],
      "INVALID_CONFIG",
      /^Two actors have the name "fine" .*; give one of them another name\.$/,
    ],
    ["one actor twice", [Fine, Fine], "INVALID_CONFIG", /^Two actors have the name "fine"/],
  ];
  test.each(refusals)("%s", async (_what, sources, code, text) => {
    const system = await stage.connect();
    const error = await errorOf(system.work(sources as never));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(text);
  });

  test("an option that it does not have, or of a wrong type", async () => {
    const system = await stage.connect();
    const unknown = await errorOf(system.work([Fine], { concurency: 5 } as never));
    expect(unknown).toMatchObject({ code: "INVALID_CONFIG" });
    expect(unknown.message).toContain('The options of work() cannot be used: unknown key "concurency"');
    const typed = await errorOf(system.work([Fine], { concurrency: 0, use: [7] } as never));
    expect(typed.message).toContain('"concurrency" must be at least 1; "use.0" must be a function');
  });
});

describe("sending", () => {
  class Plain {
    receive(): void {}
  }

  test("to what is no actor", async () => {
    const system = await stage.connect();
    for (const [actor, text] of [
      [Plain, "The function Plain is not an actor class"],
      [undefined, "A value of type undefined is not an actor class"],
      [{}, "A value of type object is not an actor class"],
    ] as const) {
      for (const send of [
        () => system.tell(actor as never, {}),
        () => system.ask(actor as never, {}),
        () => system.tellMany(actor as never, [1]),
      ]) {
        const error = await errorOf(send());
        expect(error.code).toBe("NO_ACTOR");
        expect(error.message).toContain(text);
      }
    }
    const name = await errorOf(system.tell("charge card", {}));
    expect(name).toMatchObject({ code: "INVALID_NAME" });
    expect(name.message).toContain('The actor name "charge card" is not valid');
  });

  test("with an option that does not exist, or of a wrong kind", async () => {
    const system = await stage.connect();
    const cases: [options: object, code: string, text: string][] = [
      [
        { dely: "5m" },
        "INVALID_CONFIG",
        'tell() has no option "dely"; it takes "id", "codec", "headers", "delay", "lane", "expiresIn".',
      ],
      [{ lane: "urgent" }, "INVALID_NAME", 'The lane "urgent" does not exist; use one of critical, high, normal, low.'],
      [{ codec: "xml" }, "INVALID_CONFIG", 'The codec "xml" does not exist; use "msgpack" or "json".'],
      [{ expiresIn: "1 day" }, "INVALID_CONFIG", 'expiresIn is "1 day", which is no duration'],
    ];
    for (const [options, code, text] of cases) {
      const error = await errorOf(system.tell(Fine, {}, options));
      expect(error.code).toBe(code);
      expect(error.message).toContain(text);
    }
  });

  test("what cannot be encoded", async () => {
    const system = await stage.connect();
    const circle: { self?: unknown } = {};
    circle.self = circle;
    for (const body of [() => 1, { f: () => 1 }, Symbol("s"), circle, 2n ** 70n]) {
      const error = await errorOf(system.tell(Fine, body));
      expect(error).toMatchObject({ name: "EncodeError", code: "UNENCODABLE" });
    }
    for (const body of [circle, 1n, () => 1]) {
      expect((await errorOf(system.tell(Fine, body, { codec: "json" }))).code).toBe("UNENCODABLE");
    }
  });

  test("what does not fit names what is wrong and where, at most five times", async () => {
    const system = await stage.connect();
    const Strict = actorOf({ name: "strict", input: z.array(z.object({ n: z.number() })) }, () => {});
    const error = await errorOf(
      system.tell(
        Strict,
        Array.from({ length: 8 }, () => ({ n: "x" })),
      ),
    );
    expect(error).toMatchObject({ code: "INVALID_MESSAGE" });
    expect(error.message).toMatch(/^The message for strict does not fit its schema: 0\.n: .*; 4\.n: .* and 3 more\.$/);
  });
});

test("declaring an event or a subscription that cannot be", async () => {
  await errorOf(Promise.resolve().then(() => event("a b")));
  await errorOf(Promise.resolve().then(() => on("a..b")));
  const mapping = await errorOf(Promise.resolve().then(() => on("a", "not a function" as never)));
  expect(mapping.code).toBe("INVALID_CONFIG");
  const source = await errorOf(Promise.resolve().then(() => on(7 as never)));
  expect(source.message).toContain("on() takes an event(), a subject");
});

describe("a closed system", () => {
  test("takes no call, and says so", async () => {
    const system = await stage.connect();
    await system.close();
    await Promise.all([system.close(), system.close()]);
    for (const call of [
      () => system.tell("fine", {}),
      () => system.tellMany("fine", [1]),
      () => system.ask("fine", {}),
      () => system.publish("went.by", {}),
      () => system.result("fine", "x"),
      () => system.work([Fine]),
    ]) {
      const error = await errorOf(call());
      expect(error).toMatchObject({
        name: "ClosedError",
        code: "CLOSED",
        message: "The system is closed; connect again to go on.",
      });
    }
  });

  test("has stopped its workers, whose actors have stopped", async () => {
    const system = await stage.connect();
    let stops = 0;
    const One = actorOf({ name: "one" }, () => {}, { stop: () => void (stops += 1) });
    const Two = actorOf({ name: "two" }, () => {}, { stop: () => void (stops += 1) });
    await system.work([One]);
    await system.work([Two]);
    await system.close();
    expect(stops).toBe(2);
  });
});
