/**
 * What a partition's configuration means to produce requests and to its log, as plain numbers.
 *
 * Topic configurations are texts under Kafka's names; they are read once per change, not per request.
 *
 * @module
 */

import type { TopicConfig } from "../cluster/topic_config.ts";
import type { CompactionPolicy } from "../storage/compaction_plan.ts";
import type { SegmentLimits } from "../storage/log.ts";

export class PartitionLimits {
  /** `max.message.bytes`. */
  readonly batchSizeMax: number;
  /** `message.timestamp.type` is LogAppendTime. */
  readonly logAppendTime: boolean;
  /** `message.timestamp.before.max.ms` and `.after.max.ms`. */
  readonly beforeMaxMs: number;
  readonly afterMaxMs: number;
  /** `min.insync.replicas`. */
  readonly insyncReplicasMin: number;
  /** A compacted topic takes no record without a key. */
  readonly keysRequired: boolean;
  /** `retention.ms` and `retention.bytes`, -1 for no limit; also -1 where nothing is deleted. */
  readonly retentionMs: number;
  readonly retentionBytes: number;
  readonly segments: SegmentLimits;
  /** How the log is compacted; null: it is not. */
  readonly compaction: CompactionPolicy | null;

  constructor(config: TopicConfig) {
    this.batchSizeMax = config.number("max.message.bytes");
    this.logAppendTime = config.text("message.timestamp.type") === "LogAppendTime";
    this.beforeMaxMs = config.number("message.timestamp.before.max.ms");
    this.afterMaxMs = config.number("message.timestamp.after.max.ms");
    this.insyncReplicasMin = config.number("min.insync.replicas");
    this.keysRequired = config.isCompacted;
    this.retentionMs = config.isDeleted ? config.number("retention.ms") : -1;
    this.retentionBytes = config.isDeleted ? config.number("retention.bytes") : -1;
    const segmentBytes = config.number("segment.bytes");
    const maxLagMs = config.number("max.compaction.lag.ms");
    this.segments = {
      segmentBytes,
      // Only closed segments are compacted.
      segmentMs: Math.min(config.number("segment.ms"), config.isCompacted ? maxLagMs : Infinity),
    };
    this.compaction = !config.isCompacted ? null : {
      minDirtyRatio: config.number("min.cleanable.dirty.ratio"),
      minLagMs: config.number("min.compaction.lag.ms"),
      maxLagMs,
      deleteRetentionMs: config.number("delete.retention.ms"),
      segmentBytes,
    };
  }
}
