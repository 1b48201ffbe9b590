/**
 * The encoder's position in a buffer, for cold responses and for clients.
 *
 * Two kinds: a *growable* writer owns an ordinary buffer and doubles it as needed; a *bounded* one
 * writes in place (in the region) and, when the room does not suffice, keeps its position, drops
 * what follows and says so in {@linkcode Writer.overflow}. Hot responses do not come here
 * (`src/wire/*_response.ts`).
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { setInt64 } from "./int64.ts";
import type { ByteSource } from "./cursor.ts";
import { encodeUtf8, utf8Size } from "./utf8.ts";
import { unsignedVarintSize } from "./varint.ts";

const FIRST_SIZE = 256;
const STRING_SIZE_MAX = 0x7fff;
/** Characters of a message for people. */
const MESSAGE_LENGTH_MAX = 4096;
const TWO_TO_32 = 2 ** 32;
const TWO_TO_63 = 2 ** 63;

/** Writes big-endian fields of the Kafka protocol. */
export class Writer {
  bytes: Uint8Array;
  view: DataView;
  /** Where the next byte goes. */
  at: number;
  /** A bounded writer ran out of room: what it wrote is not complete. */
  overflow: boolean;
  #start: number;
  #end: number;
  readonly #growable: boolean;
  readonly #sizeMax: number;

  /**
   * A growable writer; or a bounded one, over `[start, end)` of `target`.
   *
   * @param sizeMax bytes that a growable one may have; beyond, it is a bounded one without room
   */
  constructor(
    target: ByteSource | null = null,
    start: number = 0,
    end: number = 0,
    sizeMax: number = Infinity,
  ) {
    this.#sizeMax = sizeMax;
    const bytes = target === null ? new Uint8Array(FIRST_SIZE) : target.bytes;
    this.bytes = bytes;
    this.view = target === null ? new DataView(bytes.buffer) : target.view;
    this.at = start;
    this.overflow = false;
    this.#start = start;
    this.#end = target === null ? bytes.length : end;
    this.#growable = target === null;
  }

  /** Bytes written. */
  get size(): number {
    return this.at - this.#start;
  }

  /** What was written; a view that the next use of this writer may overwrite. */
  borrowBytes(): Uint8Array {
    return this.bytes.subarray(this.#start, this.at);
  }

  /** What was written, copied. */
  copyBytes(): Uint8Array {
    return this.bytes.slice(this.#start, this.at);
  }

  /** Points a bounded writer at another place. */
  reset(target: ByteSource, start: number, end: number): void {
    assert(!this.#growable, "a growable writer has a buffer of its own");
    this.bytes = target.bytes;
    this.view = target.view;
    this.at = start;
    this.overflow = false;
    this.#start = start;
    this.#end = end;
  }

  /** Starts again with the same buffer. */
  clear(): void {
    this.at = this.#start;
    this.overflow = false;
  }

  bool(value: boolean): void {
    this.int8(value ? 1 : 0);
  }

  int8(value: number): void {
    const at = this.#claim(1);
    if (at >= 0) this.view.setInt8(at, value);
  }

  int16(value: number): void {
    const at = this.#claim(2);
    if (at >= 0) this.view.setInt16(at, value, false);
  }

  uint16(value: number): void {
    const at = this.#claim(2);
    if (at >= 0) this.view.setUint16(at, value, false);
  }

  int32(value: number): void {
    const at = this.#claim(4);
    if (at >= 0) this.view.setInt32(at, value, false);
  }

  uint32(value: number): void {
    const at = this.#claim(4);
    if (at >= 0) this.view.setUint32(at, value, false);
  }

  /** 2^63 and more (a rounded maximum) become the greatest int64. */
  int64(value: number): void {
    const at = this.#claim(8);
    if (at < 0) return;
    if (value < TWO_TO_63) {
      setInt64(this.view, at, value);
    } else {
      this.view.setInt32(at, 0x7fff_ffff, false);
      this.view.setInt32(at + 4, -1, false);
    }
  }

  float64(value: number): void {
    const at = this.#claim(8);
    if (at >= 0) this.view.setFloat64(at, value, false);
  }

  /** Writes 0 to 2^32 - 1. */
  unsignedVarint(value: number): void {
    let at = this.#claim(unsignedVarintSize(value));
    if (at < 0) return;
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[at] = rest;
  }

  /** Zigzag form of an int32. */
  varint(value: number): void {
    this.unsignedVarint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  /** Zigzag form of a safe integer. */
  varlong(value: number): void {
    // In two halves: a zigzagged safe integer has 54 bits, one more than a double holds exactly.
    const high = Math.floor(value / TWO_TO_32);
    const sign = high >> 31;
    let restHigh = (((high << 1) | ((value >>> 0) >>> 31)) ^ sign) >>> 0;
    let restLow = ((value << 1) ^ sign) >>> 0;
    while (restHigh !== 0 || restLow >= 0x80) {
      this.int8((restLow & 0x7f) | 0x80);
      restLow = ((restLow >>> 7) | (restHigh << 25)) >>> 0;
      restHigh >>>= 7;
    }
    this.int8(restLow);
  }

  string(value: string, flexible: boolean): void {
    const size = utf8Size(value);
    if (size > STRING_SIZE_MAX) {
      throw new RangeError(`Cannot encode a string of ${size} bytes: expected at most 32767`);
    }
    if (flexible) this.unsignedVarint(size + 1);
    else this.int16(size);
    const at = this.#claim(size);
    if (at >= 0) encodeUtf8(value, this.bytes, at);
  }

  /** The bytes of a string, without a length. */
  text(value: string): void {
    const at = this.#claim(utf8Size(value));
    if (at >= 0) encodeUtf8(value, this.bytes, at);
  }

  nullableString(value: string | null, flexible: boolean): void {
    if (value !== null) this.string(value, flexible);
    else if (flexible) this.unsignedVarint(0);
    else this.int16(-1);
  }

  /** A text for people; what is too long is cut. Such texts quote what clients sent. */
  message(value: string, flexible: boolean): void {
    this.string(clipped(value), flexible);
  }

  nullableMessage(value: string | null, flexible: boolean): void {
    this.nullableString(value === null ? null : clipped(value), flexible);
  }

  /** Length-prefixed bytes. */
  byteString(value: Uint8Array, flexible: boolean): void {
    if (flexible) this.unsignedVarint(value.length + 1);
    else this.int32(value.length);
    this.raw(value);
  }

  nullableByteString(value: Uint8Array | null, flexible: boolean): void {
    if (value !== null) this.byteString(value, flexible);
    else if (flexible) this.unsignedVarint(0);
    else this.int32(-1);
  }

  /** Bytes of the same buffer, as they are: from the region to the region. */
  copyWithin(from: number, size: number): void {
    const at = this.#claim(size);
    if (at >= 0) this.bytes.copyWithin(at, from, from + size);
  }

  /** Bytes as they are. */
  raw(value: Uint8Array): void {
    const at = this.#claim(value.length);
    if (at >= 0) this.bytes.set(value, at);
  }

  /** Count of an array's elements; -1 for null. */
  arrayLength(length: number, flexible: boolean): void {
    if (flexible) this.unsignedVarint(length + 1);
    else this.int32(length);
  }

  /** Opens a tagged field; what it returns goes to {@linkcode endTag}. */
  beginTag(tag: number): number {
    this.unsignedVarint(tag);
    return this.at;
  }

  /** Closes a tagged field: its size, known only now, is put before its bytes. */
  endTag(start: number): void {
    const size = this.at - start;
    const end = this.at;
    const room = this.#claim(unsignedVarintSize(size));
    if (room < 0) return;
    this.bytes.copyWithin(this.at - size, start, end);
    const behind = this.at;
    this.at = start;
    this.unsignedVarint(size);
    this.at = behind;
  }

  /** Position of the next `size` bytes; -1 when a bounded writer has no room for them. */
  #claim(size: number): number {
    const at = this.at;
    if (this.overflow) return -1;
    if (size > this.#end - at) {
      if (!this.#growable || at + size > this.#sizeMax) {
        this.overflow = true;
        return -1;
      }
      this.#grow(at + size);
    }
    this.at = at + size;
    return at;
  }

  #grow(needed: number): void {
    const room = Math.min(this.#sizeMax, Math.max(needed, this.bytes.length * 2));
    const bytes = new Uint8Array(room);
    bytes.set(this.bytes);
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
    this.#end = bytes.length;
  }
}

function clipped(message: string): string {
  if (message.length <= MESSAGE_LENGTH_MAX) return message;
  return `${message.slice(0, MESSAGE_LENGTH_MAX)}…`;
}
