/**
 * A topic's configuration as numbers: what appends, segments and retention read on every call.
 *
 * {@linkcode TopicConfig} looks up and parses text each time. These are resolved once, when the
 * configuration changes, into an object that is then only read; a change replaces the whole object.
 *
 * @module
 */

import type { TopicConfig } from "./topic_config.ts";

export class TopicValues {
  /** Largest record batch as sent (bytes). */
  readonly maxMessageBytes: number;
  /** Records get the broker's time instead of the producer's. */
  readonly logAppendTime: boolean;
  /** How far a producer's time may lie from the broker's (ms). */
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
  readonly minInsyncReplicas: number;
  /** Acknowledge before the flush. */
  readonly writeCaching: boolean;
  /** Old records are deleted by time and size. */
  readonly deleted: boolean;
  /** Old records are deleted by key. */
  readonly compacted: boolean;
  /** -1 is for ever. */
  readonly retentionMs: number;
  /** -1 has no limit. */
  readonly retentionBytes: number;
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly minCleanableRatio: number;
  readonly minCompactionLagMs: number;
  readonly maxCompactionLagMs: number;
  /** How long tombstones stay (ms). */
  readonly deleteRetentionMs: number;

  constructor(config: TopicConfig) {
    this.maxMessageBytes = config.number("max.message.bytes");
    this.logAppendTime = config.text("message.timestamp.type") === "LogAppendTime";
    this.timestampBeforeMaxMs = config.number("message.timestamp.before.max.ms");
    this.timestampAfterMaxMs = config.number("message.timestamp.after.max.ms");
    this.minInsyncReplicas = config.number("min.insync.replicas");
    this.writeCaching = config.boolean("write.caching");
    this.deleted = config.isDeleted;
    this.compacted = config.isCompacted;
    this.retentionMs = config.number("retention.ms");
    this.retentionBytes = config.number("retention.bytes");
    this.segmentBytes = config.number("segment.bytes");
    this.segmentMs = config.number("segment.ms");
    this.minCleanableRatio = config.number("min.cleanable.dirty.ratio");
    this.minCompactionLagMs = config.number("min.compaction.lag.ms");
    this.maxCompactionLagMs = config.number("max.compaction.lag.ms");
    this.deleteRetentionMs = config.number("delete.retention.ms");
  }
}
