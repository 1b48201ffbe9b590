/**
 * Reads a shard's two checkpoint slots: which one is the newest that is whole, and its rows.
 *
 * A slot is checked to its last block before the first row is handed out, so that a visitor never sees
 * rows of a slot that turns out damaged.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import { getInt64Le } from "../bytes/int64.ts";
import type { Memory } from "../bytes/memory.ts";
import { BLOCK_SIZE, type Disk } from "../io/disk.ts";
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

/** What became of a slot. */
export type SlotState =
  /** Never written. */
  | "empty"
  | "valid"
  /** Rotten, or its writing was cut short. */
  | "damaged";

export interface CheckpointSlot {
  readonly state: SlotState;
  /** Of a valid slot; zeros otherwise. */
  readonly sequence: number;
  /** Replay starts after it. */
  readonly lsn: number;
  readonly rowCount: number;
  readonly mountEpoch: number;
  readonly blockCount: number;
  readonly streamBytes: number;
}

export interface CheckpointReadOptions {
  readonly disk: Disk;
  readonly memory: Memory;
  readonly crc32c: Crc32c;
  /** The two slots' files, open. */
  readonly handles: readonly [number, number];
  readonly journalId: number;
  /** A buffer in the region, aligned to the block; more than twice as large as the longest row. */
  readonly bufferAddress: number;
  readonly bufferBytes: number;
}

export interface CheckpointRead {
  /** A negative errno when reading failed; nothing else is to be believed then. Otherwise zero. */
  readonly error: number;
  readonly slots: readonly [CheckpointSlot, CheckpointSlot];
  /** Index of the newest valid slot, whose rows were visited; -1 when there is none. */
  readonly newest: number;
  /** The slot to overwrite next. */
  readonly older: 0 | 1;
}

const EMPTY_SLOT: CheckpointSlot = {
  state: "empty",
  sequence: 0,
  lsn: 0,
  rowCount: 0,
  mountEpoch: 0,
  blockCount: 0,
  streamBytes: 0,
};
const DAMAGED_SLOT: CheckpointSlot = { ...EMPTY_SLOT, state: "damaged" };

/**
 * Reads both slots, and hands the rows of the newest valid one to `visitRow`.
 *
 * @param visitRow given address and length of a row in the region, valid until it returns
 */
export function* readCheckpoint(
  options: CheckpointReadOptions,
  visitRow: (address: number, length: number) => void,
): Task<CheckpointRead> {
  const first = yield* checkSlot(options, 0);
  const second = yield* checkSlot(options, 1);
  if (typeof first === "number" || typeof second === "number") {
    const error = typeof first === "number" ? first : second as number;
    return { error, slots: [DAMAGED_SLOT, DAMAGED_SLOT], newest: -1, older: 0 };
  }
  const slots: [CheckpointSlot, CheckpointSlot] = [first, second];
  let newest = -1;
  if (first.state === "valid") newest = 0;
  if (second.state === "valid" && second.sequence > first.sequence) newest = 1;
  const error = newest < 0 ? 0 : yield* visitRows(options, newest, slots[newest]!, visitRow);
  return { error, slots, newest, older: newest === 0 ? 1 : 0 };
}

/** Checks every block of a slot; its head, or a negative errno. */
function* checkSlot(options: CheckpointReadOptions, slot: number): Task<CheckpointSlot | number> {
  const { disk, memory, bufferAddress: at } = options;
  const handle = options.handles[slot]!;
  const read = yield* io((done) => disk.read(handle, 0, at, BLOCK_SIZE, done));
  if (read < 0) return read;
  if (read === 0 || isZero(memory, at, read)) return EMPTY_SLOT;
  const { view } = memory;
  const sequence = getInt64Le(view, at + CHECKPOINT_SEQUENCE_OFFSET);
  if (read < BLOCK_SIZE || !isSound(options, at, sequence, 0)) return DAMAGED_SLOT;
  const head: CheckpointSlot = {
    state: "valid",
    sequence,
    lsn: getInt64Le(view, at + HEAD_LSN_OFFSET),
    rowCount: getInt64Le(view, at + HEAD_ROW_COUNT_OFFSET),
    mountEpoch: view.getUint32(at + HEAD_MOUNT_EPOCH_OFFSET, true),
    blockCount: view.getUint32(at + HEAD_BLOCK_COUNT_OFFSET, true),
    streamBytes: getInt64Le(view, at + HEAD_STREAM_BYTES_OFFSET),
  };
  const digest = view.getUint32(at + HEAD_DIGEST_OFFSET, true);
  let found = 0;
  const bufferBlocks = Math.floor(options.bufferBytes / BLOCK_SIZE);
  for (let block = 1; block < head.blockCount; block += bufferBlocks) {
    const count = Math.min(bufferBlocks, head.blockCount - block);
    const result = yield* readBlocks(options, handle, block, count, at, sequence);
    if (result < 0) return result;
    if (result === 0) return DAMAGED_SLOT;
    for (let i = 0; i < count; i++) {
      found = foldChain(found, view.getUint32(at + i * BLOCK_SIZE, true));
    }
  }
  return found === digest ? head : DAMAGED_SLOT;
}

/** Hands out the rows of a slot that was found valid; zero or a negative errno. */
function* visitRows(
  options: CheckpointReadOptions,
  slot: number,
  head: CheckpointSlot,
  visitRow: (address: number, length: number) => void,
): Task<number> {
  const { memory, bufferAddress, bufferBytes } = options;
  const { bytes, view } = memory;
  // The stream gathers in the first half of the buffer, blocks are read into the second.
  const half = Math.floor(bufferBytes / 2 / BLOCK_SIZE) * BLOCK_SIZE;
  const readAddress = bufferAddress + half;
  let held = 0;
  let left = head.streamBytes;
  for (let block = 1; block < head.blockCount;) {
    const room = Math.floor((half - held) / CHECKPOINT_PAYLOAD_SIZE);
    assert(room > 0, "a checkpoint row is longer than the buffer for reading");
    const count = Math.min(room, half / BLOCK_SIZE, head.blockCount - block);
    const result = yield* readBlocks(
      options,
      options.handles[slot]!,
      block,
      count,
      readAddress,
      head.sequence,
    );
    if (result < 0) return result;
    assert(result > 0, "a checkpoint changed while it was read");
    for (let i = 0; i < count; i++) {
      const from = readAddress + i * BLOCK_SIZE + CHECKPOINT_HEADER_SIZE;
      bytes.copyWithin(bufferAddress + held, from, from + CHECKPOINT_PAYLOAD_SIZE);
      held += CHECKPOINT_PAYLOAD_SIZE;
    }
    block += count;
    let at = 0;
    while (left > 0 && held - at >= 8) {
      const length = view.getUint32(bufferAddress + at, true);
      const size = rowSize(length);
      if (at + size > held) break;
      visitRow(bufferAddress + at + ROW_PREFIX_SIZE, length);
      at += size;
      left -= size;
    }
    bytes.copyWithin(bufferAddress, bufferAddress + at, bufferAddress + held);
    held -= at;
  }
  assert(left === 0, "a sound checkpoint holds fewer rows than its head says");
  return 0;
}

/** Reads and checks blocks: 1 all sound, 0 damage, or a negative errno. */
function* readBlocks(
  options: CheckpointReadOptions,
  handle: number,
  block: number,
  count: number,
  address: number,
  sequence: number,
): Task<number> {
  const length = count * BLOCK_SIZE;
  const read = yield* io((done) => {
    options.disk.read(handle, block * BLOCK_SIZE, address, length, done);
  });
  if (read < 0) return read;
  if (read < length) return 0;
  for (let i = 0; i < count; i++) {
    if (!isSound(options, address + i * BLOCK_SIZE, sequence, block + i)) return 0;
  }
  return 1;
}

function isSound(
  options: CheckpointReadOptions,
  at: number,
  sequence: number,
  block: number,
): boolean {
  const view = options.memory.view;
  return view.getUint32(at + CHECKPOINT_MAGIC_OFFSET, true) === CHECKPOINT_MAGIC &&
    getInt64Le(view, at + CHECKPOINT_JOURNAL_ID_OFFSET) === options.journalId &&
    getInt64Le(view, at + CHECKPOINT_SEQUENCE_OFFSET) === sequence &&
    view.getUint32(at + CHECKPOINT_BLOCK_INDEX_OFFSET, true) === block &&
    view.getUint32(at, true) === options.crc32c(at + 4, BLOCK_SIZE - 4, 0);
}

function isZero(memory: Memory, address: number, length: number): boolean {
  for (let at = address; at < address + length; at++) if (memory.bytes[at] !== 0) return false;
  return true;
}
