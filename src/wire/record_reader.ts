/**
 * Visits the records of a batch, uncompressed or decompressed, without making objects of them.
 *
 * What is found are positions in the buffer that was given. The reader is strict: a record must end
 * exactly where its length says, and nothing may follow the last one. One reader is
 * reused; its fields are valid until its next move. The format is drawn in `record_batch.ts`.
 *
 * @module
 */

import { type ByteSource, Cursor } from "../bytes/cursor.ts";

const NOTHING: ByteSource = { bytes: new Uint8Array(0), view: new DataView(new ArrayBuffer(0)) };

export class RecordReader {
  offset = 0;
  timestamp = 0;
  keyAt = 0;
  /** -1: null. */
  keyLength = -1;
  valueAt = 0;
  /** -1: null. */
  valueLength = -1;
  headerCount = 0;

  headerKeyAt = 0;
  headerKeyLength = 0;
  headerValueAt = 0;
  /** -1: null. */
  headerValueLength = -1;

  readonly #cursor = new Cursor(NOTHING, 0, 0);
  #end = 0;
  #left = 0;
  #headersLeft = 0;
  #recordEnd = 0;
  #baseOffset = 0;
  #baseTimestamp = 0;

  /** Starts with `count` records in `[start, end)`; offsets and timestamps count from the bases. */
  open(
    source: ByteSource,
    start: number,
    end: number,
    count: number,
    baseOffset: number,
    baseTimestamp: number,
  ): void {
    this.#cursor.reset(source, start, end);
    this.#end = end;
    this.#recordEnd = start;
    this.#left = count;
    this.#headersLeft = 0;
    this.#baseOffset = baseOffset;
    this.#baseTimestamp = baseTimestamp;
  }

  /** Nothing malformed so far; after the last record: and no bytes left over. */
  ok(): boolean {
    return !this.#cursor.bad;
  }

  /** Moves to the next record, over headers that were not visited; false after the last. */
  next(): boolean {
    const cursor = this.#cursor;
    this.#skipHeaders();
    if (cursor.bad) return false;
    if (this.#left === 0) {
      if (this.#recordEnd !== this.#end) cursor.fail();
      return false;
    }
    this.#left--;
    const length = cursor.varint();
    if (length < 0 || length > this.#end - cursor.at) cursor.fail();
    this.#recordEnd = cursor.at + length;
    cursor.int8();
    this.timestamp = this.#baseTimestamp + cursor.varlong();
    this.offset = this.#baseOffset + cursor.varint();
    this.keyLength = this.#range();
    this.keyAt = cursor.at;
    if (this.keyLength > 0) cursor.skip(this.keyLength);
    this.valueLength = this.#range();
    this.valueAt = cursor.at;
    if (this.valueLength > 0) cursor.skip(this.valueLength);
    this.headerCount = cursor.varint();
    if (this.headerCount < 0 || cursor.at > this.#recordEnd) cursor.fail();
    this.#headersLeft = cursor.bad ? 0 : this.headerCount;
    if (this.headerCount === 0 && cursor.at !== this.#recordEnd) cursor.fail();
    return !cursor.bad;
  }

  /** Moves to the next header of this record; false after the last. */
  nextHeader(): boolean {
    const cursor = this.#cursor;
    if (cursor.bad || this.#headersLeft === 0) return false;
    this.#headersLeft--;
    this.headerKeyLength = this.#range();
    if (this.headerKeyLength < 0) cursor.fail();
    this.headerKeyAt = cursor.at;
    cursor.skip(Math.max(0, this.headerKeyLength));
    this.headerValueLength = this.#range();
    this.headerValueAt = cursor.at;
    if (this.headerValueLength > 0) cursor.skip(this.headerValueLength);
    const last = this.#headersLeft === 0;
    if (last ? cursor.at !== this.#recordEnd : cursor.at > this.#recordEnd) cursor.fail();
    return !cursor.bad;
  }

  #skipHeaders(): void {
    while (this.nextHeader());
  }

  #range(): number {
    const length = this.#cursor.varint();
    if (length < -1 || length > this.#cursor.remaining()) this.#cursor.fail();
    return length;
  }
}
