/**
 * Whether a journal record fits the log that it is to be replayed onto.
 *
 * A record comes from the disk. Although its write is valid, the record may contradict the log that results from
 * the checkpoint rows and the earlier records: because of restored old rows, or a bug of an older version. Such a
 * record is reported as damage, and the log is kept as it was before it.
 *
 * @module
 */

import { getInt64 } from "../bytes/int64.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { BATCH_HEADER_SIZE, batchSize, LAST_OFFSET_DELTA_OFFSET } from "../wire/record_batch.ts";
import { JournalRecordType, REF_BLOCK_OFFSET } from "./journal_format.ts";
import type { JournalRecord } from "./journal_record.ts";
import { isMetaKind } from "./meta_table.ts";
import type { PartitionLog } from "./partition_log.ts";

/** The last of the types that a record may have. */
const TYPE_MAX = JournalRecordType.REF;

/** Why `record` cannot be replayed onto `log`, in words that follow "the record"; null when it can. */
export function misfitOf(log: PartitionLog, record: JournalRecord): string | null {
  switch (record.type) {
    case JournalRecordType.APPEND: {
      const { address, length } = record.batch;
      return misfitOfBatch(log, record, address, length) ??
        (batchSize(record.view, address) === length ? misfitOfCarry(record) : "is not one batch");
    }
    case JournalRecordType.REF: {
      if (!isReference(record)) return "has a payload of another length";
      const address = record.batch.referenceAddress;
      return misfitOfBatch(log, record, address, batchSize(record.view, address)) ??
        misfitOfCarry(record);
    }
    case JournalRecordType.META:
      return misfitOfMeta(log, record);
    case JournalRecordType.HARD:
      return record.term >= log.hardTerm ? null : "takes back a term";
    case JournalRecordType.TRUNCATE:
      return misfitOfCut(log, record);
    case JournalRecordType.PREFIX: {
      const { startIndex, startOffset } = record.prefix;
      const inside = startIndex >= log.startIndex && startIndex <= log.lastIndex &&
        startOffset >= log.startOffset && startOffset <= log.endOffset;
      return inside ? null : "moves the start out of the log";
    }
  }
  return record.type >= JournalRecordType.APPEND && record.type <= TYPE_MAX
    ? null
    : `has the type ${record.type}, which is unknown`;
}

/** Whether a REF record is complete: a checksum, a batch's header, the block before if there is one. */
export function isReference(record: JournalRecord): boolean {
  const block = record.batch.carriedBytes > 0 ? BLOCK_SIZE : 0;
  return record.payloadLength === REF_BLOCK_OFFSET + block;
}

function misfitOfMeta(log: PartitionLog, record: JournalRecord): string | null {
  const { index, nextOffset, kind } = record.meta;
  if (index !== log.lastIndex + 1) return "does not follow the last entry";
  if (nextOffset !== log.endOffset) return "has another offset than the log's end";
  if (record.term < log.lastTerm) return "goes back to an earlier term";
  return isMetaKind(kind) ? null : `is an entry of the kind ${kind}, which is unknown`;
}

/** `at`: the batch's header in memory, at least as far as the record has room for it. */
function misfitOfBatch(
  log: PartitionLog,
  record: JournalRecord,
  at: number,
  length: number,
): string | null {
  const { firstIndex, generation, position } = record.batch;
  if (firstIndex !== log.lastIndex + 1) return "does not follow the last entry";
  if (record.term < log.lastTerm) return "goes back to an earlier term";
  if (length < BATCH_HEADER_SIZE) return "is not one batch";
  const { view } = record;
  if (view.getInt32(at + LAST_OFFSET_DELTA_OFFSET, false) < 0) return "is not one batch";
  if (getInt64(view, at) !== log.endOffset) return "has another offset than the log's end";
  const last = log.segmentList[log.segmentList.length - 1];
  if (last !== undefined && last.generation === generation) {
    return position === last.sizeBytes ? null : "does not follow the last batch in the segment";
  }
  if (position !== 0) return "is of a segment that is not the last";
  const known = log.segmentList.some((segment) => segment.generation === generation);
  return known ? "is of a segment that is not the last" : null;
}

/** Why its carried bytes are wrong, or null: they are all bytes before the batch in its first block, or none. */
function misfitOfCarry(record: JournalRecord): string | null {
  const { carriedBytes, position } = record.batch;
  return carriedBytes === 0 || carriedBytes === position % BLOCK_SIZE
    ? null
    : "carries other bytes than those before it";
}

function misfitOfCut(log: PartitionLog, record: JournalRecord): string | null {
  const { lastIndex, endOffset, position } = record.cut;
  const inside = lastIndex >= log.startIndex && lastIndex <= log.lastIndex &&
    endOffset >= log.startOffset && endOffset <= log.endOffset;
  if (!inside) return "cuts outside of the log";
  const cut = log.segmentList.findLast((segment) => segment.baseOffset < endOffset);
  if (cut === undefined || cut.endOffset <= endOffset) return null;
  return position > 0 && position < cut.sizeBytes ? null : "cuts outside of the segment";
}
