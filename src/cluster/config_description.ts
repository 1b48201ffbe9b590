/**
 * Describes configurations: every value of a resource with its source, as DescribeConfigs
 * and CreateTopics report it.
 *
 * The *synonyms* of a value are all of its possible sources, the strongest first: the topic's own, then this
 * broker's, all brokers', the start-up setting, the default.
 *
 * @module
 */

import { GROUP_CONFIGS, type GroupConfigName, groupNumber } from "../base/group_configs.ts";
import { configTypeId, type Setting } from "../base/setting.ts";
import { isSettingName, type SettingName, SETTINGS } from "../base/settings.ts";
import { ALL_BROKERS, ResourceType } from "./config_table.ts";
import type { ClusterImage } from "./image.ts";
import { TOPIC_CONFIGS, TopicConfig, type TopicConfigName } from "./topic_config.ts";

/** Kafka's numbers for where a value comes from. */
export const ConfigSource = {
  DYNAMIC_TOPIC: 1,
  DYNAMIC_BROKER: 2,
  DYNAMIC_DEFAULT_BROKER: 3,
  STATIC_BROKER: 4,
  DEFAULT: 5,
  GROUP: 8,
} as const;

export interface ConfigSynonym {
  readonly name: string;
  readonly value: string | null;
  /** One of {@linkcode ConfigSource}. */
  readonly source: number;
}

export interface ConfigDescription {
  readonly name: string;
  readonly value: string | null;
  /** One of {@linkcode ConfigSource}. */
  readonly source: number;
  /** Cannot be changed while the broker runs. */
  readonly readOnly: boolean;
  /** Kafka's number of the value's type. */
  readonly typeId: number;
  readonly documentation: string;
  readonly synonyms: readonly ConfigSynonym[];
}

/** Every config of a topic that sets `given` itself. */
export function describeTopicConfigs(
  image: ClusterImage,
  given: ReadonlyMap<string, string>,
): ConfigDescription[] {
  const config = new TopicConfig(given, image.settings);
  const descriptions: ConfigDescription[] = [];
  for (const name of Object.keys(TOPIC_CONFIGS).sort() as TopicConfigName[]) {
    const definition = TOPIC_CONFIGS[name];
    const synonyms: ConfigSynonym[] = [];
    const own = given.get(name);
    if (own !== undefined) synonyms.push({ name, value: own, source: ConfigSource.DYNAMIC_TOPIC });
    for (const synonym of definition.synonyms) synonyms.push(...settingSynonyms(image, synonym));
    // As in Kafka: the default of the first setting that it follows, where that has one.
    const [followed] = definition.synonyms;
    const fallback = followed === undefined ? null : SETTINGS[followed].fallback;
    if (fallback !== null) {
      synonyms.push({ name: followed!, value: fallback, source: ConfigSource.DEFAULT });
    }
    descriptions.push({
      ...shown(definition),
      name,
      value: config.text(name),
      source: synonyms[0]?.source ?? ConfigSource.DEFAULT,
      readOnly: false,
      synonyms,
    });
  }
  return descriptions;
}

/** Every config of a group that sets `own` itself. */
export function describeGroupConfigs(
  image: ClusterImage,
  own: ReadonlyMap<string, string>,
): ConfigDescription[] {
  return (Object.keys(GROUP_CONFIGS).sort() as GroupConfigName[]).map((name) => {
    const { setting, doc } = GROUP_CONFIGS[name];
    const value = String(groupNumber(image.settings, own, name));
    const isOwn = own.has(name);
    const synonyms: ConfigSynonym[] = isOwn ? [{ name, value, source: ConfigSource.GROUP }] : [];
    synonyms.push(...settingSynonyms(image, setting));
    const { fallback } = SETTINGS[setting];
    if (fallback !== null) {
      synonyms.push({ name: setting, value: fallback, source: ConfigSource.DEFAULT });
    }
    return {
      ...shown(SETTINGS[setting]),
      documentation: doc,
      name,
      value,
      source: synonyms[0]?.source ?? ConfigSource.DEFAULT,
      readOnly: false,
      synonyms,
    };
  });
}

/** Every setting of this node. */
export function describeBrokerConfigs(image: ClusterImage): ConfigDescription[] {
  return (Object.keys(SETTINGS).sort() as SettingName[]).map((name) => {
    const definition = SETTINGS[name];
    const synonyms = settingSynonyms(image, name);
    const byDefault = { name, value: definition.fallback, source: ConfigSource.DEFAULT };
    const { value, source } = synonyms[0] ?? byDefault;
    // As in Kafka, a default that is null is no synonym.
    if (byDefault.value !== null) synonyms.push(byDefault);
    return { ...shown(definition), name, value, source, readOnly: !definition.dynamic, synonyms };
  });
}

/** What was set for all brokers over the Kafka API. */
export function describeAllBrokersConfigs(image: ClusterImage): ConfigDescription[] {
  const descriptions: ConfigDescription[] = [];
  for (const [name, value] of image.configs.get(ResourceType.BROKER, ALL_BROKERS)) {
    if (!isSettingName(name)) continue;
    const source = ConfigSource.DYNAMIC_DEFAULT_BROKER;
    const synonyms = [{ name, value, source }];
    descriptions.push({
      ...shown(SETTINGS[name]),
      name,
      value,
      source,
      readOnly: !SETTINGS[name].dynamic,
      synonyms,
    });
  }
  return descriptions.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function settingSynonyms(image: ClusterImage, name: SettingName): ConfigSynonym[] {
  const sources: [number, ReadonlyMap<string, string>][] = [
    [ConfigSource.DYNAMIC_BROKER, image.configs.get(ResourceType.BROKER, `${image.nodeId}`)],
    [ConfigSource.DYNAMIC_DEFAULT_BROKER, image.configs.get(ResourceType.BROKER, ALL_BROKERS)],
    [ConfigSource.STATIC_BROKER, image.startupSettings],
  ];
  const synonyms: ConfigSynonym[] = [];
  for (const [source, values] of sources) {
    const value = values.get(name);
    if (value !== undefined) synonyms.push({ name, value, source });
  }
  return synonyms;
}

function shown({ kind, doc, honoured }: Setting): { typeId: number; documentation: string } {
  return { typeId: configTypeId(kind), documentation: honoured ? doc : `No effect: ${doc}` };
}
