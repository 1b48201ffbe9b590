/**
 * The replacement of a damaged extent that an operator has given up: one batch without records that covers its
 * offsets.
 *
 * Kafka's compaction leaves such batches, so every client goes past them. They exist in memory only: the
 * file keeps its bytes, for inspection.
 *
 * @module
 */

import { setInt64 } from "../bytes/int64.ts";
import {
  ATTRIBUTES_OFFSET,
  BASE_SEQUENCE_OFFSET,
  BASE_TIMESTAMP_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_LENGTH_OFFSET,
  BATCH_LENGTH_OVERHEAD,
  BATCH_MAGIC,
  batchProducerId,
  batchRecordCount,
  LAST_OFFSET_DELTA_OFFSET,
  LEADER_EPOCH_OFFSET,
  MAGIC_OFFSET,
  MAX_TIMESTAMP_OFFSET,
  PRODUCER_EPOCH_OFFSET,
  PRODUCER_ID_OFFSET,
  RECORD_COUNT_OFFSET,
  setBatchCrc,
} from "../wire/record_batch.ts";
import type { Chunk } from "./chunk_cache.ts";
import { extentEnd } from "./extent_index.ts";
import type { Segment } from "./segment.ts";
import type { StorageContext } from "./shard_storage.ts";

/** The most offsets of one batch without records. */
export const FILLER_OFFSETS_MAX = 2 ** 31 - 1;

/**
 * Writes the batch into the chunk of a lost extent, and ends the chunk after it.
 *
 * @param term of the extent's last record: a consumer positioned after it asks whether the log was cut there
 */
export function fillLost(
  context: StorageContext,
  segment: Segment,
  chunk: Chunk,
  term: number,
): void {
  const at = chunk.addressOf(chunk.start);
  const baseOffset = segment.index.baseOffsets[chunk.extent]!;
  const records = extentEnd(segment, chunk.extent) - baseOffset;
  chunk.end = chunk.start + BATCH_HEADER_SIZE;
  writeFiller(context, at, baseOffset, Math.min(records, FILLER_OFFSETS_MAX), term);
}

/** A batch without records, of no producer: what damage or compaction leaves where records were. */
export function isFiller(view: DataView, at: number): boolean {
  return batchRecordCount(view, at) === 0 && batchProducerId(view, at) < 0;
}

/** Writes a batch without records, and of no producer, that covers `offsets` offsets from `baseOffset` on. */
export function writeFiller(
  { memory: { view }, crc32c }: Pick<StorageContext, "memory" | "crc32c">,
  at: number,
  baseOffset: number,
  offsets: number,
  term: number,
): void {
  setInt64(view, at, baseOffset);
  view.setInt32(at + BATCH_LENGTH_OFFSET, BATCH_HEADER_SIZE - BATCH_LENGTH_OVERHEAD, false);
  view.setInt32(at + LEADER_EPOCH_OFFSET, term, false);
  view.setInt8(at + MAGIC_OFFSET, BATCH_MAGIC);
  view.setInt16(at + ATTRIBUTES_OFFSET, 0, false);
  view.setInt32(at + LAST_OFFSET_DELTA_OFFSET, offsets - 1, false);
  setInt64(view, at + BASE_TIMESTAMP_OFFSET, -1);
  setInt64(view, at + MAX_TIMESTAMP_OFFSET, -1);
  setInt64(view, at + PRODUCER_ID_OFFSET, -1);
  view.setInt16(at + PRODUCER_EPOCH_OFFSET, -1, false);
  view.setInt32(at + BASE_SEQUENCE_OFFSET, -1, false);
  view.setInt32(at + RECORD_COUNT_OFFSET, 0, false);
  const covered = BATCH_HEADER_SIZE - ATTRIBUTES_OFFSET;
  setBatchCrc(view, at, crc32c(at + ATTRIBUTES_OFFSET, covered, 0));
}
