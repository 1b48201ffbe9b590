/**
 * A shard's two checkpoint slots, as the engine writes them and a start reads them.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { ENOMEM, ENOSPC } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import type { CheckpointTarget } from "./checkpoint.ts";
import { type CheckpointRead, readCheckpoint } from "./checkpoint_file.ts";
import { CHECKPOINT_PAYLOAD_SIZE, rowSize } from "./checkpoint_format.ts";
import { CheckpointWriter } from "./checkpoint_writer.ts";
import type { ShardManifest } from "./manifest.ts";
import type { StorageContext } from "./shard_storage.ts";

/** Buffer that rows pass through, in pieces (bytes). */
const BUFFER_BYTES = 256 * 1024;
/** Kept from the start, so that checkpoints are written however short memory is (bytes). */
const RESERVED_BUFFER_BYTES = 64 * 1024;

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
  /** Reserved block of the arena, or -1. */
  #reservedBuffer = -1;

  constructor(options: SlotsOptions) {
    this.#options = options;
    this.#older = options.older;
    this.#sequence = options.sequence;
  }

  /** Takes the memory that {@linkcode write} falls back on; it is never given back. */
  reserveMemory(): void {
    const { arena } = this.#options.context;
    this.#reservedBuffer = arena.allocate(RESERVED_BUFFER_BYTES);
  }

  get reservedBytes(): number {
    return this.#reservedBuffer < 0 ? 0 : RESERVED_BUFFER_BYTES;
  }

  /** -ENOSPC and -ENOMEM leave both slots as they were, and may pass. */
  *write(rows: readonly Uint8Array<ArrayBuffer>[], lsn: number): Task<number> {
    const { context, handles, journalId, mountEpoch } = this.#options;
    const { arena, disk, memory } = context;
    let bufferBytes = Math.min(BUFFER_BYTES, arena.blockSizeMax);
    let bufferAddress = arena.allocate(bufferBytes);
    if (bufferAddress < 0) {
      bufferAddress = this.#reservedBuffer;
      bufferBytes = RESERVED_BUFFER_BYTES;
    }
    if (bufferAddress < 0) return -ENOMEM;
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
      if (result < 0) break;
      result = yield* writer.row(row);
    }
    if (result >= 0) result = yield* writer.finish();
    this.#release(bufferAddress);
    if (result < 0) return result;
    this.#sequence++;
    this.#older = this.#older === 0 ? 1 : 0;
    return 0;
  }

  #release(address: number): void {
    if (address === this.#reservedBuffer) return;
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

/** Reads the slots of a shard; each row is handed out as bytes of its own. */
export function* readSlots(
  context: StorageContext,
  handles: readonly [number, number],
  journalId: number,
  visitRow: (row: Uint8Array<ArrayBuffer>) => void,
): Task<CheckpointRead> {
  const { arena, disk, memory, crc32c } = context;
  const bufferBytes = Math.min(BUFFER_BYTES, arena.blockSizeMax);
  const bufferAddress = arena.allocate(bufferBytes);
  assert(bufferAddress >= 0, "no memory to read a checkpoint");
  const read = yield* readCheckpoint(
    { disk, memory, crc32c, handles, journalId, bufferAddress, bufferBytes },
    visitRow,
  );
  arena.release(bufferAddress);
  return read;
}

/** Opens (with `create`, makes) the two slot files; the handle of one that cannot be opened is a negative errno. */
export function* openSlots(
  context: StorageContext,
  shard: ShardManifest,
  create: boolean,
): Task<[number, number]> {
  const [first, second] = shard.checkpoints;
  return [
    yield* io((done) => context.disk.open(first, create, done)),
    yield* io((done) => context.disk.open(second, create, done)),
  ];
}

/** Closes what {@linkcode openSlots} has opened. */
export function* closeSlots(
  context: StorageContext,
  handles: readonly [number, number],
): Task<void> {
  for (const handle of handles) {
    if (handle >= 0) yield* io((done) => context.disk.close(handle, done));
  }
}
