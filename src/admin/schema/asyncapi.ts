/** AsyncAPI: a document of version 3.0 that says what actors receive and send, from their configs. Pure. */
import type { ResolvedConfig } from "../../actor/config.ts";
import type { Subscription } from "../../actor/event.ts";
import { contentTypes, type CodecName } from "../../message/codec.ts";
import { lanes } from "../../message/names.ts";
import type { Names } from "../../message/subjects.ts";
import { answerHeaders, deadHeaders, eventHeaders, taskHeaders } from "./headers.ts";
import { describe, placed } from "./json-schema.ts";
import { settingsOf } from "./settings.ts";

export type Json = Record<string, unknown>;

export interface AsyncApiOptions {
  names: Names;
  title: string;
  version: string;
  /** Addresses without credentials; none: the document names no server. */
  servers: readonly string[];
}

export interface AsyncApi {
  document: Json;
  /** What the document does not say, one sentence for each. */
  notes: string[];
}

// JetStream's durables are no queue groups, which is all that the NATS bindings of AsyncAPI can say: they stand in "x-godwit".
const defaultCodec: CodecName = "msgpack";

/** @param configs each actor once. */
export function asyncApi(configs: readonly ResolvedConfig[], options: AsyncApiOptions): AsyncApi {
  const builder = new Builder(options.names);
  for (const config of configs) builder.add(config);
  // Whoever knows an event's schema describes it for those who take it as it comes.
  const subscriptions = configs.flatMap((config) => config.subscriptions.map((one) => ({ config, one })));
  const known = subscriptions.filter(({ one }) => one.schema !== undefined);
  for (const { config, one } of new Set([...known, ...subscriptions])) builder.addSubscription(config, one);
  builder.addDeadLetters();
  return { document: builder.document(options), notes: builder.notes };
}

class Builder {
  readonly notes: string[] = [];
  readonly #names: Names;
  readonly #channels = new Map<string, Json & { messages: Json }>();
  readonly #operations: Json = {};
  readonly #messages: Json = {};
  readonly #schemas: Json = { TaskHeaders: taskHeaders, EventHeaders: eventHeaders, AnswerHeaders: answerHeaders };
  /** Which schema a message has been described by. */
  readonly #described = new Map<string, unknown>();

  constructor(names: Names) {
    this.#names = names;
  }

  add(config: ResolvedConfig): void {
    const { name } = config;
    const message = this.#message(`task-${name}`, `Task for ${name}`, config.input, `input of ${name}`, {
      contentType: contentTypes[config.codec ?? defaultCodec],
      headers: ref("schemas", "TaskHeaders"),
    });
    const lane = { description: "How urgent it is.", enum: [...lanes], default: config.lane };
    const tasks = this.#channel(`task-${name}`, this.#names.taskSubject(name, "*"), `Tasks for ${name}`, { lane });
    const due = this.#channel(
      `due-${name}`,
      this.#names.dueSubject(name, "*"),
      `Delayed tasks for ${name}, sent on by the server when their time has come`,
      { lane },
    );
    const shared = { summary: `The actor ${name}`, "x-godwit": settingsOf(config, this.#names) };
    this.#receive(name, tasks, message, { ...shared, reply: this.#reply(name) });
    this.#receive(`due-${name}`, due, message, shared);
  }

  addDeadLetters(): void {
    const id = "dead-letters";
    const origin = { description: "<actor>.<stream>.<sequence> of the message that was given up on." };
    const channel = this.#channel(id, this.#names.deadFilter(), "Dead letters", { origin });
    this.#messages[id] = {
      name: id,
      title: "Dead letter",
      description: "The body as it came, and in its headers why it was given up on and the headers that it had.",
      headers: deadHeaders,
      payload: {},
    };
    this.#use(id, "send", channel, id, { summary: "What no attempt could do" });
  }

  addSubscription(config: ResolvedConfig, { stream, subject, schema, map }: Subscription): void {
    const own = stream === undefined;
    const id = own ? `event-${idOf(subject)}` : `stream-${idOf(stream)}-${idOf(subject)}`;
    const address = own ? this.#names.eventSubject(subject) : subject;
    const title = own ? `Events ${subject}` : `Messages ${subject} of the stream ${stream}`;
    const channel = this.#channel(id, address, title, {}, own ? {} : { "x-godwit": { stream } });
    // Without a schema of its own and without a mapping, an event is what the actor takes.
    const payload = schema ?? (map === undefined ? config.input : undefined);
    const known = this.#described.get(id);
    const messageId = !this.#described.has(id) || known === payload ? id : `${id}-for-${config.name}`;
    const message = this.#message(messageId, title, payload, `event ${subject} of ${config.name}`, {
      ...(own && { contentType: contentTypes[defaultCodec], headers: ref("schemas", "EventHeaders") }),
    });
    this.#receive(`${config.name}-${id}`, channel, message, {
      summary: `The actor ${config.name}`,
      "x-godwit": { ...settingsOf(config, this.#names), from: config.from },
    });
  }

  #receive(id: string, channel: string, message: string, more: Json): void {
    this.#use(id, "receive", channel, message, more);
  }

  #use(id: string, action: "receive" | "send", channel: string, message: string, more: Json): void {
    const { messages } = this.#channels.get(channel) ?? { messages: {} };
    messages[message] = ref("messages", message);
    this.#operations[id] = {
      action,
      channel: { $ref: `#/channels/${channel}` },
      messages: [{ $ref: `#/channels/${channel}/messages/${message}` }],
      ...more,
    };
  }

  #reply(actor: string): Json {
    const id = `answer-${actor}`;
    this.#messages[id] = {
      name: id,
      title: `What ${actor} answers`,
      description: "What its handler returned, or, as its header Godwit-Outcome tells, how it failed.",
      contentType: contentTypes.msgpack,
      headers: ref("schemas", "AnswerHeaders"),
      payload: {},
    };
    const channel = this.#channel("answers", this.#names.replySubject("{address}"), "Answers to asks", {
      address: { description: "What the asker wrote.", location: "$message.header#/Godwit-Reply" },
    });
    const { messages } = this.#channels.get(channel) ?? { messages: {} };
    messages[id] = ref("messages", id);
    return {
      channel: { $ref: `#/channels/${channel}` },
      messages: [{ $ref: `#/channels/${channel}/messages/${id}` }],
    };
  }

  #channel(id: string, subject: string, title: string, parameters: Json, more: Json = {}): string {
    if (!this.#channels.has(id)) {
      const wild = wildcards(subject, Object.keys(parameters));
      const all = { ...wild.parameters, ...parameters };
      this.#channels.set(id, {
        address: wild.address,
        title,
        ...(Object.keys(all).length > 0 && { parameters: all }),
        messages: {},
        ...more,
      });
    }
    return id;
  }

  #message(id: string, title: string, input: ResolvedConfig["input"], what: string, more: Json): string {
    if (this.#described.has(id)) return id;
    this.#described.set(id, input);
    const { schema, lacks } = describe(input);
    if (lacks !== undefined) this.notes.push(`The ${what} is not described in full: ${lacks}.`);
    this.#schemas[id] = placed(schema, `#/components/schemas/${id}`);
    this.#messages[id] = {
      name: id,
      title,
      ...more,
      correlationId: { location: "$message.header#/Godwit-Id" },
      payload: ref("schemas", id),
    };
    return id;
  }

  document({ title, version, servers, names }: AsyncApiOptions): Json {
    return {
      asyncapi: "3.0.0",
      info: {
        title,
        version,
        description: `Godwit actors in the namespace ${names.namespace}. Any NATS client may send them work: publish to a channel's address, as MessagePack or JSON, and say which in the header Content-Type.`,
      },
      ...(servers.length > 0 && {
        servers: Object.fromEntries(servers.map((url, at) => [`nats-${at + 1}`, server(url)])),
      }),
      channels: Object.fromEntries(this.#channels),
      operations: this.#operations,
      components: { messages: this.#messages, schemas: this.#schemas },
    };
  }
}

function server(url: string): Json {
  const [, protocol = "nats", host = url] = /^(?:(\w+):\/\/)?([^/]*)/.exec(url) ?? [];
  return { host, protocol };
}

function ref(kind: "messages" | "schemas", name: string): Json {
  return { $ref: `#/components/${kind}/${name}` };
}

/** A subject as an identifier of AsyncAPI, which knows letters, digits, `.`, `-` and `_`. */
function idOf(subject: string): string {
  return subject.replace(/[^\w.-]/g, (sign) =>
    sign === "*" ? "any" : sign === ">" ? "all" : `_${sign.codePointAt(0)?.toString(16) ?? ""}_`,
  );
}

/** NATS' wildcards as parameters: those that are named, then others. */
function wildcards(subject: string, named: readonly string[]): { address: string; parameters: Json } {
  const left = [...named];
  const parameters: Json = {};
  const parts = subject.split(".").map((part, at) => {
    if (part !== "*" && part !== ">") return part;
    const given = left.shift();
    const name = given ?? (part === ">" ? "rest" : `part${at}`);
    if (given === undefined) parameters[name] = { description: part === ">" ? "One or more words." : "One word." };
    return `{${name}}`;
  });
  return { address: parts.join("."), parameters };
}
