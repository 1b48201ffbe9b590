/**
 * LZ4 in its frame format, as Kafka's clients use it.
 *
 * ```
 * frame  magic:4  flags:1  block size:1  [content size:8]  [dictionary id:4]  header checksum:1
 *        blocks, each size:4 (top bit: stored as it is), bytes, [checksum:4]
 *        0:4  [content checksum:4]                                    all numbers little-endian
 * block  sequences: token (literal length:4 bits, match length - 4:4 bits), [more length], literals,
 *        distance:2, [more length]; 15 in the token: bytes follow that are added, until one is not 255
 * ```
 *
 * Flags: 6-7 version 1, 5 independent blocks, 4 block checksums, 3 content size, 2 content
 * checksum, 0 dictionary. The last sequence of a block has literals alone, at least five of them,
 * and no match begins in the last twelve bytes.
 *
 * @module
 */

import { Cursor } from "./cursor.ts";
import { MatchFinder } from "./match_finder.ts";
import { Writer } from "./writer.ts";
import { xxHash32 } from "./xxhash32.ts";

const MAGIC = 0x184d2204;
const VERSION_MASK = 0xc0;
const VERSION_1 = 0x40;
const INDEPENDENT_BLOCKS = 0x20;
const BLOCK_CHECKSUMS = 0x10;
const CONTENT_SIZE = 0x08;
const CONTENT_CHECKSUM = 0x04;
const DICTIONARY = 0x01;
const STORED = 0x8000_0000;
/** Code 4 of the block size byte: 64 KiB. */
const BLOCK_SIZE_64K = 0x40;
const BLOCK_SIZE = 64 * 1024;
const MATCH_MIN = 4;
const LAST_LITERALS = 5;
const MATCH_START_MARGIN = 12;

/** Decompresses a frame; null where it is malformed or more than `sizeMax` bytes would come out. */
export function decompressLz4(input: Uint8Array, sizeMax: number): Uint8Array | null {
  const cursor = Cursor.of(input);
  const flags = readHeader(cursor);
  if (cursor.bad) return null;
  const output = new Output(sizeMax);
  while (true) {
    const header = readUint32(cursor);
    if (cursor.bad) return null;
    if (header === 0) break;
    const size = header % STORED;
    const start = cursor.at;
    cursor.skip(size);
    if ((flags & BLOCK_CHECKSUMS) !== 0) {
      const checksum = readUint32(cursor);
      if (!cursor.bad && xxHash32(input, start, start + size) !== checksum) return null;
    }
    if (cursor.bad) return null;
    const done = header >= STORED
      ? output.append(input, start, start + size)
      : decompressBlock(input, start, start + size, output);
    if (!done) return null;
  }
  if ((flags & CONTENT_CHECKSUM) !== 0) {
    const checksum = readUint32(cursor);
    if (cursor.bad || xxHash32(output.bytes, 0, output.size) !== checksum) return null;
  }
  return cursor.atEnd() ? output.bytes.subarray(0, output.size) : null;
}

/** Compresses to a frame of independent blocks of 64 KiB, without checksums of the content. */
export function compressLz4(input: Uint8Array): Uint8Array {
  const output = new Writer();
  const descriptor = Uint8Array.of(VERSION_1 | INDEPENDENT_BLOCKS, BLOCK_SIZE_64K);
  writeUint32(output, MAGIC);
  output.raw(descriptor);
  output.int8(headerChecksum(descriptor, 0, descriptor.length));
  for (let start = 0; start < input.length; start += BLOCK_SIZE) {
    const end = Math.min(input.length, start + BLOCK_SIZE);
    const sizeAt = output.at;
    output.int32(0);
    compressBlock(input, start, end, output);
    const size = output.at - sizeAt - 4;
    if (size < end - start) {
      output.view.setUint32(sizeAt, size, true);
    } else {
      output.at = sizeAt;
      writeUint32(output, STORED + (end - start));
      output.raw(input.subarray(start, end));
    }
  }
  writeUint32(output, 0);
  return output.borrowBytes();
}

/** Reads up to the first block; gives the flags. */
function readHeader(cursor: Cursor): number {
  if (readUint32(cursor) !== MAGIC) cursor.fail();
  const start = cursor.at;
  const flags = cursor.int8() & 0xff;
  cursor.skip(1);
  if ((flags & CONTENT_SIZE) !== 0) cursor.skip(8);
  if ((flags & VERSION_MASK) !== VERSION_1 || (flags & DICTIONARY) !== 0) cursor.fail();
  const end = cursor.at;
  const checksum = cursor.int8() & 0xff;
  if (!cursor.bad && headerChecksum(cursor.bytes, start, end) !== checksum) cursor.fail();
  return flags;
}

function headerChecksum(bytes: Uint8Array, start: number, end: number): number {
  return (xxHash32(bytes, start, end) >>> 8) & 0xff;
}

/**
 * What has come out so far; grows up to its limit. Blocks that are not independent look back into
 * it.
 */
class Output {
  bytes: Uint8Array;
  size = 0;
  readonly #sizeMax: number;

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
    this.bytes = new Uint8Array(Math.min(sizeMax, BLOCK_SIZE));
  }

  append(from: Uint8Array, start: number, end: number): boolean {
    if (!this.#reserve(end - start)) return false;
    this.bytes.set(from.subarray(start, end), this.size);
    this.size += end - start;
    return true;
  }

  /** Repeats `length` bytes from `distance` back; they may overlap what is written. */
  repeat(distance: number, length: number): boolean {
    if (distance === 0 || distance > this.size || !this.#reserve(length)) return false;
    const { bytes } = this;
    let at = this.size;
    for (let i = 0; i < length; i++, at++) bytes[at] = bytes[at - distance]!;
    this.size = at;
    return true;
  }

  #reserve(more: number): boolean {
    const needed = this.size + more;
    if (needed > this.#sizeMax) return false;
    if (needed > this.bytes.length) {
      const bytes = new Uint8Array(
        Math.min(this.#sizeMax, Math.max(needed, this.bytes.length * 2)),
      );
      bytes.set(this.bytes);
      this.bytes = bytes;
    }
    return true;
  }
}

function decompressBlock(input: Uint8Array, start: number, end: number, output: Output): boolean {
  let at = start;
  while (at < end) {
    const token = input[at++]!;
    let literals = token >> 4;
    if (literals === 15) {
      let byte;
      do {
        if (at >= end) return false;
        byte = input[at++]!;
        literals += byte;
      } while (byte === 255);
    }
    if (literals > end - at || !output.append(input, at, at + literals)) return false;
    at += literals;
    // The last sequence has no match.
    if (at === end) return true;
    if (at + 2 > end) return false;
    const distance = input[at]! | (input[at + 1]! << 8);
    at += 2;
    let length = (token & 15) + MATCH_MIN;
    if ((token & 15) === 15) {
      let byte;
      do {
        if (at >= end) return false;
        byte = input[at++]!;
        length += byte;
      } while (byte === 255);
    }
    if (!output.repeat(distance, length)) return false;
  }
  return false;
}

function compressBlock(input: Uint8Array, start: number, end: number, output: Writer): void {
  const finder = new MatchFinder(input, start, end - MATCH_START_MARGIN, end - LAST_LITERALS);
  while (finder.next()) {
    const literals = finder.matchStart - finder.literalStart;
    const length = finder.matchLength - MATCH_MIN;
    output.int8((Math.min(literals, 15) << 4) | Math.min(length, 15));
    writeMore(output, literals);
    output.raw(input.subarray(finder.literalStart, finder.matchStart));
    output.int8(finder.matchDistance & 0xff);
    output.int8(finder.matchDistance >> 8);
    writeMore(output, length);
    finder.take();
  }
  const literals = end - finder.literalStart;
  output.int8(Math.min(literals, 15) << 4);
  writeMore(output, literals);
  output.raw(input.subarray(finder.literalStart, end));
}

/** The part of a length that the token had no room for. */
function writeMore(output: Writer, length: number): void {
  if (length < 15) return;
  let rest = length - 15;
  for (; rest >= 255; rest -= 255) output.int8(255);
  output.int8(rest);
}

function readUint32(cursor: Cursor): number {
  const at = cursor.at;
  cursor.skip(4);
  return cursor.bad ? 0 : cursor.view.getUint32(at, true);
}

function writeUint32(output: Writer, value: number): void {
  const at = output.at;
  output.uint32(0);
  output.view.setUint32(at, value, true);
}
