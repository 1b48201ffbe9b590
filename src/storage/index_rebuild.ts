/**
 * Rebuilds a segment's index from its batches: read front to back, every batch's own CRC checked.
 *
 * The index is derived, so only the protection of what Kafka's CRC does not cover is lost with it; the new
 * checksums protect the bytes from now on. A batch that fails ends the search: the bytes after it have no known
 * batch boundaries and become one damaged extent, so that the batches before it can still be read.
 *
 * @module
 */

import { ENOENT, ENOMEM } from "../io/errno.ts";
import { getInt64 } from "../bytes/int64.ts";
import { io, type Task } from "../io/task.ts";
import {
  ATTRIBUTES_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_MAGIC,
  batchEndOffset,
  batchLeaderEpoch,
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

/**
 * Rebuilds `segment.index`. A lost extent keeps its bounds; damage becomes the last extent.
 *
 * @returns 0 or a negative errno
 */
export function* rebuildIndex(loader: SegmentLoader, segment: Segment): Task<number> {
  const handle = yield* loader.open(segment, false, false);
  const isGivenUp = loader.acceptsLossOf(segment) || segment.lost !== null;
  const gone = handle === -ENOENT && (isGivenUp || loader.mends(segment.groupId));
  if (handle < 0 && !gone) return handle;
  segment.index.cut(0);
  segment.index.filedCount = 0;
  const { view } = loader.context.memory;
  const place = { position: 0, offset: segment.baseOffset };
  while (!gone && place.position < segment.sizeBytes) {
    const end = yield* scanBatches(
      loader,
      segment,
      handle,
      (at) => place.offset = batchEndOffset(view, at),
      place,
    );
    if (end < 0) {
      loader.files.release(segment.file);
      return end;
    }
    place.position = end;
    const lost = segment.lostAt(end);
    if (end === segment.sizeBytes || lost === null) break;
    addExtent(segment, place, lost.endPosition);
    place.position = lost.endPosition;
    place.offset = lost.endOffset;
  }
  if (!gone) loader.files.release(segment.file);
  if (place.position === segment.sizeBytes) return 0;
  addExtent(segment, place, segment.sizeBytes);
  segment.damagedFrom = place.position;
  segment.damaged = true;
  const what = gone ? "The segment is gone" : "Batch is damaged, and the index is too";
  loader.context.onDamage({
    file: segment.file.path,
    position: place.position,
    lost: `${what}: offsets ${place.offset} to ${segment.endOffset - 1}`,
    groupId: segment.groupId,
  });
  return 0;
}

/** Where in a segment batches are looked for. */
interface ScanPlace {
  position: number;
  offset: number;
}

/** Adds the bytes without known batch boundaries, up to `endPosition`, as one extent. */
function addExtent(segment: Segment, place: ScanPlace, endPosition: number): void {
  const extent = segment.index.add(place.offset, place.position);
  segment.index.lengths[extent] = endPosition - place.position;
  // A search by time must meet it, and fail, rather than pass it by.
  segment.index.maxTimestamps[extent] = segment.maxTimestampMs;
}

/**
 * Reads whole batches that follow each other in a segment, from its front or `from`, up to `sizeBytes`, and adds
 * their extents to its index. What a device does not give back costs the batches that touch it, not those that
 * would have been read together with it.
 *
 * @param visit given the address of each batch, valid until it returns
 * @returns the file position after the last valid batch, or a negative errno
 */
export function* scanBatches(
  loader: SegmentLoader,
  segment: Segment,
  handle: number,
  visit: ((address: number) => void) | null,
  from: Readonly<ScanPlace> = { position: 0, offset: segment.baseOffset },
): Task<number> {
  const { disk, memory, crc32c } = loader.context;
  const view = memory.view;
  let size = Math.min(SCAN_BYTES, loader.cache.arena.blockSizeMax);
  let address = yield* loader.allocate(size);
  if (address < 0) return -ENOMEM;
  let { position, offset } = from;
  let extent = -1;
  // The window in memory: file positions [windowStart, windowEnd).
  let windowStart = 0;
  let windowEnd = 0;
  // Read at once; less where the device fails.
  let span = size;
  while (position < segment.sizeBytes) {
    let needed = BATCH_HEADER_SIZE;
    if (position + needed <= windowEnd) needed = batchSize(view, address + position - windowStart);
    const valid = needed >= BATCH_HEADER_SIZE && position + needed <= segment.sizeBytes;
    if (!valid) break;
    if (position + needed > windowEnd) {
      const start = roundDown(position);
      const length = roundUp(position + needed) - start;
      if (length > size) {
        loader.cache.arena.release(address);
        size = length;
        span = size;
        address = yield* loader.allocate(size);
        if (address < 0) return -ENOMEM;
      }
      const at = address;
      const end = roundUp(segment.sizeBytes);
      const bytes = Math.min(Math.max(roundDown(span), length), end - start);
      const read = yield* io((done) => disk.read(handle, start, at, bytes, done));
      if (read < 0 && bytes > length) {
        span = bytes / 2;
        continue;
      }
      windowStart = start;
      windowEnd = start + Math.max(0, read);
      if (windowEnd < position + needed) break;
      continue;
    }
    const at = address + position - windowStart;
    const covered = needed - ATTRIBUTES_OFFSET;
    const good = view.getInt8(at + MAGIC_OFFSET) === BATCH_MAGIC && getInt64(view, at) === offset &&
      crc32c(at + ATTRIBUTES_OFFSET, covered, 0) === view.getUint32(at + CRC_OFFSET, false);
    if (!good || !hasItsTerm(loader, segment, view, at)) break;
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

/** No checksum of a batch covers its leader epoch; its log knows better, as far as it remembers. */
function hasItsTerm(loader: SegmentLoader, segment: Segment, view: DataView, at: number): boolean {
  const term = loader.knownTermOf(segment, batchEndOffset(view, at) - 1);
  return term < 0 || term === batchLeaderEpoch(view, at);
}
