/**
 * Replays REF records: large batches whose bytes were written directly to their segment.
 *
 * Such a record was written when the bytes were durable, so they should be there. Later changes of the segment
 * (cut, dropped, overwritten) are in later records. So the batch is added from the header that
 * the record repeats, and bytes that do not match are only *doubtful* until the replay has ended. Its last block
 * may be torn too: a later append shares it, and that append's record carries the batch's end.
 *
 *     doubtful, still in the log, and ── damage: the group is suspect, wherever the record stands. A torn
 *     wrong when all is written          tail takes the record; a record that is whole had its bytes
 *
 * @module
 */

import { BLOCK_SIZE } from "../io/disk.ts";
import { EIO, ENOMEM } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import { batchMaxTimestamp, batchSize } from "../wire/record_batch.ts";
import { REF_BLOCK_OFFSET } from "./journal_format.ts";
import type { JournalRecord } from "./journal_record.ts";
import type { LogParts } from "./log_parts.ts";
import type { PartitionLog } from "./partition_log.ts";
import { isReference } from "./replay_check.ts";
import type { Landing, Segment } from "./segment.ts";
import { endBeforeLanding, extentSeed, roundDown, roundUp } from "./write_behind.ts";

/** Bytes read at once to verify a batch. */
const READ_BYTES = 256 * 1024;

/** Where large batches lie, by {@linkcode landingKey}: what must not be written over before its turn comes. */
export type Landings = Map<string, Landing[]>;

export function landingKey(groupId: number, incarnation: number, generation: number): string {
  return `${groupId}.${incarnation}.${generation}`;
}

/** Notes the blocks after the first, shared one of the batch that a REF record stands for. */
export function noteLanding(landings: Landings, record: JournalRecord): void {
  if (!isReference(record)) return;
  const { position, generation, referenceAddress } = record.batch;
  const length = batchSize(record.view, referenceAddress);
  const landing = {
    sequence: record.sequence,
    from: roundUp(position),
    to: roundUp(position + length),
  };
  const key = landingKey(record.groupId, record.incarnation, generation);
  const known = landings.get(key);
  if (known === undefined) landings.set(key, [landing]);
  else known.push(landing);
}

/** A batch whose bytes in the segment are not those of its record. */
export interface DoubtfulBatch {
  readonly log: PartitionLog;
  readonly segment: Segment;
  readonly position: number;
  readonly length: number;
  readonly checksum: number;
  readonly firstIndex: number;
  readonly baseOffset: number;
}

/**
 * Whether a doubtful batch's bytes match its checksum, once everything replayed is written; or -ENOMEM.
 */
export function* isMended(parts: LogParts, doubtful: DoubtfulBatch): Task<boolean | number> {
  const { segment, position, length, checksum } = doubtful;
  const handle = yield* parts.loader.open(segment, false, false);
  if (handle < 0) return handle === -ENOMEM ? handle : false;
  const found = yield* checksumOf(parts, handle, segment.groupId, position, length);
  parts.files.release(segment.file);
  return found === -ENOMEM ? found : found === checksum;
}

/**
 * Adds a large batch to the log; no part of the segment is dirty, and its file exists.
 *
 * @returns the batch if it is doubtful, null if it is sound, or a negative errno
 */
export function* replayLanded(
  parts: LogParts,
  log: PartitionLog,
  segment: Segment,
  record: JournalRecord,
): Task<DoubtfulBatch | null | number> {
  const { view } = parts.context.memory;
  const header = record.batch.referenceAddress;
  const length = batchSize(view, header);
  const checksum = view.getUint32(record.payloadAddress, true);
  const position = segment.sizeBytes;
  const handle = yield* parts.loader.open(segment, false, false);
  if (handle < 0) return handle;
  let result = 0;
  const block = roundDown(position);
  const taken = endBeforeLanding(segment.landings ?? [], block, block + BLOCK_SIZE) === block;
  if (record.batch.carriedBytes > 0 && !taken) {
    result = yield* writeBlock(
      parts,
      handle,
      block,
      record.payloadAddress + REF_BLOCK_OFFSET,
    );
  }
  let found = -1;
  if (result >= 0) {
    found = yield* checksumOf(parts, handle, segment.groupId, position, length);
    // Anything unreadable is doubtful, except for want of memory.
    if (found === -ENOMEM) result = found;
  }
  parts.files.release(segment.file);
  if (result < 0) return result;
  const doubtful = {
    log,
    segment,
    position,
    length,
    checksum,
    firstIndex: record.batch.firstIndex,
    baseOffset: log.endOffset,
  };
  log.positions.enterTerm(record.term);
  log.admitLanded(segment, header, length, checksum, Math.max(0, batchMaxTimestamp(view, header)));
  return found === checksum ? null : doubtful;
}

function* writeBlock(parts: LogParts, handle: number, at: number, from: number): Task<number> {
  const { disk, memory } = parts.context;
  const address = parts.cache.arena.allocate(BLOCK_SIZE);
  if (address < 0) return -ENOMEM;
  memory.bytes.copyWithin(address, from, from + BLOCK_SIZE);
  const written = yield* io((done) => disk.write(handle, at, address, BLOCK_SIZE, false, done));
  parts.cache.arena.release(address);
  return written === BLOCK_SIZE ? 0 : written < 0 ? written : -EIO;
}

/** The extent checksum of a range of a file, or a negative errno (`-EIO`: it ends before). */
function* checksumOf(
  parts: LogParts,
  handle: number,
  groupId: number,
  position: number,
  length: number,
): Task<number> {
  const { disk, crc32c } = parts.context;
  const { arena } = parts.cache;
  const size = Math.min(READ_BYTES, arena.blockSizeMax);
  const address = arena.allocate(size);
  if (address < 0) return -ENOMEM;
  const end = position + length;
  let checksum = extentSeed(groupId, position);
  let result = 0;
  for (let at = position; at < end && result >= 0;) {
    const from = roundDown(at);
    const bytes = Math.min(size, roundUp(end) - from);
    const until = Math.min(end, from + bytes);
    const read = yield* io((done) => disk.read(handle, from, address, bytes, done));
    if (read < until - from) result = read < 0 ? read : -EIO;
    else checksum = crc32c(address + at - from, until - at, checksum);
    at = until;
  }
  arena.release(address);
  return result < 0 ? result : checksum;
}
