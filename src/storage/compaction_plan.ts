/**
 * What a round of compaction does to a log, decided from its segments alone: whether it is due, how far it goes, and
 * which segments it writes together.
 *
 * ```text
 *   segments   [  A  ][  B  ][    C    ][  D  ][ active ]
 *   offsets    start         cleanOffset       limit
 *              |  clean      |  dirty    |  too young, not committed, open transactions, written to
 * ```
 *
 * As in Kafka a round notes the newest record of each key in the dirty part, and writes clean and dirty segments anew.
 * It is due when the dirty part is large enough a share of both (`min.cleanable.dirty.ratio`), or has waited long
 * enough (`max.compaction.lag.ms`).
 *
 * @module
 */

/** A segment, as the plan sees it. */
export interface PlannedSegment {
  readonly baseOffset: number;
  /** Next offset after it. */
  readonly endOffset: number;
  readonly sizeBytes: number;
  /** Largest timestamp of its records; -1: none. */
  readonly maxTimestampMs: number;
  /** Wall clock of its first append; 0: unknown. */
  readonly createdMs: number;
  /** Nothing will change it any more, it can be read whole, and all of it is in its file. */
  readonly isSettled: boolean;
}

/** What a topic asks for. */
export interface CompactionPolicy {
  /** `min.cleanable.dirty.ratio` */
  readonly minDirtyRatio: number;
  /** `min.compaction.lag.ms` */
  readonly minLagMs: number;
  /** `max.compaction.lag.ms` */
  readonly maxLagMs: number;
  /** `delete.retention.ms` */
  readonly deleteRetentionMs: number;
  /** Segments are written together up to this size (`segment.bytes`). */
  readonly segmentBytes: number;
}

export interface CompactionPlan {
  /** The first offset that no round has covered. */
  readonly dirtyOffset: number;
  /** Offset after the last segment of the round. */
  readonly endOffset: number;
  /** Bytes from `dirtyOffset` on, as a share of all bytes of the round. */
  readonly dirtyRatio: number;
  readonly isDue: boolean;
}

/**
 * How far a round goes now; null: there is nothing to compact.
 *
 * @param cleanOffset up to where rounds have covered the log
 * @param limitOffset what is at or beyond it may not be touched: not committed, or of a transaction that is open
 * @param nowMs wall clock
 */
export function planCompaction(
  segments: readonly PlannedSegment[],
  cleanOffset: number,
  limitOffset: number,
  policy: CompactionPolicy,
  nowMs: number,
): CompactionPlan | null {
  const first = segments[0];
  if (first === undefined) return null;
  const dirtyOffset = Math.max(first.baseOffset, cleanOffset);
  let endOffset = first.baseOffset;
  let totalBytes = 0;
  let dirtyBytes = 0;
  let oldestMs = Infinity;
  for (const segment of segments) {
    if (!segment.isSettled || segment.endOffset > limitOffset) break;
    const isDirty = segment.endOffset > dirtyOffset;
    if (isDirty && policy.minLagMs > 0 && segment.maxTimestampMs > nowMs - policy.minLagMs) break;
    endOffset = segment.endOffset;
    totalBytes += segment.sizeBytes;
    if (!isDirty) continue;
    dirtyBytes += segment.sizeBytes;
    if (segment.createdMs > 0) oldestMs = Math.min(oldestMs, segment.createdMs);
  }
  if (endOffset <= dirtyOffset || dirtyBytes === 0) return null;
  const dirtyRatio = dirtyBytes / totalBytes;
  const isDue = dirtyRatio > policy.minDirtyRatio || nowMs - oldestMs > policy.maxLagMs;
  return { dirtyOffset, endOffset, dirtyRatio, isDue };
}

/** How many segments from number `from` on are written as one; those from `endOffset` on are not part of the round. */
export function groupLength(
  segments: readonly PlannedSegment[],
  from: number,
  endOffset: number,
  segmentBytes: number,
): number {
  let bytes = 0;
  let count = 0;
  for (let at = from; at < segments.length; at++) {
    const segment = segments[at]!;
    if (segment.baseOffset >= endOffset || !segment.isSettled) break;
    if (count > 0 && bytes + segment.sizeBytes > segmentBytes) break;
    bytes += segment.sizeBytes;
    count++;
  }
  return count;
}
