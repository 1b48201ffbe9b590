/**
 * One of a journal's two buffers: records become a write's blocks here.
 *
 * The buffer is a block of the arena. It grows by doubling while a write fills, up to the journal's
 * largest write, and goes back to its smallest size after many writes that needed little of it.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Arena } from "../bytes/arena.ts";
import { setInt64Le } from "../bytes/int64.ts";
import type { Memory } from "../bytes/memory.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import {
  BLOCK_HEADER_SIZE,
  BLOCK_PAYLOAD_SIZE,
  blocksOfStream,
  RECORD_A_OFFSET,
  RECORD_ALIGNMENT,
  RECORD_B_OFFSET,
  RECORD_C_OFFSET,
  RECORD_D_OFFSET,
  RECORD_FLAGS_OFFSET,
  RECORD_GROUP_OFFSET,
  RECORD_HEADER_SIZE,
  RECORD_INCARNATION_OFFSET,
  RECORD_PAYLOAD_LENGTH_OFFSET,
  RECORD_SMALL_MAX,
  RECORD_SMALL_OFFSET,
  RECORD_TERM_OFFSET,
  RECORD_TYPE_OFFSET,
  recordSize,
  recordStart,
} from "./journal_format.ts";

/** Size at which a buffer starts, and to which it returns when writes stay small (bytes). */
export const JOURNAL_BUFFER_BYTES_MIN = 64 * 1024;
/** Part of a write that only records which must not wait may fill (bytes of stream). */
export const JOURNAL_RESERVED_STREAM_BYTES = 16 * 1024;
/** After this many writes in a row that used under a quarter of it, a grown buffer shrinks. */
const SHRINK_AFTER_WRITES = 128;

export class JournalBuffer {
  readonly #memory: Memory;
  readonly #arena: Arena;
  readonly #blocksMax: number;
  /** First block of the write; changes as the buffer grows. */
  address: number;
  /** Bytes of the record stream so far; zero when there is nothing to write. */
  streamBytes = 0;
  #blocks: number;
  #payloadLeft = 0;
  #smallWrites = 0;

  /** @param blocksMax blocks of the largest write */
  constructor(memory: Memory, arena: Arena, blocksMax: number) {
    this.#memory = memory;
    this.#arena = arena;
    this.#blocksMax = blocksMax;
    this.address = arena.allocate(Math.min(JOURNAL_BUFFER_BYTES_MIN, blocksMax * BLOCK_SIZE));
    assert(this.address >= 0, "no memory for the journal's buffers");
    this.#blocks = this.#blocksHeld();
  }

  /** Memory it takes now. */
  get sizeBytes(): number {
    return this.#arena.blockSize(this.address);
  }

  /** Blocks that the write has with one more record of this payload. */
  blocksWith(payloadLength: number): number {
    return blocksOfStream(this.#endWith(payloadLength));
  }

  /** Whether a record fits; may grow the buffer for it. `reserved`: into the last part too. */
  makeRoom(payloadLength: number, reserved: boolean): boolean {
    const end = this.#endWith(payloadLength);
    let blocks = this.#blocks;
    while (end + (reserved ? 0 : reservedStreamBytes(blocks)) > blocks * BLOCK_PAYLOAD_SIZE) {
      if (blocks >= this.#blocksMax) return false;
      blocks = Math.min(blocks * 2, this.#blocksMax);
    }
    return blocks === this.#blocks || this.#grow(blocks);
  }

  /** Writes a record's header; `addPayload` follows until the payload is whole. */
  begin(
    type: number,
    groupId: number,
    incarnation: number,
    term: number,
    small: number,
    a: number,
    b: number,
    c: number,
    d: number,
    payloadLength: number,
  ): void {
    assert(this.#payloadLeft === 0, "a journal record began before the last one was whole");
    assert(small >= 0 && small <= RECORD_SMALL_MAX, "small field of a record is out of range");
    assert(this.makeRoom(payloadLength, true), "no room in memory for a journal record");
    const start = recordStart(this.streamBytes);
    this.#zero(this.streamBytes, start - this.streamBytes);
    const view = this.#memory.view;
    const at = this.#addressOf(start);
    view.setUint8(at + RECORD_TYPE_OFFSET, type);
    view.setUint8(at + RECORD_FLAGS_OFFSET, 0);
    view.setUint16(at + RECORD_SMALL_OFFSET, small, true);
    view.setUint32(at + RECORD_PAYLOAD_LENGTH_OFFSET, payloadLength, true);
    setInt64Le(view, at + RECORD_GROUP_OFFSET, groupId);
    view.setUint32(at + RECORD_INCARNATION_OFFSET, incarnation, true);
    view.setUint32(at + RECORD_TERM_OFFSET, term, true);
    setInt64Le(view, at + RECORD_A_OFFSET, a);
    setInt64Le(view, at + RECORD_B_OFFSET, b);
    setInt64Le(view, at + RECORD_C_OFFSET, c);
    setInt64Le(view, at + RECORD_D_OFFSET, d);
    setInt64Le(view, at + RECORD_D_OFFSET + 8, 0);
    this.streamBytes = start + RECORD_HEADER_SIZE;
    this.#payloadLeft = payloadLength;
  }

  /** Copies the next part of the payload of the record that `begin` began. */
  addPayload(address: number, length: number): void {
    assert(length <= this.#payloadLeft, "more payload than the record announced");
    this.#payloadLeft -= length;
    const bytes = this.#memory.bytes;
    let inBlock = this.streamBytes % BLOCK_PAYLOAD_SIZE;
    let target = this.#addressOf(this.streamBytes);
    let from = address;
    const end = address + length;
    while (from < end) {
      const count = Math.min(BLOCK_PAYLOAD_SIZE - inBlock, end - from);
      bytes.copyWithin(target, from, from + count);
      from += count;
      target += count + BLOCK_HEADER_SIZE;
      inBlock = 0;
    }
    this.streamBytes += length;
    if (this.#payloadLeft === 0) {
      const padding = -this.streamBytes & (RECORD_ALIGNMENT - 1);
      this.#zero(this.streamBytes, padding);
      this.streamBytes += padding;
    }
  }

  /** Ends the filling: zeroes the rest of the last block; returns the blocks of the write. */
  finish(): number {
    assert(this.#payloadLeft === 0, "flushed a journal record that is not whole");
    const blocks = blocksOfStream(this.streamBytes);
    this.#zero(this.streamBytes, blocks * BLOCK_PAYLOAD_SIZE - this.streamBytes);
    this.#smallWrites = blocks * 4 < this.#blocks ? this.#smallWrites + 1 : 0;
    return blocks;
  }

  /** The write has ended: the buffer is empty again. */
  reset(): void {
    this.streamBytes = 0;
    if (this.#smallWrites >= SHRINK_AFTER_WRITES) this.#shrink();
  }

  close(): void {
    this.#arena.release(this.address);
  }

  #endWith(payloadLength: number): number {
    return recordStart(this.streamBytes) + recordSize(payloadLength);
  }

  #addressOf(streamAt: number): number {
    const block = Math.floor(streamAt / BLOCK_PAYLOAD_SIZE);
    return this.address + streamAt + (block + 1) * BLOCK_HEADER_SIZE;
  }

  /** Zeroes bytes of the stream that lie within one block. */
  #zero(streamAt: number, length: number): void {
    if (length === 0) return;
    const at = this.#addressOf(streamAt);
    this.#memory.bytes.fill(0, at, at + length);
  }

  #blocksHeld(): number {
    return Math.min(this.#arena.blockSize(this.address) / BLOCK_SIZE, this.#blocksMax);
  }

  #grow(blocks: number): boolean {
    const address = this.#arena.allocate(blocks * BLOCK_SIZE);
    if (address < 0) return false;
    const used = blocksOfStream(this.streamBytes) * BLOCK_SIZE;
    this.#memory.bytes.copyWithin(address, this.address, this.address + used);
    this.#arena.release(this.address);
    this.address = address;
    this.#blocks = blocks;
    return true;
  }

  #shrink(): void {
    this.#smallWrites = 0;
    if (this.#arena.blockSize(this.address) <= JOURNAL_BUFFER_BYTES_MIN) return;
    const small = this.#arena.allocate(JOURNAL_BUFFER_BYTES_MIN);
    if (small < 0) return;
    this.#arena.release(this.address);
    this.address = small;
    this.#blocks = this.#blocksHeld();
  }
}

/** What only records that must not wait may use, in a buffer of this size (bytes of stream). */
export function reservedStreamBytes(blocks: number): number {
  // A quarter at most: small buffers, as tests use them, must hold something else too.
  return Math.min(JOURNAL_RESERVED_STREAM_BYTES, blocks * BLOCK_PAYLOAD_SIZE / 4);
}
