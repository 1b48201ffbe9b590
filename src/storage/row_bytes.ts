/**
 * Writes and reads the little-endian fields of checkpoint rows: cold, so plain and growing.
 *
 * @module
 */

import { getInt64Le, setInt64Le } from "../bytes/int64.ts";

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

export class RowWriter {
  #bytes = new Uint8Array(512);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  uint32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  int64(value: number): void {
    this.#reserve(8);
    setInt64Le(this.#view, this.#at, value);
    this.#at += 8;
  }

  bytes(value: Uint8Array): void {
    this.uint32(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  text(value: string): void {
    this.bytes(ENCODER.encode(value));
  }

  /** A copy of the written bytes. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#at);
  }

  #reserve(count: number): void {
    if (this.#at + count <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + count));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

export class RowReader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;
  #at = 0;
  /** Something was read beyond the end. */
  bad = false;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  uint32(): number {
    if (!this.#has(4)) return 0;
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  int64(): number {
    if (!this.#has(8)) return 0;
    this.#at += 8;
    return getInt64Le(this.#view, this.#at - 8);
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const length = this.uint32();
    if (!this.#has(length)) return new Uint8Array(0);
    this.#at += length;
    return this.#bytes.slice(this.#at - length, this.#at);
  }

  text(): string {
    return DECODER.decode(this.bytes());
  }

  #has(count: number): boolean {
    if (this.#at + count > this.#bytes.length) this.bad = true;
    return !this.bad;
  }
}
