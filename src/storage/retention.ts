/**
 * Retention: which whole segments at the front of a log are too old, or too much.
 *
 * Kafka's rules: by time, a segment goes when its youngest record is older than `retention.ms` (the one
 * being written to as well); by size, segments go while what is left still holds `retention.bytes`.
 * Both stop at the first segment that stays, and nothing goes that is not below the limit.
 *
 * @module
 */

import type { RetentionLimits } from "./log.ts";
import type { PartitionLog } from "./partition_log.ts";

/** The log start that the limits ask for. */
export function retentionOffset(
  log: PartitionLog,
  nowMs: number,
  limits: RetentionLimits,
): number {
  let offset = log.startOffset;
  let left = log.sizeBytes;
  for (const segment of log.segmentList) {
    if (segment.sizeBytes === 0 || segment.endOffset > limits.limitOffset) break;
    const youngestMs = segment.maxTimestampMs >= 0 ? segment.maxTimestampMs : segment.createdMs;
    const tooOld = limits.retentionMs >= 0 && nowMs - youngestMs > limits.retentionMs;
    const tooMuch = limits.retentionBytes >= 0 && segment.closed &&
      left - segment.sizeBytes >= limits.retentionBytes;
    if (!tooOld && !tooMuch) break;
    left -= segment.sizeBytes;
    offset = Math.max(offset, segment.endOffset);
  }
  return offset;
}
