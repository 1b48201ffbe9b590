/**
 * CRC-32C (Castagnoli), as Kafka's record batches and all of Gregor's own files use it.
 *
 * Production computes it in the shim, with the processor's instruction; this is the same function in
 * plain TypeScript, for the simulator, for tests, and for bytes outside the region. It handles eight
 * bytes a step by table ("slicing by eight"; Kounavis and Berry, 2005).
 *
 * @module
 */

import type { Memory } from "./memory.ts";

/**
 * Checksum of a range of the region.
 *
 * @param address first byte
 * @param length number of bytes
 * @param seed the checksum of the bytes before (0 for none), so that ranges can be chained
 * @returns an unsigned 32-bit number
 */
export type Crc32c = (address: number, length: number, seed: number) => number;

/** The reflected Castagnoli polynomial. */
const POLYNOMIAL = 0x82f63b78;
const TABLES = buildTables();

/** A {@linkcode Crc32c} over `memory` that needs no shim. */
export function softwareCrc32c(memory: Memory): Crc32c {
  return (address, length, seed) => crc32cOfBytes(memory.bytes, address, address + length, seed);
}

/** Checksum of `bytes[start, end)`, going on from `seed`. */
export function crc32cOfBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
  seed: number,
): number {
  const tables = TABLES;
  let crc = ~seed;
  let at = start;
  while (end - at >= 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc = tables[0x700 + (crc & 0xff)]! ^ tables[0x600 + ((crc >>> 8) & 0xff)]! ^
      tables[0x500 + ((crc >>> 16) & 0xff)]! ^ tables[0x400 + (crc >>> 24)]! ^
      tables[0x300 + bytes[at + 4]!]! ^ tables[0x200 + bytes[at + 5]!]! ^
      tables[0x100 + bytes[at + 6]!]! ^ tables[bytes[at + 7]!]!;
    at += 8;
  }
  while (at < end) {
    crc = tables[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
    at++;
  }
  return ~crc >>> 0;
}

function buildTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    tables[byte] = crc;
  }
  for (let byte = 0; byte < 256; byte++) {
    for (let step = 1; step < 8; step++) {
      const previous = tables[(step - 1) * 256 + byte]!;
      tables[step * 256 + byte] = tables[previous & 0xff]! ^ (previous >>> 8);
    }
  }
  return tables;
}
