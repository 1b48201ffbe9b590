/**
 * The four compressions of record batches, for code that must read records: the command line, look-ups by time,
 * tests. The shim decompresses produced batches for their checks (`src/io/record_walk.ts`); they are stored and
 * sent unchanged.
 *
 * Gzip and zstd come from the runtime; snappy and lz4 are our own (`snappy.ts`, `lz4.ts`). The
 * numbers are those of a batch's attributes (`src/wire/record_batch.ts`).
 *
 * This is the one file of its folder that may import from `node:`.
 *
 * @module
 */

import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { unreachable } from "../base/assert.ts";
import { compressLz4, decompressLz4 } from "./lz4.ts";
import { compressSnappy, decompressSnappy } from "./snappy.ts";
import { zstdFrameEnd } from "./zstd_frame.ts";

const NONE = 0;
const GZIP = 1;
const SNAPPY = 2;
const LZ4 = 3;
const ZSTD = 4;

/** By the names that settings and the command line use; the index is the number in a batch. */
export const COMPRESSION_NAMES: readonly string[] = ["none", "gzip", "snappy", "lz4", "zstd"];

/**
 * Decompresses `input`.
 *
 * @param sizeMax the most bytes that may come out; memory stays in proportion to it, whatever
 * arrives
 * @returns null where the input is malformed, more would come out, or the compression is not known
 */
export function decompress(
  compression: number,
  input: Uint8Array,
  sizeMax: number,
): Uint8Array | null {
  switch (compression) {
    case NONE:
      return input.length <= sizeMax ? input : null;
    case GZIP:
      return refused(() => gunzipSync(input, { maxOutputLength: sizeMax + 1 }), sizeMax);
    case SNAPPY:
      return decompressSnappy(input, sizeMax);
    case LZ4:
      return decompressLz4(input, sizeMax);
    case ZSTD:
      return decompressZstd(input, sizeMax);
    default:
      return null;
  }
}

/** Compresses `input` as Kafka's own clients would frame it. */
export function compress(compression: number, input: Uint8Array): Uint8Array {
  switch (compression) {
    case NONE:
      return input;
    case GZIP:
      return plainBytes(gzipSync(input));
    case SNAPPY:
      return compressSnappy(input);
    case LZ4:
      return compressLz4(input);
    case ZSTD:
      return plainBytes(zstdCompressSync(input));
    default:
      return unreachable(`there is no compression ${compression}`);
  }
}

/** Frame by frame: the runtime stops after the first one and treats a cut frame as a short one. */
function decompressZstd(input: Uint8Array, sizeMax: number): Uint8Array | null {
  if (input.length === 0) return null;
  const parts: Uint8Array[] = [];
  let size = 0;
  let at = 0;
  while (at < input.length) {
    const end = zstdFrameEnd(input, at);
    if (end < 0) return null;
    const frame = input.subarray(at, end);
    const left = sizeMax - size;
    const part = refused(() => zstdDecompressSync(frame, { maxOutputLength: left + 1 }), left);
    if (part === null) return null;
    parts.push(part);
    size += part.length;
    at = end;
  }
  if (parts.length === 1) return parts[0]!;
  const output = new Uint8Array(size);
  let to = 0;
  for (const part of parts) {
    output.set(part, to);
    to += part.length;
  }
  return output;
}

/** The runtime's decoders throw on malformed input, and when it is too long. */
function refused(decode: () => Uint8Array, sizeMax: number): Uint8Array | null {
  try {
    const output = decode();
    return output.length <= sizeMax ? plainBytes(output) : null;
  } catch (error) {
    if (error instanceof Error) return null;
    throw error;
  }
}

/** The runtime gives its own kind of array, which compares unequal to others. */
function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
