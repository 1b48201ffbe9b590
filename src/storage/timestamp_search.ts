/**
 * ListOffsets by time: the first record at or after a timestamp.
 *
 * Segment and extent maxima narrow it to an extent, batch headers to a batch, and the records' own
 * deltas to a record. The records of a compressed batch are decompressed on the heap for it, up to
 * {@linkcode DECOMPRESSED_BYTES_MAX}; of one that holds more, or that its producer garbled, the first
 * offset is the answer (clients skip what is older).
 *
 * @module
 */

import { decompress } from "../bytes/compression.ts";
import { getInt64 } from "../bytes/int64.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Task } from "../io/task.ts";
import {
  ATTRIBUTES_OFFSET,
  BASE_TIMESTAMP_OFFSET,
  BATCH_HEADER_SIZE,
  batchEndOffset,
  batchMaxTimestamp,
  batchSize,
  COMPRESSION_MASK,
  LEADER_EPOCH_OFFSET,
  RECORD_COUNT_OFFSET,
} from "../wire/record_batch.ts";
import type { TimestampMatch } from "./log.ts";
import type { PartitionLog } from "./partition_log.ts";
import { Varint } from "./varint_cursor.ts";

const NO_MATCH: TimestampMatch = { offset: -1, timestampMs: -1, term: -1 };
/** Attribute bit: every record has the batch's maximum, the time of its append. */
const LOG_APPEND_TIME_FLAG = 0x08;
/** Of one batch, whatever it claims to hold: a look-up must not cost a shard its memory or its turn. */
const DECOMPRESSED_BYTES_MAX = 16 * 1024 * 1024;

/** See {@linkcode Log.offsetForTimestamp}. */
export function* offsetForTimestamp(
  log: PartitionLog,
  timestampMs: number,
  limitOffset: number,
): Task<TimestampMatch | null> {
  const { loader } = log.parts;
  for (const segment of log.segmentList.slice()) {
    if (segment.maxTimestampMs < timestampMs || segment.endOffset <= log.startOffset) continue;
    if (segment.baseOffset >= limitOffset) break;
    if ((yield* loader.loadIndex(segment)) < 0) return null;
    for (let extent = 0; extent < segment.index.count; extent++) {
      if (segment.index.maxTimestamps[extent]! < timestampMs) continue;
      const chunk = yield* loader.load(segment, extent);
      if (chunk === null) {
        if (!segment.dropped) return null;
        // Trimmed, or compacted: then another one holds these offsets.
        if (segment.endOffset <= log.startOffset) break;
        return yield* offsetForTimestamp(log, timestampMs, limitOffset);
      }
      const start = chunk.addressOf(chunk.start);
      const end = chunk.addressOf(chunk.end);
      const match = searchExtent(log, start, end, timestampMs, limitOffset);
      chunk.unpin();
      if (match !== null) return match;
    }
  }
  return NO_MATCH;
}

function searchExtent(
  log: PartitionLog,
  start: number,
  end: number,
  timestampMs: number,
  limitOffset: number,
): TimestampMatch | null {
  const { memory } = log.parts.context;
  const { view } = memory;
  for (let at = start; at < end; at += batchSize(view, at)) {
    if (batchMaxTimestamp(view, at) < timestampMs) continue;
    if (batchEndOffset(view, at) <= log.startOffset) continue;
    if (batchEndOffset(view, at) > limitOffset) return NO_MATCH;
    const match = searchBatch(memory, at, timestampMs, log.startOffset);
    if (match !== null) return match;
  }
  return null;
}

function searchBatch(
  memory: Memory,
  at: number,
  timestampMs: number,
  startOffset: number,
): TimestampMatch | null {
  const { view } = memory;
  const baseOffset = getInt64(view, at);
  const term = view.getInt32(at + LEADER_EPOCH_OFFSET, false);
  const attributes = view.getInt16(at + ATTRIBUTES_OFFSET, false);
  const baseTimestamp = getInt64(view, at + BASE_TIMESTAMP_OFFSET);
  const firstOffset = Math.max(baseOffset, startOffset);
  if ((attributes & LOG_APPEND_TIME_FLAG) !== 0) {
    return { offset: firstOffset, timestampMs: batchMaxTimestamp(view, at), term };
  }
  const cursor = recordsOf(memory, at, attributes & COMPRESSION_MASK);
  if (cursor === null) {
    return { offset: firstOffset, timestampMs: Math.max(baseTimestamp, timestampMs), term };
  }
  const count = view.getInt32(at + RECORD_COUNT_OFFSET, false);
  for (let i = 0; i < count && !cursor.bad; i++) {
    const length = cursor.next();
    const recordEnd = cursor.at + length;
    cursor.skip(1);
    const timestamp = baseTimestamp + cursor.next();
    const offset = baseOffset + cursor.next();
    if (cursor.bad) break;
    if (timestamp >= timestampMs && offset >= startOffset) {
      return { offset, timestampMs: timestamp, term };
    }
    cursor.at = recordEnd;
  }
  return null;
}

/** At the first record of the batch at `at`; null where its records cannot be decompressed. */
function recordsOf({ bytes, view }: Memory, at: number, compression: number): Varint | null {
  const start = at + BATCH_HEADER_SIZE;
  const end = at + batchSize(view, at);
  if (compression === 0) return new Varint(view, start, end);
  const records = decompress(compression, bytes.subarray(start, end), DECOMPRESSED_BYTES_MAX);
  if (records === null) return null;
  const { buffer, byteOffset, byteLength } = records as Uint8Array<ArrayBuffer>;
  return new Varint(new DataView(buffer, byteOffset, byteLength), 0, byteLength);
}
