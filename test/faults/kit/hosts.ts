/**
 * Hosts: two places for workers that can be cut off from the server, each by itself.
 * 1. Network namespaces, each with a cable of its own (a veth pair) to a bridge on which the server is reached. They need root and `ip`.
 * 2. Where they cannot be made: separate loopback addresses, with a proxy on each that swallows what goes through it.
 * 3. What is made bears the name of this process; what an earlier run left behind that was killed is removed first.
 */
import { isGone } from "../../support/embedded/until.ts";
import type { Proxy } from "../../support/faults/proxy.ts";
import { missingTool, run } from "../../support/tools.ts";

/** A place for workers. */
export interface Host {
  readonly name: string;
  /** Where it reaches the server. */
  readonly url: string;
  /** What a program is run by to run there. */
  readonly prefix: readonly string[];
  /** Pulls the cable: nobody is told. */
  cut(): Promise<void>;
  /** Puts it back. */
  mend(): Promise<void>;
}

export interface Hosts {
  readonly kind: "network namespaces" | "loopback addresses";
  readonly hosts: readonly [Host, Host];
  close(): Promise<void>;
}

/** Interface names hold 15 characters. */
const prefix = "gwf";
const subnet = "10.213.77";

/** @param proxy makes a proxy to the server that takes connections on an address. */
export async function makeHosts(proxy: (address: string) => Promise<Proxy>): Promise<Hosts> {
  const reason = missingTool("ip", "iproute2") ?? (await lack());
  if (reason === undefined) return namespaces(proxy);
  console.log(`no network namespaces (${reason}): loopback addresses and proxies instead`);
  const hosts = await Promise.all(
    ["127.0.0.2", "127.0.0.3"].map((address, at) => loopbackHost("ab"[at] ?? "", proxy, address)),
  );
  return { kind: "loopback addresses", hosts: hosts as [Host, Host], close: async () => undefined };
}

/** Why no namespaces can be made; undefined where they can. */
async function lack(): Promise<string | undefined> {
  const trial = `${prefix}${process.pid}t`;
  try {
    await ip(`netns add ${trial}`);
    await ip(`link add ${trial} type bridge`);
    await ip(`link del ${trial}`);
    return undefined;
  } catch (error) {
    return String(error).split("\n")[0];
  } finally {
    await ip(`netns del ${trial}`).catch(() => undefined);
  }
}

async function namespaces(proxy: (address: string) => Promise<Proxy>): Promise<Hosts> {
  await removeLeftovers();
  const mine = `${prefix}${process.pid}`;
  const bridge = `${mine}h`;
  const hosts: Host[] = [];
  const close = async (): Promise<void> => {
    for (const name of ["a", "b"]) await ip(`netns del ${mine}${name}`).catch(() => undefined);
    await ip(`link del ${bridge}`).catch(() => undefined);
  };
  try {
    await ip(`link add ${bridge} type bridge`);
    await ip(`addr add ${subnet}.1/24 dev ${bridge}`);
    await ip(`link set ${bridge} up`);
    const { url } = await proxy(`${subnet}.1`);
    for (const [at, name] of ["a", "b"].entries()) {
      const space = `${mine}${name}`;
      await ip(`netns add ${space}`);
      await ip(`link add ${space} type veth peer name eth0 netns ${space}`);
      await ip(`link set ${space} master ${bridge} up`);
      await ip(`-n ${space} addr add ${subnet}.${at + 2}/24 dev eth0`);
      await ip(`-n ${space} link set eth0 up`);
      await ip(`-n ${space} link set lo up`);
      hosts.push({
        name,
        url,
        prefix: ["ip", "netns", "exec", space],
        cut: () => ip(`link set ${space} down`),
        mend: () => ip(`link set ${space} up`),
      });
    }
    return { kind: "network namespaces", hosts: hosts as [Host, Host], close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function loopbackHost(name: string, proxy: (address: string) => Promise<Proxy>, address: string): Promise<Host> {
  const way = await proxy(address);
  return {
    name,
    url: way.url,
    prefix: [],
    cut: async () => way.isolate(),
    mend: async () => {
      way.drop();
      way.mend();
    },
  };
}

/** Removes what bears the name of a process that is gone. */
async function removeLeftovers(): Promise<void> {
  const pattern = new RegExp(`\\b${prefix}(\\d+)([abht])\\b`, "g");
  const { stdout: spaces } = await run("ip", ["netns", "list"]);
  const { stdout: links } = await run("ip", ["-o", "link", "show"]);
  for (const [what, listed] of [
    ["netns", spaces],
    ["link", links],
  ] as const) {
    for (const [name, pid] of new Set(listed.matchAll(pattern))) {
      if (isGone(Number(pid))) await ip(`${what} del ${name}`).catch(() => undefined);
    }
  }
}

async function ip(args: string): Promise<void> {
  await run("ip", args.split(" "));
}
