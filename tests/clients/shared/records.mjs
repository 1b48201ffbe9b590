/**
 * The records that every client writes and reads: see ../README.md.
 *
 * Plain JavaScript, because Node.js runs it too.
 *
 * @module
 */

import { Buffer } from "node:buffer";

const BLOCK_SIZE = 65536;
const LARGE_LENGTH = 20000;
const BLOCK = makeBlock();

/** A record is not what was written. */
export class Mismatch extends Error {
  name = "Mismatch";
}

function makeBlock() {
  const block = Buffer.alloc(BLOCK_SIZE);
  let x = 2463534242 | 0;
  for (let j = 0; j < BLOCK_SIZE; j++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    const byte = j < 32768 ? x & 0xff : 97 + (x & 15);
    block[j] = byte === 9 || byte === 10 ? 95 : byte;
  }
  return block;
}

/** @param {number} i @returns {Buffer | null} */
export function keyOf(i) {
  return i % 7 === 3 ? null : Buffer.from(`key-${i % 5000}`);
}

/** @param {number} seed @param {number} i @returns {Buffer | null} */
export function valueOf(seed, i) {
  if (i % 13 === 5) return null;
  const length = i % 1000 === 999 ? LARGE_LENGTH : 20 + (i * 31) % 180;
  const start = (i * 7919 + seed * 104729) % (BLOCK_SIZE - LARGE_LENGTH);
  return Buffer.concat([Buffer.from(`${seed}:${i}:`), BLOCK.subarray(start, start + length)]);
}

/** @param {number} i @returns {[string, Buffer][]} */
export function headersOf(i) {
  /** @type {[string, Buffer][]} */
  const both = [["a", Buffer.from(String(i))], ["b", Buffer.from(`é-${i % 10}`)]];
  return both.slice(0, i % 3);
}

/** @param {number} baseMs @param {number} i */
export function timestampOf(baseMs, i) {
  return baseMs + i * 3 - (i % 5) * 7;
}

/**
 * Compares a record with what its place must hold.
 *
 * @param {import("./program.mjs").Options} options
 * @param {number} partition
 * @param {number} offset
 * @param {{ key: Buffer | null, value: Buffer | null, headers: [string, Buffer][], timestampMs: number }} record
 */
export function verify(options, partition, offset, record) {
  const i = offset * options.partitions + partition;
  const fail = (/** @type {string} */ what, /** @type {unknown} */ found) => {
    throw new Mismatch(
      `record ${i} of seed ${options.seed} at ${partition}/${offset}: wrong ${what} ${found}`,
    );
  };
  if (!sameBytes(record.key, keyOf(i))) fail("key", record.key);
  if (!sameBytes(record.value, valueOf(options.seed, i))) fail("value", record.value);
  const plain = options.shape === "plain";
  /** @type {[string, Buffer][]} */
  const headers = plain ? [["origin", Buffer.from("kcat")]] : headersOf(i);
  const same = record.headers.length === headers.length && headers.every(([name, value], at) => {
    return record.headers[at]?.[0] === name && sameBytes(record.headers[at][1], value);
  });
  if (!same) fail("headers", JSON.stringify(record.headers));
  const timely = plain
    ? record.timestampMs >= options.baseMs && record.timestampMs <= Date.now() + 60_000
    : record.timestampMs === timestampOf(options.baseMs, i);
  if (!timely) fail("timestamp", record.timestampMs);
}

/** Tells null from empty, as Kafka does. @param {Buffer | null} a @param {Buffer | null} b */
function sameBytes(a, b) {
  return a === null || b === null ? a === b : a.equals(b);
}
