/**
 * Every config that both brokers know, with values of every type: what is taken, what is refused and in
 * which words, and how each is described.
 *
 * @module
 */

import { SETTING_CHAPTERS } from "../../../src/base/settings.ts";
import { TOPIC_CONFIGS } from "../../../src/cluster/topic_config.ts";
import { type Case, type Json, step } from "./case.ts";

const VALUES: readonly (string | null)[] = [
  null,
  "",
  " ",
  "x",
  "-3",
  "-1",
  "0",
  "1",
  "2",
  " 7 ",
  "+7",
  "0.5",
  "1.5",
  "1e3",
  "0x10",
  "7L",
  "100000",
  "2147483648",
  "9223372036854775808",
  "true",
  "TRUE",
  "yes",
  "compact",
  "compact,delete",
  "compact, delete",
  "compact,,delete",
  "compact,compact",
  "zstd",
  "ZSTD",
  "CreateTime",
  "0:1,1:1",
  "*",
];

/** Enough to see each setting's type and bounds; the rest with `--all`. */
const FEW_VALUES: readonly (string | null)[] = [null, "x", "-3", "0", "1"];

/** The chapter of settings that Kafka does not have. */
export const OWN_CHAPTER = "Gregor's own";

/** Names of the settings that Kafka has, too. */
const SETTING_NAMES: readonly string[] = SETTING_CHAPTERS
  .filter(([title]) => title !== OWN_CHAPTER)
  .flatMap(([, settings]) => Object.keys(settings))
  .sort();

/** @param everyValue all values of broker settings; a few of them otherwise */
export function* configCases(
  apis: ReadonlySet<string> | null,
  everyValue = false,
): Generator<Case> {
  const wants = (api: string) => apis === null || apis.has(api);
  if (wants("CreateTopics")) {
    for (const name of Object.keys(TOPIC_CONFIGS)) yield topicConfig(name);
  }
  if (wants("IncrementalAlterConfigs")) {
    for (const name of SETTING_NAMES) {
      yield brokerConfig(name, everyValue ? VALUES : FEW_VALUES);
    }
  }
  if (wants("DescribeConfigs")) yield* described();
}

/** Topics that would be created with a config, one for each value. */
function topicConfig(name: string): Case {
  const topics = VALUES.map((value, index) => ({
    name: `$ct${String(index).padStart(2, "0")}`,
    numPartitions: 1,
    replicationFactor: 1,
    configs: [{ name, value }],
  }));
  return {
    name: `topic config ${name}`,
    steps: [step("CreateTopics", 7, { topics, timeoutMs: 10_000, validateOnly: true })],
  };
}

/** A setting of all brokers and of one, which is not changed. */
function brokerConfig(name: string, values: readonly (string | null)[]): Case {
  const steps = values.map((value) =>
    step("IncrementalAlterConfigs", 1, {
      resources: ["", "1"].map((resourceName) => ({
        resourceType: 4,
        resourceName,
        configs: [{ name, configOperation: 0, value }],
      })),
      validateOnly: true,
    })
  );
  return { name: `broker config ${name}`, steps };
}

function* described(): Generator<Case> {
  for (const [resourceType, resourceName, names] of DESCRIBED) {
    for (const name of names) {
      const resources: Json[] = [{ resourceType, resourceName, configurationKeys: [name] }];
      yield {
        name: `${name} of ${resourceName} described`,
        steps: [step("DescribeConfigs", 4, {
          resources,
          includeSynonyms: true,
          includeDocumentation: true,
        })],
      };
    }
  }
}

const DESCRIBED: readonly (readonly [number, string, readonly string[]])[] = [
  [2, "compacted", Object.keys(TOPIC_CONFIGS)],
  [4, "1", SETTING_NAMES],
];
