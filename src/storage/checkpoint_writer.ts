/**
 * Writes one checkpoint slot, row by row.
 *
 * ```
 *   row() row() ... row() ... finish()
 *   blocks 1..n, durable as they go └─ block 0, durable: the slot is valid
 * ```
 *
 * Rows pass through a buffer of fixed size in pieces: none is too long for a shard's memory.
 *
 * The slot that is overwritten is the older one, so that a crash at any point leaves the newer one.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { setInt64Le } from "../bytes/int64.ts";
import type { Memory } from "../bytes/memory.ts";
import { BLOCK_SIZE, type Disk } from "../io/disk.ts";
import { EIO } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import {
  CHECKPOINT_BLOCK_INDEX_OFFSET,
  CHECKPOINT_HEADER_SIZE,
  CHECKPOINT_JOURNAL_ID_OFFSET,
  CHECKPOINT_MAGIC,
  CHECKPOINT_MAGIC_OFFSET,
  CHECKPOINT_PAYLOAD_SIZE,
  CHECKPOINT_SEQUENCE_OFFSET,
  HEAD_BLOCK_COUNT_OFFSET,
  HEAD_DIGEST_OFFSET,
  HEAD_LSN_OFFSET,
  HEAD_MOUNT_EPOCH_OFFSET,
  HEAD_ROW_COUNT_OFFSET,
  HEAD_STREAM_BYTES_OFFSET,
  ROW_PREFIX_SIZE,
  rowSize,
} from "./checkpoint_format.ts";
import { foldChain } from "./journal_format.ts";

export interface CheckpointWriterOptions {
  readonly disk: Disk;
  readonly memory: Memory;
  /** The older slot's file, open. */
  readonly handle: number;
  readonly journalId: number;
  readonly mountEpoch: number;
  /** Larger than the other slot's. */
  readonly sequence: number;
  /** Every row reflects all durable records up to here; replay starts after it. */
  readonly lsn: number;
  /** A buffer in the region, aligned to the block; the caller's until the task of `finish` ended. */
  readonly bufferAddress: number;
  readonly bufferBytes: number;
}

export class CheckpointWriter {
  readonly #options: CheckpointWriterOptions;
  readonly #bufferStreamBytes: number;
  /** Bytes of the stream in the buffer, and in blocks written before. */
  #streamAt = 0;
  #writtenBlocks = 0;
  #rowCount = 0;
  #streamBytes = 0;
  #digest = 0;
  #error = 0;

  constructor(options: CheckpointWriterOptions) {
    assert(
      options.bufferAddress % BLOCK_SIZE === 0 && options.bufferBytes >= BLOCK_SIZE,
      "checkpoint buffer is not aligned",
    );
    this.#options = options;
    this.#bufferStreamBytes = Math.floor(options.bufferBytes / BLOCK_SIZE) *
      CHECKPOINT_PAYLOAD_SIZE;
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /**
   * Adds a row, however long it is: what is full of the buffer is written out, durably, on the way.
   *
   * @returns zero or a negative errno
   */
  *row(bytes: Uint8Array): Task<number> {
    const { memory } = this.#options;
    if (this.#streamAt === this.#bufferStreamBytes) yield* this.#flush();
    // Rows start at multiples of 8, as blocks do: the length never crosses a block's end.
    memory.view.setUint32(this.#addressOf(this.#streamAt), bytes.length, true);
    this.#streamAt += ROW_PREFIX_SIZE;
    let from = 0;
    while (from < bytes.length && this.#error === 0) {
      if (this.#streamAt === this.#bufferStreamBytes) yield* this.#flush();
      const room = CHECKPOINT_PAYLOAD_SIZE - (this.#streamAt % CHECKPOINT_PAYLOAD_SIZE);
      const count = Math.min(room, bytes.length - from);
      memory.bytes.set(bytes.subarray(from, from + count), this.#addressOf(this.#streamAt));
      from += count;
      this.#streamAt += count;
    }
    const padding = rowSize(bytes.length) - ROW_PREFIX_SIZE - bytes.length;
    this.#zero(this.#streamAt, this.#streamAt + padding);
    this.#streamAt += padding;
    this.#streamBytes += rowSize(bytes.length);
    this.#rowCount++;
    return this.#error;
  }

  /** Writes the full blocks of the buffer out, durably; zero or a negative errno. */
  *#flush(): Task<number> {
    return yield* this.#write(Math.floor(this.#streamAt / CHECKPOINT_PAYLOAD_SIZE));
  }

  /** Writes the rest and the head; when this returns zero, the slot is valid and durable. */
  *finish(): Task<number> {
    const blocks = Math.ceil(this.#streamAt / CHECKPOINT_PAYLOAD_SIZE);
    this.#zero(this.#streamAt, blocks * CHECKPOINT_PAYLOAD_SIZE);
    const error = yield* this.#write(blocks);
    if (error !== 0) return error;
    const { memory, bufferAddress: at, lsn, mountEpoch } = this.#options;
    const view = memory.view;
    memory.bytes.fill(0, at, at + BLOCK_SIZE);
    this.#writeHeader(at, 0);
    setInt64Le(view, at + HEAD_LSN_OFFSET, lsn);
    setInt64Le(view, at + HEAD_ROW_COUNT_OFFSET, this.#rowCount);
    setInt64Le(view, at + HEAD_STREAM_BYTES_OFFSET, this.#streamBytes);
    view.setUint32(at + HEAD_BLOCK_COUNT_OFFSET, this.#writtenBlocks + 1, true);
    view.setUint32(at + HEAD_MOUNT_EPOCH_OFFSET, mountEpoch, true);
    view.setUint32(at + HEAD_DIGEST_OFFSET, this.#digest, true);
    return yield* this.#writeSealed(0, 1);
  }

  /** Writes the buffer's first `blocks` after those written before, and keeps the rest. */
  *#write(blocks: number): Task<number> {
    if (blocks === 0 || this.#error !== 0) return this.#error;
    const { memory, bufferAddress } = this.#options;
    for (let i = 0; i < blocks; i++) {
      this.#writeHeader(bufferAddress + i * BLOCK_SIZE, 1 + this.#writtenBlocks + i);
    }
    const error = yield* this.#writeSealed(1 + this.#writtenBlocks, blocks);
    if (error !== 0) return error;
    this.#writtenBlocks += blocks;
    for (let i = 0; i < blocks; i++) {
      const crc = memory.view.getUint32(bufferAddress + i * BLOCK_SIZE, true);
      this.#digest = foldChain(this.#digest, crc);
    }
    this.#streamAt = Math.max(0, this.#streamAt - blocks * CHECKPOINT_PAYLOAD_SIZE);
    if (this.#streamAt > 0) {
      const from = bufferAddress + blocks * BLOCK_SIZE;
      memory.bytes.copyWithin(bufferAddress, from, from + BLOCK_SIZE);
    }
    return 0;
  }

  *#writeSealed(block: number, blocks: number): Task<number> {
    const { disk, handle, bufferAddress } = this.#options;
    const length = blocks * BLOCK_SIZE;
    const result = yield* io((done) => {
      disk.writeSealed(handle, block * BLOCK_SIZE, bufferAddress, length, done);
    });
    if (result !== length) this.#error = result < 0 ? result : -EIO;
    return this.#error;
  }

  #writeHeader(at: number, block: number): void {
    const { memory, journalId, sequence } = this.#options;
    memory.bytes.fill(0, at, at + CHECKPOINT_HEADER_SIZE);
    memory.view.setUint32(at + CHECKPOINT_MAGIC_OFFSET, CHECKPOINT_MAGIC, true);
    setInt64Le(memory.view, at + CHECKPOINT_JOURNAL_ID_OFFSET, journalId);
    setInt64Le(memory.view, at + CHECKPOINT_SEQUENCE_OFFSET, sequence);
    memory.view.setUint32(at + CHECKPOINT_BLOCK_INDEX_OFFSET, block, true);
  }

  #addressOf(streamAt: number): number {
    const block = Math.floor(streamAt / CHECKPOINT_PAYLOAD_SIZE);
    return this.#options.bufferAddress + streamAt + (block + 1) * CHECKPOINT_HEADER_SIZE;
  }

  /** Zeroes the stream from `start` to `end`, within one block. */
  #zero(start: number, end: number): void {
    if (start === end) return;
    const at = this.#addressOf(start);
    this.#options.memory.bytes.fill(0, at, at + end - start);
  }
}
