/**
 * What a consumer group is told by its configuration, and what its coordinator knows of the cluster.
 *
 * @module
 */

import { Settings } from "../../base/settings.ts";
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

/** The settings that a group may have of its own: their names there, and the broker's between which they are kept. */
export const GROUP_CONFIGS = {
  "consumer.session.timeout.ms": {
    setting: "group.consumer.session.timeout.ms",
    min: "group.consumer.min.session.timeout.ms",
    max: "group.consumer.max.session.timeout.ms",
    doc: "How long a member of this consumer group may be silent before it is removed.",
  },
  "consumer.heartbeat.interval.ms": {
    setting: "group.consumer.heartbeat.interval.ms",
    min: "group.consumer.min.heartbeat.interval.ms",
    max: "group.consumer.max.heartbeat.interval.ms",
    doc: "How often members of this consumer group send heartbeats.",
  },
  "consumer.assignment.interval.ms": {
    setting: "group.consumer.assignment.interval.ms",
    min: "group.consumer.min.assignment.interval.ms",
    max: "group.consumer.max.assignment.interval.ms",
    doc: "How long to wait between two target assignments of this consumer group.",
  },
} as const;
export type GroupConfigName = keyof typeof GROUP_CONFIGS;

/** What a group goes by: its own values, as far as the broker's bounds allow, over the broker's. */
export function consumerConfigOf(
  settings: Settings,
  own: ReadonlyMap<string, string>,
): ConsumerGroupConfig {
  const valueOf = (name: GroupConfigName): number => {
    const { setting, min, max } = GROUP_CONFIGS[name];
    const text = own.get(name);
    if (text === undefined) return settings.number(setting);
    return Math.min(Math.max(Number(text), settings.number(min)), settings.number(max));
  };
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
