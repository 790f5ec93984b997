/**
 * Compression: gzip for bodies that are worth it.
 * Small ones at once, since handing them to another thread costs more than the work; large ones in zlib's threads, so that the event loop
 * is held up for no more than a millisecond or so.
 */
import { promisify } from "node:util";
import zlib from "node:zlib";
import { DecodeError } from "../kernel/errors.ts";
import { shown } from "./codec.ts";

export const gzipEncoding = "gzip";

/** Measured: 64 KiB of JSON take 0.35 ms to compress, 0.2 ms to expand. */
const atOnceBytes = 64 * 1_024;
/** Measured: level 6, the default, takes two to three times as long for 2 % less. */
const level = 1;
/** Deflate makes nothing smaller than by 1,032: more than that is what damaged bytes happen to end with. */
const maxRatio = 1_100;
const gzip = promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.gzip);
const gunzip = promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.gunzip);

/** @returns the compressed bytes, `undefined` where they are not fewer. */
export function compress(bytes: Uint8Array): Uint8Array | undefined | Promise<Uint8Array | undefined> {
  const smaller = (packed: Uint8Array): Uint8Array | undefined => (packed.length < bytes.length ? packed : undefined);
  return bytes.length <= atOnceBytes ? smaller(zlib.gzipSync(bytes, { level })) : gzip(bytes, { level }).then(smaller);
}

/**
 * Expands a body to at most `maxBytes`: what says that it is larger is not begun, what turns out to be is given up there.
 * @param encoding the header's value.
 * @throws DecodeError, also as a rejection, for an unknown encoding, bytes that are no gzip, and what is too large.
 */
export function decompress(bytes: Uint8Array, encoding: string, maxBytes: number): Uint8Array | Promise<Uint8Array> {
  const name = encoding.trim().toLowerCase();
  if (name === "identity") return bytes;
  if (name !== gzipEncoding && name !== "x-gzip") {
    throw new DecodeError(`The content encoding ${shown(encoding)} is not known; send gzip, or none.`);
  }
  const declared = declaredBytes(bytes);
  if (declared > maxBytes && declared < bytes.length * maxRatio) {
    throw new DecodeError(
      `The body expands to ${declared} bytes and ${maxBytes} are taken here; send less, or raise payload.maxBytes.`,
    );
  }
  // What it says is a hint: a large one may expand to nothing for a third of a second.
  if (declared <= atOnceBytes && bytes.length <= atOnceBytes) {
    try {
      return zlib.gunzipSync(bytes, { maxOutputLength: Math.min(maxBytes, atOnceBytes) });
    } catch (thrown) {
      // Larger than it says, as several archives in one are, or a lie.
      if (!isTooLarge(thrown)) throw notGzip(thrown);
    }
  }
  return gunzip(bytes, { maxOutputLength: maxBytes }).catch((thrown: unknown) => {
    if (!isTooLarge(thrown)) throw notGzip(thrown);
    throw new DecodeError(
      `The body expands to more than the ${maxBytes} bytes that are taken here; send less, or raise payload.maxBytes.`,
    );
  });
}

/** The size that a gzip ends with, of its last part and modulo 4 GB (RFC 1952, ISIZE). Only a hint. */
function declaredBytes(bytes: Uint8Array): number {
  if (bytes.length < 18) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 4, 4).getUint32(0, true);
}

function isTooLarge(thrown: unknown): boolean {
  return (thrown as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE";
}

function notGzip(cause: unknown): DecodeError {
  return new DecodeError(`The body is not valid gzip: ${(cause as Error).message}`, { cause });
}
