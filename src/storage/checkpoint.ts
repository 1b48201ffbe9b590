/**
 * Checkpoints: what lets the journal's ring be reused, and bounds the time of a recovery.
 *
 *     1  capture, a few groups a turn: close the tail (padded), write full index blocks, take the row
 *     2  wait until everything captured has been written
 *     3  one syncfs
 *     4  wait until every record so far is durable: what rows reflect, and cuts made since
 *     5  write the rows into the older slot
 *     6  release the journal up to the *older* slot: the newer one may be damaged
 *
 * Appends continue meanwhile. A group's next append after its capture carries the bytes that share its
 * first block, because that block is rewritten and its earlier bytes may not be replayed any more.
 *
 * @module
 */

import { BLOCK_SIZE } from "../io/disk.ts";
import { EIO, ENOSPC, isForbidden } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import { encodeRow } from "./checkpoint_row.ts";
import { encodeIndexBlock, INDEX_BLOCK_ENTRIES } from "./index_file.ts";
import type { LogParts } from "./log_parts.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { Segment } from "./segment.ts";
import { roundUp } from "./write_behind.ts";

/** Groups captured per turn. */
const CAPTURES_PER_TURN = 128;

/** Where rows go; implemented over the two slots of a checkpoint file. */
export interface CheckpointTarget {
  /** Memory of the arena that it keeps for itself (bytes). */
  readonly reservedBytes: number;
  /** Writes the rows, durable, into the older slot; 0 or a negative errno (-ENOMEM: not now). */
  write(rows: readonly Uint8Array<ArrayBuffer>[], lsn: number): Task<number>;
}

/** Takes part in a checkpoint: closes what is open, and returns the row. */
export function captureLog(
  parts: LogParts,
  log: PartitionLog,
  captured: Segment[],
): Uint8Array<ArrayBuffer> {
  for (let i = log.segmentList.length - 1; i >= 0; i--) {
    const segment = log.segmentList[i]!;
    if (segment.settled) break;
    parts.writer.closeTail(segment, true);
    const unrecorded = log.unrecorded;
    segment.capturedBytes = unrecorded?.segment === segment
      ? unrecorded.position
      : segment.sizeBytes;
    captured.push(segment);
  }
  log.carryNeeded = true;
  return encodeRow(log);
}

/** Waits until everything captured lies in its file. */
export function* awaitWritten(parts: LogParts, captured: Segment[]): Task<void> {
  for (const segment of captured) {
    while (!segment.dropped && segment.writtenPosition < segment.capturedBytes) {
      parts.writer.padEnd(segment);
      yield* parts.nextTurn();
    }
  }
}

/**
 * Writes the index blocks that are due: full ones, and the last one of a closed segment. On a full disk, and
 * where the host forbids it, they stay in memory, and in the row, until that is over.
 */
export function* fileIndex(parts: LogParts, segment: Segment): Task<number> {
  const index = segment.index;
  const due = (): number => {
    if (segment.dropped || !segment.indexLoaded || segment.frozen) return 0;
    // The last entry may still be cut or grow while the segment is open.
    // A tail that nothing was appended to has no entry.
    const open = (segment.tail !== null && segment.tail.extent >= 0 ? 1 : 0) +
      segment.unrecordedEntries;
    const settled = index.count - open - index.filedCount;
    if (settled >= INDEX_BLOCK_ENTRIES) return INDEX_BLOCK_ENTRIES;
    // A part of a block only when nothing will follow it: blocks are written once, whole.
    return segment.closed && open === 0 && settled > 0 ? settled : 0;
  };
  if (due() === 0) return 0;
  const { disk, memory, crc32c } = parts.context;
  const handle = yield* parts.loader.open(segment, true, true);
  if (handle < 0) return handle === -ENOSPC || isForbidden(handle) ? 0 : handle;
  const address = yield* parts.loader.allocate(BLOCK_SIZE);
  let result = address < 0 ? address : 0;
  while (due() > 0 && result >= 0) {
    const first = index.filedCount;
    const count = due();
    const cuts = index.cuts;
    const written = encodeIndexBlock(memory, crc32c, address, segment, first, count);
    const position = (first / INDEX_BLOCK_ENTRIES) * BLOCK_SIZE;
    result = yield* io((done) => disk.allocate(handle, position, BLOCK_SIZE, done));
    if (result < 0) break;
    result = yield* io((done) => {
      disk.write(handle, position, address, BLOCK_SIZE, false, done);
    });
    if (result >= 0 && result !== BLOCK_SIZE) result = -EIO;
    // A truncation may have changed entries meanwhile.
    if (result >= 0 && index.cuts === cuts) index.filedCount = first + written;
  }
  if (address >= 0) parts.cache.arena.release(address);
  parts.files.release(segment.indexFile);
  return result === -ENOSPC ? 0 : result;
}

/** Gives the reserved rest of a closed, written segment back to the file system. */
export function* trimReservation(parts: LogParts, segment: Segment): Task<void> {
  const end = roundUp(segment.sizeBytes);
  if (!segment.closed || segment.dropped || segment.reservedEnd <= end) return;
  if (segment.writtenPosition < segment.sizeBytes) return;
  const handle = yield* parts.loader.open(segment, false, false);
  if (handle < 0) return;
  yield* io((done) => parts.context.disk.truncate(handle, end, done));
  segment.reservedEnd = end;
  parts.files.release(segment.file);
}

export interface CheckpointOptions {
  readonly parts: LogParts;
  readonly logs: () => PartitionLog[];
  readonly target: CheckpointTarget;
  /** LSN below which the rows reflect everything, asked before the first capture. */
  readonly nextLsn: () => number;
  readonly recordedLsn: () => number;
  readonly durable: (lsn: number) => Task<number>;
}

/**
 * Runs one checkpoint; see the module's comment.
 *
 * @returns the LSN from which on the journal is needed by this checkpoint, or a negative errno
 */
export function* runCheckpoint(options: CheckpointOptions): Task<number> {
  const { parts } = options;
  const floor = options.nextLsn();
  for (const log of options.logs()) {
    for (const segment of log.segmentList.slice()) {
      if (segment.settled || segment.dropped) continue;
      const filed = yield* fileIndex(parts, segment);
      if (filed < 0) return filed;
      yield* trimReservation(parts, segment);
    }
  }
  const rows: Uint8Array<ArrayBuffer>[] = [];
  const captured: Segment[] = [];
  let inTurn = 0;
  for (const log of options.logs()) {
    if (!log.recorded) continue;
    rows.push(captureLog(parts, log, captured));
    if (++inTurn % CAPTURES_PER_TURN === 0) yield* parts.nextTurn();
  }
  yield* awaitWritten(parts, captured);
  // With the records of cuts that spared a captured segment from being written.
  const reflected = options.recordedLsn();
  const synced = yield* io((done) => parts.context.disk.syncFileSystem(done));
  if (synced < 0) return synced;
  for (const segment of captured) {
    segment.settled = segment.closed && segment.indexLoaded &&
      segment.index.filedCount === segment.index.count &&
      segment.writtenPosition === segment.sizeBytes;
  }
  // The write before the floor may be a SEAL, which is no record of a log; a start takes it for lost if it is not
  // there.
  yield* options.durable(Math.max(reflected, floor - 1));
  const written = yield* options.target.write(rows, floor - 1);
  return written < 0 ? written : floor;
}
