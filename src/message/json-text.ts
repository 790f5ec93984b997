/** JSON text for people and tools, of any value that a body can be. */

/** JSON in which what MessagePack can carry and JSON cannot is still legible. */
export function toJson(value: unknown, indent?: number): string {
  // `this` is the object that holds the value: a Buffer has been turned into something else by its own toJSON.
  const replace = function (this: Record<string, unknown>, key: string, plain: unknown): unknown {
    const raw = this[key];
    if (raw instanceof Uint8Array) return { base64: Buffer.from(raw).toString("base64") };
    if (typeof raw === "bigint") return raw.toString();
    if (raw instanceof Error) return { name: raw.name, message: raw.message };
    return plain;
  };
  return JSON.stringify(value, replace, indent) ?? "null";
}
