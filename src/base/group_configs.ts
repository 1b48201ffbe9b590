/**
 * What a consumer group may have of its own (Kafka's resource type GROUP), over what the broker has for all groups.
 *
 * @module
 */

import { refuseSetting } from "./setting.ts";
import { nearest } from "./nearest.ts";
import { type SettingName, SETTINGS, type Settings } from "./settings.ts";

interface GroupConfig {
  /** Whose value a group has that has none of its own. */
  readonly setting: SettingName;
  /** Between what a group's own has to be. */
  readonly min: SettingName;
  readonly max: SettingName;
  readonly doc: string;
}

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
} as const satisfies Record<string, GroupConfig>;
export type GroupConfigName = keyof typeof GROUP_CONFIGS;

export function isGroupConfigName(name: string): name is GroupConfigName {
  return Object.hasOwn(GROUP_CONFIGS, name);
}

/** The value in force of a group: its own, as far as the broker's bounds allow, or the broker's. */
export function groupNumber(
  settings: Settings,
  own: ReadonlyMap<string, string>,
  name: GroupConfigName,
): number {
  const { setting, min, max } = GROUP_CONFIGS[name];
  const text = own.get(name);
  if (text === undefined) return settings.number(setting);
  // The bounds may have changed since it was set.
  return Math.min(Math.max(Number(text), settings.number(min)), settings.number(max));
}

/** Why a group cannot have these values; null when it can. */
export function groupConfigsProblem(
  settings: Settings,
  wanted: ReadonlyMap<string, string>,
): string | null {
  for (const [name, value] of wanted) {
    if (!isGroupConfigName(name)) {
      const near = nearest(name, Object.keys(GROUP_CONFIGS));
      return `Unknown group config name: ${name}${near === null ? "" : `; did you mean ${near}?`}`;
    }
    const { setting, min, max } = GROUP_CONFIGS[name];
    const problem = refuseSetting(name, SETTINGS[setting], value);
    if (problem !== null) return problem;
    const number = Number(value);
    if (number < settings.number(min)) {
      return `${name} must be greater than or equal to ${min}`;
    }
    if (number > settings.number(max)) return `${name} must be less than or equal to ${max}`;
  }
  const session = groupNumber(settings, wanted, "consumer.session.timeout.ms");
  const heartbeat = groupNumber(settings, wanted, "consumer.heartbeat.interval.ms");
  return session > heartbeat
    ? null
    : "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms";
}
