/**
 * A shard's two checkpoint slots, as the engine writes them and a start reads them.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Arena } from "../bytes/arena.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { ENOMEM, ENOSPC } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import type { CheckpointTarget } from "./checkpoint.ts";
import { type CheckpointRead, readCheckpoint } from "./checkpoint_file.ts";
import { CHECKPOINT_PAYLOAD_SIZE, rowSize } from "./checkpoint_format.ts";
import { CheckpointWriter } from "./checkpoint_writer.ts";
import type { ShardManifest } from "./manifest.ts";
import type { StorageContext } from "./shard_storage.ts";

/** Buffer that rows pass through (bytes); larger only for larger rows. */
const BUFFER_BYTES = 256 * 1024;
/** Kept from the start, so that rows up to some size can be written however short memory is (bytes). */
const RESERVED_BUFFER_BYTES = 64 * 1024;
const RESERVED_ROW_BYTES = 16 * 1024;

/** What a buffer holds besides the longest row, twice (bytes). */
const ROW_SLACK_BYTES = 16 * 1024;

/** Least that is reserved for a slot. */
const RESERVE_BYTES_MIN = 64 * 1024;

export interface SlotsOptions {
  readonly context: StorageContext;
  readonly handles: readonly [number, number];
  readonly journalId: number;
  readonly mountEpoch: number;
  /** The slot to write next, and the number that the newer one has. */
  readonly older: 0 | 1;
  readonly sequence: number;
}

export class CheckpointSlots implements CheckpointTarget {
  readonly #options: SlotsOptions;
  #older: 0 | 1;
  #sequence: number;
  /** Reserved blocks of the arena, or -1. */
  #reservedBuffer = -1;
  #reservedRow = -1;

  constructor(options: SlotsOptions) {
    this.#options = options;
    this.#older = options.older;
    this.#sequence = options.sequence;
  }

  /** Takes the memory that {@linkcode write} falls back on; it is never given back. */
  reserveMemory(): void {
    const { arena } = this.#options.context;
    this.#reservedBuffer = arena.allocate(RESERVED_BUFFER_BYTES);
    this.#reservedRow = arena.allocate(RESERVED_ROW_BYTES);
  }

  get reservedBytes(): number {
    return (this.#reservedBuffer < 0 ? 0 : RESERVED_BUFFER_BYTES) +
      (this.#reservedRow < 0 ? 0 : RESERVED_ROW_BYTES);
  }

  /** -ENOSPC and -ENOMEM leave both slots as they were, and may pass. */
  *write(rows: readonly Uint8Array<ArrayBuffer>[], lsn: number): Task<number> {
    const { context, handles, journalId, mountEpoch } = this.#options;
    const { arena, disk, memory } = context;
    let longest = 0;
    for (const row of rows) longest = Math.max(longest, row.length);
    let bufferBytes = bufferSizeFor(arena, longest);
    let bufferAddress = arena.allocate(bufferBytes);
    if (bufferAddress < 0 && 2 * longest + ROW_SLACK_BYTES <= RESERVED_BUFFER_BYTES) {
      bufferAddress = this.#reservedBuffer;
      bufferBytes = RESERVED_BUFFER_BYTES;
    }
    let rowAddress = arena.allocate(Math.max(4096, longest));
    if (rowAddress < 0 && longest <= RESERVED_ROW_BYTES) rowAddress = this.#reservedRow;
    if (bufferAddress < 0 || rowAddress < 0) {
      this.#release(bufferAddress);
      this.#release(rowAddress);
      return -ENOMEM;
    }
    let result = yield* this.#reserve(rows);
    const writer = new CheckpointWriter({
      disk,
      memory,
      handle: handles[this.#older],
      journalId,
      mountEpoch,
      sequence: this.#sequence + 1,
      lsn,
      bufferAddress,
      bufferBytes,
    });
    for (const row of rows) {
      if (result >= 0 && !writer.hasRoom(row.length)) result = yield* writer.flush();
      if (result < 0) break;
      memory.bytes.set(row, rowAddress);
      writer.row(rowAddress, row.length);
    }
    if (result >= 0) result = yield* writer.finish();
    this.#release(bufferAddress);
    this.#release(rowAddress);
    if (result < 0) return result;
    this.#sequence++;
    this.#older = this.#older === 0 ? 1 : 0;
    return 0;
  }

  #release(address: number): void {
    if (address < 0 || address === this.#reservedBuffer || address === this.#reservedRow) return;
    this.#options.context.arena.release(address);
  }
  /**
   * A slot that was begun is lost: whether there is room for all of it is found out before. With room to
   * grow, so that checkpoints go on when the disk is full.
   */
  *#reserve(rows: readonly Uint8Array<ArrayBuffer>[]): Task<number> {
    const { disk } = this.#options.context;
    const handle = this.#options.handles[this.#older];
    const ample = reservedForCheckpoint(rows);
    const result = yield* io((done) => disk.allocate(handle, 0, ample, done));
    if (result !== -ENOSPC) return result;
    return yield* io((done) => disk.allocate(handle, 0, checkpointSize(rows), done));
  }
}

/** Bytes that a slot for these rows reserves, where there is room. */
export function reservedForCheckpoint(rows: readonly Uint8Array<ArrayBuffer>[]): number {
  return Math.max(RESERVE_BYTES_MIN, 2 * checkpointSize(rows));
}

/** Bytes of a slot that holds these rows. */
function checkpointSize(rows: readonly Uint8Array<ArrayBuffer>[]): number {
  const stream = rows.reduce((sum, row) => sum + rowSize(row.length), 0);
  return BLOCK_SIZE * (1 + Math.ceil(stream / CHECKPOINT_PAYLOAD_SIZE));
}

function bufferSizeFor(arena: Arena, longestRow: number): number {
  let size = Math.min(BUFFER_BYTES, arena.blockSizeMax);
  while (size < 2 * longestRow + ROW_SLACK_BYTES) size *= 2;
  assert(size <= arena.blockSizeMax, "a checkpoint row is too large for this shard's memory");
  return size;
}

/** Reads the slots of a shard; each row is handed out as bytes of its own. */
export function* readSlots(
  context: StorageContext,
  handles: readonly [number, number],
  journalId: number,
  visitRow: (row: Uint8Array<ArrayBuffer>) => void,
): Task<CheckpointRead> {
  const { arena, disk, memory, crc32c } = context;
  const bufferBytes = arena.blockSizeMax;
  const bufferAddress = arena.allocate(bufferBytes);
  assert(bufferAddress >= 0, "no memory to read a checkpoint");
  const read = yield* readCheckpoint(
    { disk, memory, crc32c, handles, journalId, bufferAddress, bufferBytes },
    (address, length) => visitRow(memory.bytes.slice(address, address + length)),
  );
  arena.release(bufferAddress);
  return read;
}

/** Opens (with `create`, makes) the two slot files; a negative errno when one cannot be. */
export function* openSlots(
  context: StorageContext,
  shard: ShardManifest,
  create: boolean,
): Task<[number, number] | number> {
  const handles: number[] = [];
  for (const path of shard.checkpoints) {
    const handle = yield* io((done) => context.disk.open(path, create, done));
    if (handle < 0) return handle;
    handles.push(handle);
  }
  return [handles[0]!, handles[1]!];
}
