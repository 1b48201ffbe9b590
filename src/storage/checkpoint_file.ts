/**
 * Reads a shard's two checkpoint slots: finds the newest valid one, and reads its rows.
 *
 * A slot is checked to its last block before the first row is handed out, so that a visitor never sees
 * rows of a slot that turns out damaged.
 *
 * @module
 */

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
  | "damaged"
  /** Not there, or its device does not give it back. */
  | "unreadable";

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
  /** Why an unreadable slot is: positive; otherwise zero. */
  readonly errno: number;
}

export interface CheckpointReadOptions {
  readonly disk: Disk;
  readonly memory: Memory;
  readonly crc32c: Crc32c;
  /** The two slots' files, open; a negative errno where one cannot be. */
  readonly handles: readonly [number, number];
  readonly journalId: number;
  /** A buffer in the region, aligned to the block, of one block at least. */
  readonly bufferAddress: number;
  readonly bufferBytes: number;
}

export interface CheckpointRead {
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
  errno: 0,
};
const DAMAGED_SLOT: CheckpointSlot = { ...EMPTY_SLOT, state: "damaged" };

/**
 * Reads both slots, and hands the rows of the newest valid one to `visitRow`: all of them, or, when its device
 * gives it back only once, those of the other one.
 */
export function* readCheckpoint(
  options: CheckpointReadOptions,
  visitRow: (row: Uint8Array<ArrayBuffer>) => void,
): Task<CheckpointRead> {
  const slots: [CheckpointSlot, CheckpointSlot] = [
    yield* checkSlot(options, 0),
    yield* checkSlot(options, 1),
  ];
  for (;;) {
    let newest = -1;
    if (slots[0].state === "valid") newest = 0;
    if (slots[1].state === "valid" && slots[1].sequence > slots[0].sequence) newest = 1;
    const older = newest === 0 ? 1 : 0;
    if (newest < 0) return { slots, newest, older };
    const rows = yield* readRows(options, newest, slots[newest]!);
    if ("state" in rows) {
      slots[newest] = rows;
      continue;
    }
    for (const row of rows) visitRow(row);
    return { slots, newest, older };
  }
}

function unreadable(result: number): CheckpointSlot {
  return { ...EMPTY_SLOT, state: "unreadable", errno: -result };
}

/** Checks every block of a slot. */
function* checkSlot(options: CheckpointReadOptions, slot: number): Task<CheckpointSlot> {
  const { disk, memory, bufferAddress: at } = options;
  const handle = options.handles[slot]!;
  if (handle < 0) return unreadable(handle);
  const read = yield* io((done) => disk.read(handle, 0, at, BLOCK_SIZE, done));
  if (read < 0) return unreadable(read);
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
    errno: 0,
  };
  const digest = view.getUint32(at + HEAD_DIGEST_OFFSET, true);
  let found = 0;
  const bufferBlocks = Math.floor(options.bufferBytes / BLOCK_SIZE);
  for (let block = 1; block < head.blockCount; block += bufferBlocks) {
    const count = Math.min(bufferBlocks, head.blockCount - block);
    const result = yield* readBlocks(options, handle, block, count, at, sequence);
    if (result < 0) return unreadable(result);
    if (result === 0) return DAMAGED_SLOT;
    for (let i = 0; i < count; i++) {
      found = foldChain(found, view.getUint32(at + i * BLOCK_SIZE, true));
    }
  }
  return found === digest ? head : DAMAGED_SLOT;
}

/** The rows of a slot that was found valid; or what became of it since. */
function* readRows(
  options: CheckpointReadOptions,
  slot: number,
  head: CheckpointSlot,
): Task<Uint8Array<ArrayBuffer>[] | CheckpointSlot> {
  const { memory, bufferAddress, bufferBytes } = options;
  const { bytes, view } = memory;
  const handle = options.handles[slot]!;
  const bufferBlocks = Math.floor(bufferBytes / BLOCK_SIZE);
  const rows: Uint8Array<ArrayBuffer>[] = [];
  let row: Uint8Array<ArrayBuffer> | null = null;
  let filled = 0;
  let left = head.streamBytes;
  for (let block = 1; block < head.blockCount; block += bufferBlocks) {
    const count = Math.min(bufferBlocks, head.blockCount - block);
    const result = yield* readBlocks(options, handle, block, count, bufferAddress, head.sequence);
    if (result < 0) return unreadable(result);
    if (result === 0) return DAMAGED_SLOT;
    for (let i = 0; i < count; i++) {
      let at = bufferAddress + i * BLOCK_SIZE + CHECKPOINT_HEADER_SIZE;
      const end = at + Math.min(CHECKPOINT_PAYLOAD_SIZE, left);
      left -= end - at;
      while (at < end) {
        if (row === null) {
          const length = view.getUint32(at, true);
          at += ROW_PREFIX_SIZE;
          // A length that cannot be is of a program that wrote nonsense: not to be believed, nor allocated.
          if (rowSize(length) - ROW_PREFIX_SIZE > left + end - at) return DAMAGED_SLOT;
          row = new Uint8Array(length);
          filled = 0;
        }
        const piece: number = Math.min(end - at, row.length - filled);
        row.set(bytes.subarray(at, at + piece), filled);
        filled += piece;
        at += piece;
        if (filled < row.length) break;
        rows.push(row);
        at += rowSize(row.length) - ROW_PREFIX_SIZE - row.length;
        row = null;
      }
    }
  }
  return left === 0 && row === null ? rows : DAMAGED_SLOT;
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
