/**
 * The decoder's position in received bytes, with a sticky error.
 *
 * Bytes from the network may be malformed. A read out of bounds or an invalid length sets
 * {@linkcode Cursor.bad}, stops the cursor and returns 0, "" or nothing; decoders are straight lines
 * without checks, and their caller asks {@linkcode Cursor.ok} once at the end.
 *
 * Two things are read as Kafka reads them, because clients send them: any negative length is null, and
 * text that is not UTF-8 (names in Latin-1) has replacement characters.
 *
 * Memory stays bounded by the input: a length is checked against the bytes that are left before
 * anything is made of it, and all arrays of one message together may have at most `elementsMax`
 * elements, because an object costs far more than the byte or two that announce it.
 *
 * @module
 */

import { getInt64 } from "./int64.ts";
import { decodeUtf8Lossy } from "./utf8.ts";

/** Array elements of one message, all arrays together. */
export const ELEMENTS_MAX = 1_000_000;

/** Tagged fields of one section: Kafka's limit. */
export const TAGS_MAX = 10_000;

/** Bytes of a string. */
const STRING_SIZE_MAX = 0x7fff;

const NO_BYTES = new Uint8Array(0);

/** Bytes and a view of the same bytes: a region, or any other buffer. */
export interface ByteSource {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Reads big-endian fields of the Kafka protocol from `[start, end)` of a buffer. */
export class Cursor {
  bytes: Uint8Array;
  view: DataView;
  /** The next byte to read. */
  at: number;
  /** The first byte that may not be read. */
  end: number;
  /** Something was malformed; nothing that was read since counts. */
  bad: boolean;
  #elementsLeft: number;
  #elementsMax: number;

  /** @param elementsMax bound on the array elements of one message */
  constructor(source: ByteSource, start: number, end: number, elementsMax: number = ELEMENTS_MAX) {
    this.bytes = source.bytes;
    this.view = source.view;
    this.at = start;
    this.end = end;
    this.bad = start < 0 || end < start || end > source.bytes.length;
    this.#elementsLeft = elementsMax;
    this.#elementsMax = elementsMax;
  }

  /** Points it at other bytes; what is reused allocates nothing. */
  reset(source: ByteSource, start: number, end: number, elementsMax: number = ELEMENTS_MAX): void {
    this.bytes = source.bytes;
    this.view = source.view;
    this.at = start;
    this.end = end;
    this.bad = start < 0 || end < start || end > source.bytes.length;
    this.#elementsLeft = elementsMax;
    this.#elementsMax = elementsMax;
  }

  /** Array elements announced so far, all arrays together. */
  get elements(): number {
    return this.#elementsMax - this.#elementsLeft;
  }

  /** A cursor over all of `bytes`. */
  static of(bytes: Uint8Array, elementsMax: number = ELEMENTS_MAX): Cursor {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return new Cursor({ bytes, view }, 0, bytes.length, elementsMax);
  }

  /** Nothing malformed so far. */
  ok(): boolean {
    return !this.bad;
  }

  /** Everything was read and nothing was malformed. */
  atEnd(): boolean {
    return !this.bad && this.at === this.end;
  }

  /** Bytes not yet read; 0 once bad. */
  remaining(): number {
    return this.bad ? 0 : this.end - this.at;
  }

  /** Marks the input as malformed. */
  fail(): void {
    this.bad = true;
  }

  /** Steps over `size` bytes. */
  skip(size: number): void {
    this.#take(size);
  }

  bool(): boolean {
    return this.int8() !== 0;
  }

  int8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.view.getInt8(at);
  }

  int16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.view.getInt16(at, false);
  }

  uint16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.view.getUint16(at, false);
  }

  int32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.view.getInt32(at, false);
  }

  uint32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.view.getUint32(at, false);
  }

  /** Beyond 2^53 the low bits are lost. */
  int64(): number {
    const at = this.#take(8);
    return at < 0 ? 0 : getInt64(this.view, at);
  }

  float64(): number {
    const at = this.#take(8);
    return at < 0 ? 0 : this.view.getFloat64(at, false);
  }

  /** Seven bits per byte, low first, at most 32 bits. */
  unsignedVarint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const at = this.#take(1);
      if (at < 0) return 0;
      const byte = this.bytes[at]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    const at = this.#take(1);
    if (at < 0) return 0;
    const last = this.bytes[at]!;
    if (last > 0x0f) {
      this.bad = true;
      return 0;
    }
    return value + last * 0x1000_0000;
  }

  /** Zigzag form, an int32. */
  varint(): number {
    const raw = this.unsignedVarint();
    return (raw >>> 1) ^ -(raw & 1);
  }

  /** Zigzag form, an int64; beyond 2^53 the low bits are lost. */
  varlong(): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const at = this.#take(1);
      if (at < 0) return 0;
      const byte = this.bytes[at]!;
      if (shift < 28) low |= (byte & 0x7f) << shift;
      else if (shift === 28) {
        low |= (byte & 0x0f) << 28;
        high = (byte & 0x70) >> 4;
      } else if (shift < 63) high |= (byte & 0x7f) << (shift - 32);
      else if (byte > 1) break;
      else high |= byte << 31;
      if (byte < 0x80) {
        const sign = -(low & 1);
        const outLow = (((low >>> 1) | (high << 31)) ^ sign) >>> 0;
        const outHigh = (high >>> 1) ^ sign;
        return outHigh * 0x1_0000_0000 + outLow;
      }
    }
    this.bad = true;
    return 0;
  }

  /** A length-prefixed string that may not be null. */
  string(flexible: boolean): string {
    return this.#text(this.stringLength(flexible));
  }

  nullableString(flexible: boolean): string | null {
    const length = this.nullableStringLength(flexible);
    return length < 0 ? null : this.#text(length);
  }

  /** Length-prefixed bytes, *borrowed*: a view of the input, valid as long as that. */
  byteString(flexible: boolean): Uint8Array {
    const length = this.nullableByteStringLength(flexible);
    if (length >= 0) return this.borrow(length);
    this.bad = true;
    return NO_BYTES;
  }

  /** As {@linkcode byteString}, or null. */
  nullableByteString(flexible: boolean): Uint8Array | null {
    const length = this.nullableByteStringLength(flexible);
    return length < 0 ? null : this.borrow(length);
  }

  /** Length of the string whose bytes come next: for readers in place, who step over them. */
  stringLength(flexible: boolean): number {
    const length = this.nullableStringLength(flexible);
    if (length >= 0) return length;
    this.bad = true;
    return 0;
  }

  /** As {@linkcode stringLength}, -1 for null. */
  nullableStringLength(flexible: boolean): number {
    const length = this.#length(flexible ? this.#compactLength() : this.int16());
    // Compact strings could be longer; no Kafka takes them, and no answer could repeat them.
    if (length <= STRING_SIZE_MAX) return length;
    this.bad = true;
    return 0;
  }

  /** As {@linkcode nullableStringLength}, of bytes or records. */
  nullableByteStringLength(flexible: boolean): number {
    return this.#length(flexible ? this.#compactLength() : this.int32());
  }

  /** The next `length` bytes, borrowed. */
  borrow(length: number): Uint8Array {
    const at = this.#take(length);
    return at < 0 ? NO_BYTES : this.bytes.subarray(at, at + length);
  }

  /** Element count of an array that may not be null; never more than there can be. */
  arrayLength(flexible: boolean): number {
    const length = this.nullableArrayLength(flexible);
    if (length >= 0) return length;
    this.bad = true;
    return 0;
  }

  /** As {@linkcode arrayLength}, -1 for null. */
  nullableArrayLength(flexible: boolean): number {
    const length = flexible ? this.#compactLength() : this.int32();
    if (this.bad) return 0;
    if (length < 0) return -1;
    // No element takes less than a byte.
    if (length > this.end - this.at || length > this.#elementsLeft) {
      this.bad = true;
      return 0;
    }
    this.#elementsLeft -= length;
    return length;
  }

  /** Count of tagged fields that follow. */
  tagCount(): number {
    const count = this.unsignedVarint();
    // Each takes a tag and a size.
    if (count <= TAGS_MAX && count * 2 <= this.end - this.at) return count;
    this.bad = true;
    return 0;
  }

  /** Reads the size of a tagged field; gives the position where it ends. */
  tagEnd(): number {
    const size = this.unsignedVarint();
    if (size > this.end - this.at) this.bad = true;
    return this.at + size;
  }

  /** Leaves a tagged field: what was not understood of it is skipped. */
  leaveTag(end: number): void {
    if (this.bad) return;
    if (this.at > end) this.bad = true;
    else this.at = end;
  }

  /** Skips a whole section of tagged fields. */
  skipTags(): void {
    for (let left = this.tagCount(); left > 0 && !this.bad; left--) {
      this.unsignedVarint();
      this.leaveTag(this.tagEnd());
    }
  }

  /** A length as compact fields have it, one more than it is; 32 bits with a sign, as in Kafka. */
  #compactLength(): number {
    return (this.unsignedVarint() - 1) | 0;
  }

  /** What was read as a length: -1 (null) up to the bytes that are left. */
  #length(length: number): number {
    if (this.bad) return 0;
    if (length < 0) return -1;
    if (length <= this.end - this.at) return length;
    this.bad = true;
    return 0;
  }

  #text(length: number): string {
    const at = this.#take(length);
    return at < 0 ? "" : decodeUtf8Lossy(this.bytes, at, at + length);
  }

  /** Position of the next `size` bytes, which the cursor then has passed; -1 when there are fewer. */
  #take(size: number): number {
    const at = this.at;
    if (this.bad || size > this.end - at) {
      this.bad = true;
      return -1;
    }
    this.at = at + size;
    return at;
  }
}
