/**
 * Records of a Fetch answer as text that two brokers can be compared by: what each of them sets itself
 * (the leader's epoch, append times) is left out.
 *
 * @module
 */

import {
  ATTRIBUTES_OFFSET,
  BATCH_HEADER_SIZE,
  batchAttributes,
  batchBaseOffset,
  batchBaseSequence,
  batchBaseTimestamp,
  batchLastOffsetDelta,
  batchMagic,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
  batchRecordCount,
  batchSize,
  LOG_APPEND_TIME_FLAG,
} from "../../../src/wire/record_batch.ts";
import type { Json } from "./case.ts";

/** One object per batch; a batch that is cut short says how long it is. */
export function describeRecords(bytes: Uint8Array): Json[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const batches: Json[] = [];
  for (let at = 0; at < bytes.length;) {
    const left = bytes.length - at;
    if (left < BATCH_HEADER_SIZE || left < batchSize(view, at)) {
      batches.push({ cutTo: left });
      break;
    }
    const size = batchSize(view, at);
    const attributes = batchAttributes(view, at);
    const isAppendTime = (attributes & LOG_APPEND_TIME_FLAG) !== 0;
    batches.push({
      baseOffset: batchBaseOffset(view, at),
      lastOffsetDelta: batchLastOffsetDelta(view, at),
      magic: batchMagic(view, at),
      attributes,
      baseTimestamp: batchBaseTimestamp(view, at),
      maxTimestamp: isAppendTime ? "<now>" : batchMaxTimestamp(view, at),
      producer: batchProducerId(view, at) >= 0 ? "<producer>" : -1,
      producerEpoch: batchProducerEpoch(view, at),
      baseSequence: batchBaseSequence(view, at),
      count: batchRecordCount(view, at),
      payload: bytes.subarray(at + BATCH_HEADER_SIZE, at + size).toHex(),
    });
    if (size <= ATTRIBUTES_OFFSET) break;
    at += size;
  }
  return batches;
}
