/**
 * What may be configured on each kind of resource, for the commands that change it.
 *
 * @module
 */

import { groupConfigsProblem } from "../base/group_configs.ts";
import { splitList } from "../base/setting.ts";
import { isSettingName, settingProblem, SETTINGS, suggestSetting } from "../base/settings.ts";
import { ErrorCode } from "../wire/errors.ts";
import { CONFIG_VALUE_BYTES_MAX, type Outcome, refuse } from "./command.ts";
import { ResourceType } from "./config_table.ts";
import type { ClusterImage } from "./image.ts";
import {
  isTopicConfigName,
  TOPIC_CONFIGS,
  TopicConfig,
  topicConfigsProblem,
} from "./topic_config.ts";

export interface ConfigSchema {
  /** Whether values may be appended to and subtracted from it. */
  isList(name: string): boolean;
  /** Whether an element of that list may be empty. */
  takesEmpty(name: string): boolean;
  /** The elements in force when nothing is set on the resource. */
  defaultElements(name: string, image: ClusterImage): string[];
  /**
   * Why a resource cannot have all of `wanted`, of which `changed` is new (null: removed); null when
   * it can.
   */
  problem(
    wanted: ReadonlyMap<string, string>,
    changed: ReadonlyMap<string, string | null>,
    image: ClusterImage,
  ): Outcome | null;
}

const TOPIC_SCHEMA: ConfigSchema = {
  isList: (name) => isTopicConfigName(name) && TOPIC_CONFIGS[name].kind === "list",
  takesEmpty: (name) => isTopicConfigName(name) && TOPIC_CONFIGS[name].choices === null,
  defaultElements: (name, image) =>
    isTopicConfigName(name) ? splitList(new TopicConfig(new Map(), image.settings).text(name)) : [],
  problem: (wanted) => {
    const problem = topicConfigsProblem(wanted) ?? sizeProblem(wanted);
    return problem === null ? null : refuse(ErrorCode.INVALID_CONFIG, problem);
  },
};

const BROKER_SCHEMA: ConfigSchema = {
  isList: (name) => isSettingName(name) && SETTINGS[name].kind === "list",
  takesEmpty: (name) => isSettingName(name) && SETTINGS[name].choices === null,
  defaultElements: (name, image) =>
    isSettingName(name) ? splitList(image.settings.text(name) ?? "") : [],
  problem: (wanted, changed) => {
    for (const [name, value] of changed) {
      if (!isSettingName(name)) {
        const near = suggestSetting(name);
        const hint = near === null ? "" : `; did you mean ${near}?`;
        return refuse(ErrorCode.INVALID_CONFIG, `Unknown broker config name: ${name}${hint}`);
      }
      if (!SETTINGS[name].dynamic) {
        const message = `Cannot update these configs dynamically: [${name}]`;
        return refuse(ErrorCode.INVALID_REQUEST, message);
      }
      const problem = value === null ? null : settingProblem(name, value);
      // The code for topics is another, as in Kafka.
      if (problem !== null) return refuse(ErrorCode.INVALID_REQUEST, problem);
    }
    const problem = sizeProblem(wanted);
    return problem === null ? null : refuse(ErrorCode.INVALID_CONFIG, problem);
  },
};

const GROUP_SCHEMA: ConfigSchema = {
  isList: () => false,
  takesEmpty: () => false,
  defaultElements: () => [],
  problem: (wanted, _changed, { settings }) => {
    const problem = groupConfigsProblem(settings, wanted);
    return problem === null ? null : refuse(ErrorCode.INVALID_CONFIG, problem);
  },
};

/** The schema of a resource type that has one (topic, broker or group). */
export function configSchemaOf(resourceType: number): ConfigSchema {
  switch (resourceType) {
    case ResourceType.TOPIC:
      return TOPIC_SCHEMA;
    case ResourceType.GROUP:
      return GROUP_SCHEMA;
    default:
      return BROKER_SCHEMA;
  }
}

function sizeProblem(wanted: ReadonlyMap<string, string>): string | null {
  for (const [name, value] of wanted) {
    // Three bytes of UTF-8 per UTF-16 unit at most.
    if (value.length * 3 <= CONFIG_VALUE_BYTES_MAX) continue;
    return `Invalid value for configuration ${name}: it has ${value.length} characters, the limit is ${
      Math.floor(CONFIG_VALUE_BYTES_MAX / 3)
    }`;
  }
  return null;
}
