/**
 * Makes a segment ready for appends, so that the append itself never waits and never meets ENOSPC.
 *
 * The file is created or opened, space is reserved ahead (in steps that grow with the segment), its index
 * is loaded, and the bytes of its partly filled last block are read.
 *
 * @module
 */

import { BLOCK_SIZE, type Disk } from "../io/disk.ts";
import { EEXIST, EIO, ENOMEM, ENOSPC } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import { ChunkState } from "./chunk_cache.ts";
import type { LogParts } from "./log_parts.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { Segment } from "./segment.ts";
import { roundDown, roundUp } from "./write_behind.ts";

/** Smallest and largest step of reservation (bytes). */
const RESERVE_STEP_MIN = 64 * 1024;
const RESERVE_STEP_MAX = 16 * 1024 * 1024;
/** Reserved for the first records of a log; many logs never have more (bytes). */
export const OPEN_AHEAD_BYTES = 16 * 1024;

/** Where the space ends that is reserved for a segment of this size, with `length` bytes to come. */
export function reservationEnd(sizeBytes: number, length: number, segmentBytes: number): number {
  const step = Math.min(RESERVE_STEP_MAX, Math.max(RESERVE_STEP_MIN, sizeBytes));
  const wanted = Math.min(roundUp(segmentBytes), roundUp(sizeBytes) + 2 * step);
  return Math.max(roundUp(sizeBytes + length), wanted);
}

/**
 * Whether more should be reserved while there is room yet: a quarter is left, and of a large segment half of
 * what is reserved at once, so that each reservation serves the next step.
 */
export function isNearEnd(reservedEnd: number, endBytes: number, segmentBytes: number): boolean {
  return reservedEnd < segmentBytes &&
    reservedEnd - endBytes < Math.min(reservedEnd / 4, RESERVE_STEP_MAX);
}

/** Makes room for `length` bytes after the segment's end; returns 0 or a negative errno. */
export function* prepareSegment(
  parts: LogParts,
  log: PartitionLog,
  segment: Segment,
  length: number,
): Task<number> {
  const { disk } = parts.context;
  if (!log.directoryMade) {
    const made = yield* io((done) => disk.makeDirectory(log.directory, done));
    if (made < 0 && made !== -EEXIST) return made;
    log.directoryMade = true;
  }
  const create = !segment.created;
  const handle = yield* parts.loader.open(segment, false, create);
  if (handle < 0) return handle;
  segment.created = true;
  let result = yield* reserve(parts, log, segment, handle, length);
  if (result >= 0) result = yield* parts.loader.loadIndex(segment);
  // What cannot be told apart stays last: then it can be looked at again, and nothing sound is behind it.
  if (result >= 0 && segment.damagedFrom < Infinity) result = -EIO;
  if (result >= 0) result = yield* loadLead(parts, segment, handle);
  parts.files.release(segment.file);
  return result;
}

function* reserve(
  parts: LogParts,
  log: PartitionLog,
  segment: Segment,
  handle: number,
  length: number,
): Task<number> {
  const { disk } = parts.context;
  const needed = roundUp(segment.sizeBytes + length);
  const isFirst = segment.sizeBytes === 0 && length === OPEN_AHEAD_BYTES;
  const wanted = isFirst
    ? needed
    : reservationEnd(segment.sizeBytes, length, log.segmentLimits.segmentBytes);
  const from = Math.max(segment.reservedEnd, roundDown(segment.sizeBytes));
  if (wanted <= from) return 0;
  let result = yield* extend(disk, handle, from, wanted);
  if (result >= 0) {
    segment.reservedEnd = wanted;
    return 0;
  }
  if (result !== -ENOSPC || needed <= from) return needed <= from ? 0 : result;
  // Nearly full: only the room that this append needs.
  result = yield* extend(disk, handle, from, needed);
  if (result >= 0) segment.reservedEnd = needed;
  return result;
}

/**
 * Reserves space up to `end`, and sets the file's size to it: the kernel starts a write that makes a
 * file longer on a thread of its own, one at a time for each file.
 */
function* extend(disk: Disk, handle: number, from: number, end: number): Task<number> {
  const result = yield* io((done) => disk.allocate(handle, from, end - from, done));
  if (result < 0) return result;
  return yield* io((done) => disk.truncate(handle, end, done));
}

/** Brings in the bytes of the segment's last, partly filled block as the lead of a new tail. */
function* loadLead(parts: LogParts, segment: Segment, handle: number): Task<number> {
  const lead = segment.sizeBytes % BLOCK_SIZE;
  if (lead === 0 || segment.tail !== null) return 0;
  const previous = segment.index.chunks[segment.index.count - 1];
  if (previous !== null && previous !== undefined) {
    if (previous.state !== ChunkState.LOADING) return 0;
    const loaded = yield* parts.loader.load(segment, segment.index.count - 1);
    if (loaded === null) return -EIO;
    loaded.unpin();
    return 0;
  }
  const position = segment.sizeBytes;
  const address = yield* parts.loader.allocate(BLOCK_SIZE);
  if (address < 0) return -ENOMEM;
  const read = yield* io((done) =>
    parts.context.disk.read(handle, position - lead, address, BLOCK_SIZE, done)
  );
  if (read >= lead && !segment.dropped && segment.tail === null && segment.sizeBytes === position) {
    const chunk = parts.cache.take(BLOCK_SIZE, ChunkState.TAIL);
    if (chunk !== null) {
      parts.context.memory.bytes.copyWithin(chunk.address, address, address + lead);
      chunk.segment = segment;
      chunk.windowStart = position - lead;
      chunk.start = position;
      chunk.end = position;
      segment.tail = chunk;
    }
  }
  parts.cache.arena.release(address);
  return read < 0 ? read : read < lead ? -EIO : 0;
}

/** Whether `length` bytes may be appended to a segment without waiting. */
export function isReady(segment: Segment, length: number): boolean {
  return roundUp(segment.sizeBytes + length) <= segment.reservedEnd && isRead(segment);
}

/** Whether what an append needs of a segment is in memory: its index, and the bytes of its last block. */
export function isRead(segment: Segment): boolean {
  if (!segment.indexLoaded) return false;
  if (segment.tail !== null || segment.sizeBytes % BLOCK_SIZE === 0) return true;
  const previous = segment.index.chunks[segment.index.count - 1];
  return previous !== null && previous !== undefined && previous.state !== ChunkState.LOADING;
}
