/**
 * Is this what a producer may send? Asked of every batch before it is appended.
 *
 * Header and checksum are checked here, in place; the records are then walked by the shim
 * (`src/io/record_walk.ts`). The codes are those that Kafka gives.
 *
 * @module
 */

import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import { ErrorCode } from "./errors.ts";
import {
  ATTRIBUTES_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_MAGIC,
  batchAttributes,
  batchBaseOffset,
  batchBaseSequence,
  batchCompression,
  batchCrc,
  batchIsTransactional,
  batchLastOffsetDelta,
  batchMagic,
  batchProducerEpoch,
  batchProducerId,
  batchRecordCount,
  batchSize,
  Compression,
  CONTROL_FLAG,
  DELETE_HORIZON_FLAG,
  MAGIC_OFFSET,
} from "./record_batch.ts";

/** The smallest record: its length and six bytes. */
const RECORD_SIZE_MIN = 7;

/**
 * Checks the one batch that a producer sent for a partition, without looking into its records.
 *
 * @param address of the batch, in the region that `crc32c` works on
 * @param end address after the records field; one batch must fill it
 * @returns an {@linkcode ErrorCode}: NONE; CORRUPT_MESSAGE for sizes, checksum and a format that there
 * is not; INVALID_RECORD for an old format, no batch at all, another number of batches than one, a control batch, or contradicting fields;
 * UNSUPPORTED_COMPRESSION_TYPE for compression bits that mean nothing
 */
export function checkBatch(
  memory: Memory,
  address: number,
  end: number,
  crc32c: Crc32c,
): ErrorCode {
  const view = memory.view;
  // Too short to say its format: there is no batch.
  if (end - address <= MAGIC_OFFSET) return ErrorCode.INVALID_RECORD;
  const magic = batchMagic(view, address);
  if (magic !== BATCH_MAGIC) {
    return magic === 0 || magic === 1 ? ErrorCode.INVALID_RECORD : ErrorCode.CORRUPT_MESSAGE;
  }
  if (end - address < BATCH_HEADER_SIZE) return ErrorCode.CORRUPT_MESSAGE;
  const size = batchSize(view, address);
  if (size < BATCH_HEADER_SIZE || size > end - address) return ErrorCode.CORRUPT_MESSAGE;
  const checked = address + ATTRIBUTES_OFFSET;
  if (crc32c(checked, size - ATTRIBUTES_OFFSET, 0) !== batchCrc(view, address)) {
    return ErrorCode.CORRUPT_MESSAGE;
  }
  if (size !== end - address) return ErrorCode.INVALID_RECORD;
  return checkFields(view, address, size);
}

/** What the header says, once its bytes are known to be what was sent. */
function checkFields(view: DataView, address: number, size: number): ErrorCode {
  if (batchBaseOffset(view, address) !== 0) return ErrorCode.INVALID_RECORD;
  if ((batchAttributes(view, address) & (CONTROL_FLAG | DELETE_HORIZON_FLAG)) !== 0) {
    return ErrorCode.INVALID_RECORD;
  }
  const compression = batchCompression(view, address);
  if (compression > Compression.ZSTD) return ErrorCode.UNSUPPORTED_COMPRESSION_TYPE;
  const count = batchRecordCount(view, address);
  if (count <= 0 || count !== batchLastOffsetDelta(view, address) + 1) {
    return ErrorCode.INVALID_RECORD;
  }
  if (
    compression === Compression.NONE && count * RECORD_SIZE_MIN > size - BATCH_HEADER_SIZE
  ) return ErrorCode.INVALID_RECORD;
  const producerId = batchProducerId(view, address);
  if (producerId < 0) {
    if (producerId !== -1 || batchIsTransactional(view, address)) return ErrorCode.INVALID_RECORD;
    return ErrorCode.NONE;
  }
  if (batchBaseSequence(view, address) < 0 || batchProducerEpoch(view, address) < 0) {
    return ErrorCode.INVALID_RECORD;
  }
  return ErrorCode.NONE;
}
