/**
 * The settings of a group coordinator, under Kafka's names and with Kafka's defaults
 * (`src/base/settings.ts` holds the table), as plain numbers.
 *
 * @module
 */

import { Settings } from "../base/settings.ts";

export interface GroupConfig {
  /** `group.initial.rebalance.delay.ms`: how long an empty group waits for more members. */
  readonly initialRebalanceDelayMs: number;
  /** `group.min.session.timeout.ms` */
  readonly sessionTimeoutMinMs: number;
  /** `group.max.session.timeout.ms` */
  readonly sessionTimeoutMaxMs: number;
  /** `group.max.size` */
  readonly groupSizeMax: number;
  /** `offset.metadata.max.bytes` */
  readonly offsetMetadataSizeMax: number;
  /** `offsets.retention.minutes`, in milliseconds. */
  readonly offsetsRetentionMs: number;
  /** `offsets.retention.check.interval.ms` */
  readonly offsetsRetentionCheckMs: number;
}

/** What `settings` say about groups. */
export function groupConfigOf(settings: Settings): GroupConfig {
  return {
    initialRebalanceDelayMs: settings.number("group.initial.rebalance.delay.ms"),
    sessionTimeoutMinMs: settings.number("group.min.session.timeout.ms"),
    sessionTimeoutMaxMs: settings.number("group.max.session.timeout.ms"),
    groupSizeMax: settings.number("group.max.size"),
    offsetMetadataSizeMax: settings.number("offset.metadata.max.bytes"),
    offsetsRetentionMs: settings.number("offsets.retention.minutes") * 60_000,
    offsetsRetentionCheckMs: settings.number("offsets.retention.check.interval.ms"),
  };
}

/** Kafka's defaults. */
export const DEFAULT_GROUP_CONFIG: GroupConfig = groupConfigOf(new Settings());
