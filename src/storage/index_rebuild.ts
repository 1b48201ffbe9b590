/**
 * Rebuilds a segment's index from its batches: read front to back, every batch's own CRC checked.
 *
 * The index is derived, so nothing is lost with it but the protection of what Kafka's CRC misses; the
 * new checksums vouch for the bytes from now on. A batch that fails ends the search: what follows cannot
 * be told apart, and becomes one extent that is damage, so that what stands before it can still be read.
 *
 * @module
 */

import { ENOMEM } from "../io/errno.ts";
import { getInt64 } from "../bytes/int64.ts";
import { io, type Task } from "../io/task.ts";
import {
  ATTRIBUTES_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_MAGIC,
  batchEndOffset,
  batchMaxTimestamp,
  batchSize,
  CRC_OFFSET,
  MAGIC_OFFSET,
} from "../wire/record_batch.ts";
import { EXTENT_WINDOW_MAX } from "./log_parts.ts";
import type { Segment } from "./segment.ts";
import type { SegmentLoader } from "./segment_loader.ts";
import { extentSeed, roundDown, roundUp } from "./write_behind.ts";

const SCAN_BYTES = 256 * 1024;

/** Fills `segment.index` anew, with what is damaged as its last extent; 0 or a negative errno. */
export function* rebuildIndex(loader: SegmentLoader, segment: Segment): Task<number> {
  const handle = yield* loader.open(segment, false, false);
  if (handle < 0) return handle;
  segment.index.cut(0);
  segment.index.filedCount = 0;
  const { view } = loader.context.memory;
  let offset = segment.baseOffset;
  const end = yield* scanBatches(
    loader,
    segment,
    handle,
    (at) => offset = batchEndOffset(view, at),
  );
  loader.files.release(segment.file);
  if (end < 0 || end === segment.sizeBytes) return Math.min(end, 0);
  const extent = segment.index.add(offset, end);
  segment.index.lengths[extent] = segment.sizeBytes - end;
  // A search by time must meet it, and fail, rather than pass it by.
  segment.index.maxTimestamps[extent] = segment.maxTimestampMs;
  segment.damagedFrom = end;
  loader.context.onDamage({
    file: segment.file.path,
    position: end,
    lost: `Batch is damaged, and the index is too: offsets ${offset} to ${segment.endOffset - 1}`,
    groupId: segment.groupId,
  });
  return 0;
}

/**
 * Reads whole batches that follow each other from the front of a segment, up to `sizeBytes`, and adds
 * their extents to its index.
 *
 * @param visit given the address of each batch, valid until it returns
 * @returns the file position behind the last good batch, or a negative errno
 */
export function* scanBatches(
  loader: SegmentLoader,
  segment: Segment,
  handle: number,
  visit: ((address: number) => void) | null,
): Task<number> {
  const { disk, memory, crc32c } = loader.context;
  const view = memory.view;
  let size = Math.min(SCAN_BYTES, loader.cache.arena.blockSizeMax);
  let address = yield* loader.allocate(size);
  if (address < 0) return -ENOMEM;
  let position = 0;
  let offset = segment.baseOffset;
  let extent = -1;
  // The window in memory: file positions [windowStart, windowEnd).
  let windowStart = 0;
  let windowEnd = 0;
  while (position < segment.sizeBytes) {
    let needed = BATCH_HEADER_SIZE;
    if (position + needed <= windowEnd) needed = batchSize(view, address + position - windowStart);
    const valid = needed >= BATCH_HEADER_SIZE && position + needed <= segment.sizeBytes;
    if (!valid) break;
    if (position + needed > windowEnd) {
      const from = roundDown(position);
      const length = roundUp(position + needed) - from;
      if (length > size) {
        loader.cache.arena.release(address);
        size = length;
        address = yield* loader.allocate(size);
        if (address < 0) return -ENOMEM;
      }
      const at = address;
      const bytes = roundDown(size);
      const read = yield* io((done) => disk.read(handle, from, at, bytes, done));
      windowStart = from;
      windowEnd = from + Math.max(0, read);
      if (windowEnd < position + needed) break;
      continue;
    }
    const at = address + position - windowStart;
    const covered = needed - ATTRIBUTES_OFFSET;
    const good = view.getInt8(at + MAGIC_OFFSET) === BATCH_MAGIC && getInt64(view, at) === offset &&
      crc32c(at + ATTRIBUTES_OFFSET, covered, 0) === view.getUint32(at + CRC_OFFSET, false);
    if (!good) break;
    const index = segment.index;
    const joins = extent >= 0 &&
      position + needed - roundDown(index.positions[extent]!) <= EXTENT_WINDOW_MAX;
    if (!joins) {
      extent = index.add(offset, position);
      index.checksums[extent] = extentSeed(segment.groupId, position);
    }
    index.lengths[extent] = position + needed - index.positions[extent]!;
    index.checksums[extent] = crc32c(at, needed, index.checksums[extent]!);
    const timestamp = batchMaxTimestamp(view, at);
    if (timestamp > index.maxTimestamps[extent]!) index.maxTimestamps[extent] = timestamp;
    visit?.(at);
    offset = batchEndOffset(view, at);
    position += needed;
  }
  loader.cache.arena.release(address);
  return position;
}
