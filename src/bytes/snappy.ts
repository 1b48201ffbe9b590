/**
 * Snappy, raw and in the framing of Java's clients.
 *
 * Raw: an unsigned varint with the length of the output, then elements by the low two bits of their
 * tag:
 *
 * ```
 * 00 literal  length - 1 in the upper six bits, or 60-63: in the next 1-4 bytes; then the bytes
 * 01 copy     length - 4 in bits 2-4, distance: bits 5-7 and one byte
 * 10 copy     length - 1 in the upper six bits, distance: two bytes
 * 11 copy     length - 1 in the upper six bits, distance: four bytes
 * ```
 *
 * Framed (the xerial stream): `82 "SNAPPY" 00`, two int32 versions, then chunks of int32 length and
 * raw snappy. librdkafka sends raw, Java framed; readers take both, and so does this one.
 *
 * @module
 */

import { Cursor } from "./cursor.ts";
import { MatchFinder } from "./match_finder.ts";
import { Writer } from "./writer.ts";

const FRAME_MAGIC = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00];
const FRAME_HEADER_SIZE = 16;
const FRAME_VERSION = 1;
/** Java cuts its stream into chunks of this size. */
const CHUNK_SIZE = 32 * 1024;
/** A copy of three bytes gives at most 64: no output is longer than this many times its input. */
const EXPANSION_MAX = 64;
const COPY_LENGTH_MAX = 64;

/** Decompresses; null where the input is malformed or more than `sizeMax` bytes would come out. */
export function decompressSnappy(input: Uint8Array, sizeMax: number): Uint8Array | null {
  if (!isFramed(input)) return decompressRaw(input, sizeMax);
  const cursor = Cursor.of(input);
  cursor.skip(FRAME_HEADER_SIZE);
  const output = new Writer();
  while (cursor.remaining() > 0) {
    const chunk = cursor.borrow(Math.max(0, cursor.int32()));
    if (cursor.bad) return null;
    const part = decompressRaw(chunk, sizeMax - output.size);
    if (part === null) return null;
    output.raw(part);
  }
  return cursor.ok() ? output.borrowBytes() : null;
}

/** Compresses in the framing of Java's clients. */
export function compressSnappy(input: Uint8Array): Uint8Array {
  const output = new Writer();
  output.raw(Uint8Array.from(FRAME_MAGIC));
  output.int32(FRAME_VERSION);
  output.int32(FRAME_VERSION);
  for (let start = 0; start < input.length; start += CHUNK_SIZE) {
    const lengthAt = output.at;
    output.int32(0);
    compressRaw(input, start, Math.min(input.length, start + CHUNK_SIZE), output);
    output.view.setInt32(lengthAt, output.at - lengthAt - 4, false);
  }
  return output.borrowBytes();
}

function isFramed(input: Uint8Array): boolean {
  return input.length >= FRAME_HEADER_SIZE && FRAME_MAGIC.every((byte, at) => input[at] === byte);
}

function decompressRaw(input: Uint8Array, sizeMax: number): Uint8Array | null {
  const cursor = Cursor.of(input);
  const size = cursor.unsignedVarint();
  if (cursor.bad || size > sizeMax || size > input.length * EXPANSION_MAX) return null;
  const output = new Uint8Array(size);
  let at = 0;
  while (cursor.remaining() > 0) {
    const tag = cursor.int8() & 0xff;
    let length = (tag >> 2) + 1;
    if ((tag & 3) === 0) {
      if (length > 60) length = littleEndian(cursor, length - 60) + 1;
      const literal = cursor.borrow(length);
      if (cursor.bad || length > size - at) return null;
      output.set(literal, at);
      at += length;
      continue;
    }
    let distance;
    if ((tag & 3) === 1) {
      length = ((tag >> 2) & 7) + 4;
      distance = ((tag >> 5) << 8) | (cursor.int8() & 0xff);
    } else {
      distance = littleEndian(cursor, (tag & 3) === 2 ? 2 : 4);
    }
    if (cursor.bad || distance === 0 || distance > at || length > size - at) return null;
    // Byte by byte: a copy may overlap what it writes.
    for (let i = 0; i < length; i++, at++) output[at] = output[at - distance]!;
  }
  return cursor.ok() && at === size ? output : null;
}

function compressRaw(input: Uint8Array, start: number, end: number, output: Writer): void {
  output.unsignedVarint(end - start);
  const finder = new MatchFinder(input, start, end, end);
  while (finder.next()) {
    writeLiteral(input, finder.literalStart, finder.matchStart, output);
    let left = finder.matchLength;
    while (left > 0) {
      const length = Math.min(left, COPY_LENGTH_MAX);
      output.int8(((length - 1) << 2) | 2);
      output.int8(finder.matchDistance & 0xff);
      output.int8(finder.matchDistance >> 8);
      left -= length;
    }
    finder.take();
  }
  writeLiteral(input, finder.literalStart, end, output);
}

function writeLiteral(input: Uint8Array, start: number, end: number, output: Writer): void {
  const length = end - start;
  if (length === 0) return;
  if (length <= 60) {
    output.int8((length - 1) << 2);
  } else {
    // Chunks are below 64 KiB: two bytes hold any length.
    output.int8(61 << 2);
    output.int8((length - 1) & 0xff);
    output.int8((length - 1) >> 8);
  }
  output.raw(input.subarray(start, end));
}

function littleEndian(cursor: Cursor, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value += (cursor.int8() & 0xff) * 256 ** i;
  return value;
}
