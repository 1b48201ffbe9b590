/**
 * What can be recovered of a group whose checkpoint rows or first records are lost: its directory, and the
 * batches in it.
 *
 * The segments' names give base offset, base index, term and generation; the batches in them are used as
 * long as they are whole and follow each other. Term table, votes and producers are gone, and segments
 * may hold entries that were cut: the log is *suspect*: it is readable, and writable only
 * when an operator accepts the loss.
 *
 * @module
 */

import { namesIn } from "../io/disk.ts";
import { ENOMEM, ENOTDIR } from "../io/errno.ts";
import type { Task } from "../io/task.ts";
import { batchEndOffset, batchMaxTimestamp, LEADER_EPOCH_OFFSET } from "../wire/record_batch.ts";
import { scanBatches } from "./index_rebuild.ts";
import { partitionOfPath } from "./log_names.ts";
import type { LogParts } from "./log_parts.ts";
import { PartitionLog } from "./partition_log.ts";
import type { Segment } from "./segment.ts";

const SEGMENT_NAME = /^([0-9]{20})-([0-9]+)-([0-9]+)-([0-9]+)\.log$/;
const DIRECTORY_NAME = /\.([0-9]+)\.([0-9]+)$/;

/** Group id and incarnation in the name of a log's directory, or null. */
export function parseLogDirectory(name: string): { groupId: number; incarnation: number } | null {
  const match = DIRECTORY_NAME.exec(name);
  return match === null ? null : { groupId: Number(match[1]), incarnation: Number(match[2]) };
}

/** Base offset, base index, term and generation in a segment's file name, or null. */
export function parseSegmentName(name: string): [number, number, number, number] | null {
  const match = SEGMENT_NAME.exec(name);
  if (match === null) return null;
  return [Number(match[1]), Number(match[2]), Number(match[3]), Number(match[4])];
}

/**
 * Makes suspect logs of the directories in `parent` that `wanted` picks, and reports their losses.
 *
 * Without one, such a group would start empty, as if it were new.
 *
 * @param passOver a segment that cannot be opened is left out; otherwise its errno is returned
 */
export function* salvageLogs(
  parts: LogParts,
  parent: string,
  wanted: (identity: { groupId: number; incarnation: number }, directory: string) => boolean,
  passOver: boolean,
): Task<PartitionLog[] | number> {
  const logs: PartitionLog[] = [];
  for (const name of namesIn(parts.context.disk, parent)) {
    const identity = parseLogDirectory(name);
    const directory = `${parent}/${name}`;
    if (identity === null || !wanted(identity, directory)) continue;
    // A stray file with the name of one.
    if (parts.context.disk.list(directory) === -ENOTDIR) continue;
    const log = yield* salvageLog(parts, directory, identity, passOver);
    if (typeof log === "number") return log;
    log.recorded = true;
    logs.push(log);
    parts.context.onDamage({
      file: directory,
      position: 0,
      lost: `Term table, votes and producers of ${partitionOfPath(directory)}; ` +
        `its batches below offset ${log.endOffset} are kept`,
      groupId: log.groupId,
    });
  }
  return logs;
}

/** Makes a suspect log of the segments in `directory`. */
function* salvageLog(
  parts: LogParts,
  directory: string,
  identity: { groupId: number; incarnation: number },
  passOver: boolean,
): Task<PartitionLog | number> {
  const limits = { segmentBytes: 1024 * 1024 * 1024, segmentMs: 604_800_000 };
  const log = new PartitionLog(parts, { ...identity, directory }, limits);
  const found: Segment[] = [];
  for (const name of namesIn(parts.context.disk, directory)) {
    const fields = parseSegmentName(name);
    if (fields !== null) found.push(log.newSegment(...fields));
  }
  // Where two begin alike, the younger file holds the latest writes.
  found.sort((a, b) => a.baseOffset - b.baseOffset || b.generation - a.generation);
  for (const segment of found) {
    log.chain.noteGeneration(segment.generation);
    const first = log.segmentList.length === 0;
    if (!first && segment.baseOffset !== log.endOffset) continue;
    if (first) {
      log.metas.reset(segment.baseIndex - 1, segment.term, segment.baseOffset, []);
      log.positions.reset(segment.baseIndex - 1, segment.term, segment.baseOffset);
    }
    const taken = yield* takeSegment(parts, log, segment);
    if (taken < 0 && (taken === -ENOMEM || !passOver)) return taken;
  }
  log.markSuspect();
  return log;
}

/** Takes the batches of a segment into its log; 0, or the negative errno for which none could be looked at. */
function* takeSegment(parts: LogParts, log: PartitionLog, segment: Segment): Task<number> {
  const size = parts.context.disk.size(segment.file.path);
  if (size <= 0) return 0;
  const handle = yield* parts.loader.open(segment, false, false);
  if (handle < 0) return handle;
  const view = parts.context.memory.view;
  segment.sizeBytes = size;
  const end = yield* scanBatches(parts.loader, segment, handle, (at) => {
    segment.endOffset = batchEndOffset(view, at);
    const timestamp = batchMaxTimestamp(view, at);
    if (timestamp > segment.maxTimestampMs) {
      segment.maxTimestampMs = timestamp;
      segment.maxTimestampOffset = batchEndOffset(view, at) - 1;
    }
    log.positions.enterTerm(view.getInt32(at + LEADER_EPOCH_OFFSET, false));
  });
  parts.files.release(segment.file);
  if (end < 0) return end;
  segment.sizeBytes = end;
  if (end === 0) return 0;
  segment.writtenPosition = segment.sizeBytes;
  segment.entryCount = segment.index.count;
  segment.created = true;
  segment.closed = true;
  log.positions.addRecords(segment.endOffset - log.endOffset);
  log.chain.add(segment);
  return 0;
}
