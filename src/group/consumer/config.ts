/**
 * What a consumer group is told by its configuration, and what its coordinator knows of the cluster.
 *
 * @module
 */

import { type GroupConfigName, groupNumber } from "../../base/group_configs.ts";
import type { Settings } from "../../base/settings.ts";
import type { RegexEngine } from "../../io/regexes.ts";
import type { GroupTopics } from "./types.ts";

export interface ConsumerGroupConfig {
  /** A member that is not heard of for this long is removed (ms). */
  readonly sessionTimeoutMs: number;
  /** How often members are to be heard of (ms). */
  readonly heartbeatIntervalMs: number;
  /** Between two target assignments (ms). */
  readonly assignmentIntervalMs: number;
  /** Members. */
  readonly sizeMax: number;
  /** A live classic group may become a consumer group, and the other way (`group.consumer.migration.policy`). */
  readonly canUpgrade: boolean;
  readonly canDowngrade: boolean;
}

/** What lies around a coordinator. */
export interface GroupWorld {
  readonly topics: GroupTopics;
  readonly regexes: RegexEngine;
  configOf(groupId: string): ConsumerGroupConfig;
}

/** What a group goes by: its own values, as far as the broker's bounds allow, over the broker's. */
export function consumerConfigOf(
  settings: Settings,
  own: ReadonlyMap<string, string>,
): ConsumerGroupConfig {
  const valueOf = (name: GroupConfigName) => groupNumber(settings, own, name);
  const policy = settings.text("group.consumer.migration.policy");
  const isBoth = policy === "bidirectional";
  return {
    canUpgrade: isBoth || policy === "upgrade",
    canDowngrade: isBoth || policy === "downgrade",
    sessionTimeoutMs: valueOf("consumer.session.timeout.ms"),
    heartbeatIntervalMs: valueOf("consumer.heartbeat.interval.ms"),
    assignmentIntervalMs: valueOf("consumer.assignment.interval.ms"),
    sizeMax: settings.number("group.consumer.max.size"),
  };
}
