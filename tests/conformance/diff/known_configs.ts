/**
 * Differences that are meant: what is configured of topics and brokers.
 *
 * @module
 */

import { isSettingName, SETTING_CHAPTERS } from "../../../src/base/settings.ts";
import type { JsonObject } from "./case.ts";
import { OWN_CHAPTER } from "./config_cases.ts";
import type { KnownDifference } from "./known.ts";
import { SETTINGS_LEFT_OUT } from "./settings_left_out.ts";

/** Names of the broker settings that a request changes. */
function settingsIn({ resources }: JsonObject): string[] {
  return ((resources ?? []) as readonly JsonObject[])
    .filter(({ resourceType }) => resourceType === 4)
    .flatMap(({ configs }) => (configs ?? []) as readonly JsonObject[])
    .map(({ name }) => String(name ?? ""));
}

const changes = (...names: RegExp[]) => (request: JsonObject) =>
  settingsIn(request).some((name) => names.some((one) => one.test(name)));

const changesUnknown = (request: JsonObject) =>
  settingsIn(request).some((name) => !isSettingName(name));

/** A setting that is listed as left out. */
const LEFT_OUT = new RegExp(
  `^\\{"name":"(?:${
    SETTINGS_LEFT_OUT.flatMap(({ names }) => names).map((name) => RegExp.escape(name)).join("|")
  })`,
);

/** Settings that Kafka takes at the start alone. */
const READ_AT_START: readonly string[] = [
  "auto.create.topics.enable",
  "default.replication.factor",
  "log.retention.check.interval.ms",
  "num.partitions",
  "producer.id.expiration.check.interval.ms",
];
const LISTENERS: readonly string[] = [
  "advertised.listeners",
  "listener.security.protocol.map",
  "listeners",
];

/** Fields of a described setting; where one alone is asked for, it stands in a list without names. */
function pathOf(names: readonly string[], fields: string): RegExp {
  const settings = names.map((name) => RegExp.escape(name)).join("|");
  return new RegExp(`^results\\[\\]\\.configs(?:\\{(?:${settings})\\}|\\[\\])\\.(?:${fields})$`);
}

/** Whether a request sets several configs of one resource or topic. */
function changesSeveral({ resources, topics }: JsonObject): boolean {
  return ((resources ?? topics ?? []) as readonly JsonObject[])
    .some(({ configs }) => Array.isArray(configs) && configs.length > 1);
}

const ONE_CONFIGS_PROBLEM =
  /^"(?:Can't (?:APPEND|SUBTRACT) to key .* because its type is not LIST|Invalid value .* for configuration |Unknown topic config name: )/;

const OWN_SETTING = new RegExp(
  `^\\{"name":"(?:${
    SETTING_CHAPTERS
      .filter(([title]) => title === OWN_CHAPTER)
      .flatMap(([, settings]) => Object.keys(settings))
      .concat([
        "follower.replication.throttled.rate",
        "leader.replication.throttled.rate",
        "producer.id.expiration.check.interval.ms",
        "replica.alter.log.dirs.io.max.bytes.per.second",
      ])
      .map((name) => RegExp.escape(name)).join("|")
  })"`,
);

const OUTCOME = /^responses\[\]\.error(?:Code|Message)$/;
const ALTERING = ["AlterConfigs", "IncrementalAlterConfigs"];

export const KNOWN_CONFIGS: readonly KnownDifference[] = [
  {
    apis: ["CreateTopics", "DescribeConfigs"],
    path: /configs\{max\.decompressed\.message\.bytes\}/,
    kafka: /^\{/,
    gregor: /^null$/,
    asked: "The configs of a topic.",
    kafkaDoes: "`max.decompressed.message.bytes`, without a limit.",
    gregorDoes: "It is not a config.",
    reason: "The decompressed size of a batch is limited by the broker.",
  },
  {
    apis: ["CreateTopics", "DescribeConfigs"],
    path: /configs(?:\{min\.insync\.replicas\}|\[\])(?:\.configSource|\.synonyms)?$/,
    kafka: /^3$|"name":"min\.insync\.replicas".*ource":3/,
    asked: "Where a topic's `min.insync.replicas` comes from.",
    kafkaDoes:
      "From all brokers' dynamic configuration, which it writes itself when a cluster is made.",
    gregorDoes: "From the defaults.",
    reason: "Nobody set it.",
  },
  {
    apis: ["CreateTopics"],
    path: /^topics\[\]\.configs\{.*\}\.value$/,
    kafka: /^" .*"$/,
    asked: "A config's value with spaces around it.",
    kafkaDoes: "Shows the spaces, and reads the value without them.",
    gregorDoes: "Shows the value as it is read.",
    reason: "Later descriptions, Kafka's too, have no spaces.",
  },
  {
    apis: ["DescribeConfigs"],
    path: /^results\[\]\.errorMessage$/,
    kafka: /^""$/,
    gregor: /^"there is no topic/,
    asked: "The configs of a topic that does not exist.",
    kafkaDoes: "No text.",
    gregorDoes: "Names the topic.",
    reason: "The text helps, and no client depends on its absence.",
  },
  {
    apis: ["DescribeConfigs"],
    path: /^results\[\]\.(?:errorCode|errorMessage|configs)/,
    request: /"resourceType":(?:-1|0|1|3|8|16|32|64|127)\b/,
    asked: "Configs of broker loggers, client metrics or groups, or of an unknown type.",
    kafkaDoes: "Describes them; for an unknown type, one text for every topic of the request.",
    gregorDoes: "INVALID_REQUEST with the name of the type.",
    reason: "They are not built. A text that names the cause helps more than Kafka's general one.",
  },
  {
    apis: ["DescribeConfigs"],
    path: /documentation$/,
    kafka: /^"/,
    gregor: /^"/,
    asked: "The documentation of a config.",
    kafkaDoes: "Kafka's text.",
    gregorDoes: "What the config does here.",
    reason: "Some configs have no effect here, and the text says so.",
  },
  {
    apis: ALTERING,
    path: OUTCOME,
    gregor: /^(?:42|"resources of type .*)$/,
    request: /"resourceType":(?:8|16|32)\b/,
    asked: "To change configs of broker loggers, client metrics or groups.",
    kafkaDoes: "Changes them.",
    gregorDoes: "INVALID_REQUEST with the name of the type.",
    reason: "They are not built.",
  },
  {
    apis: [...ALTERING, "CreateTopics"],
    path: /^(?:responses|topics)\[\]\.errorMessage$/,
    kafka: ONE_CONFIGS_PROBLEM,
    gregor: ONE_CONFIGS_PROBLEM,
    request: changesSeveral,
    asked: "Several configs of a topic, of which more than one is wrong.",
    kafkaDoes: "Names one of them, in an order of its own.",
    gregorDoes: "Names the first.",
    reason: "The error code is the same.",
    byChance: true,
  },
  {
    apis: ["IncrementalAlterConfigs"],
    path: OUTCOME,
    gregor: /^(?:42|"there is no operation .*)$/,
    request: /"configOperation":(?:-1|4|127)\b/,
    asked: "An unknown operation.",
    kafkaDoes: "UNKNOWN_SERVER_ERROR without a text.",
    gregorDoes: "INVALID_REQUEST with a text that names the operation.",
    reason: "The error names the client's mistake.",
  },
  {
    apis: ["AlterConfigs"],
    path: OUTCOME,
    kafka: /^(?:40|".*min\.insync\.replicas.*)$/,
    gregor: /^(?:0|null)$/,
    request: /"resourceType":4,"resourceName":""/,
    asked: "To replace the whole configuration of all brokers.",
    kafkaDoes: "Refuses to remove the `min.insync.replicas` that it wrote itself.",
    gregorDoes: "Replaces it.",
    reason: "It writes none.",
  },
  {
    apis: ["IncrementalAlterConfigs"],
    path: OUTCOME,
    kafka: /^40$|while ELR is enabled/,
    request: changes(/^min\.insync\.replicas$/),
    asked: "To change `min.insync.replicas` of one broker.",
    kafkaDoes: "Refuses, because the feature `eligible.leader.replicas.version` is enabled.",
    gregorDoes: "Changes it.",
    reason: "There is no such feature: a Raft group elects only who has every committed record.",
  },
  {
    apis: ALTERING,
    path: OUTCOME,
    gregor: /^40$|^"Unknown broker config name/,
    request: changesUnknown,
    asked: "To change a broker setting that does not exist.",
    kafkaDoes: "Keeps it, for plug-ins that may know it.",
    gregorDoes: "INVALID_CONFIG, with the setting that was probably meant.",
    reason: "There are no plug-ins, and a misspelt name must not look as if it had an effect.",
  },
  {
    apis: ALTERING,
    path: OUTCOME,
    kafka: /^42$|^"Cannot update these configs dynamically/,
    request: (request) => settingsIn(request).some((name) => READ_AT_START.includes(name)),
    asked: "To change settings that Kafka reads at the start alone.",
    kafkaDoes: "INVALID_REQUEST.",
    gregorDoes: "Changes them.",
    reason: "They may be changed while the broker runs.",
  },
  {
    apis: ALTERING,
    path: OUTCOME,
    gregor: /^0$|^null$/,
    request: changes(/threads$/, /^num\.replica\.fetchers$/, /^max\.connection/),
    asked:
      "To change the size of a pool of threads by far, or limits of connections to what none can be.",
    kafkaDoes: "INVALID_REQUEST.",
    gregorDoes: "Takes it.",
    reason: "There are no such pools and limits: the setting has no effect, and says so.",
  },
  {
    apis: ALTERING,
    path: OUTCOME,
    gregor: /^0$|^null$/,
    request: changes(/^log\.cleaner\./, /^metric\.reporters$/),
    asked: "To change settings of the log cleaner or of metric reporters.",
    kafkaDoes: "Refuses what its own cleaner or its class loader cannot use.",
    gregorDoes: "Takes every value of the right type.",
    reason:
      "Compaction has budgets of its own, which these settings only lower, and there are no reporters.",
  },
  {
    apis: ALTERING,
    path: OUTCOME,
    kafka: /^42$|^-1$|requirement failed/,
    gregor: /^42$|Value must be at least/,
    request: changes(/^log\.roll\./),
    asked: "A time before a log's next segment that is too short.",
    kafkaDoes: "A text about a failed requirement.",
    gregorDoes: "The text of other numbers that are too small.",
    reason: "The text says the same.",
  },
  {
    apis: ALTERING,
    path: OUTCOME,
    gregor: /^42$|^"Cannot update these configs dynamically/,
    request: (request) => settingsIn(request).some((name) => LISTENERS.includes(name)),
    asked: "To change listeners while the broker runs.",
    kafkaDoes: "Opens and closes listeners.",
    gregorDoes: "INVALID_REQUEST.",
    reason: "Listeners are given at the start.",
  },
  {
    apis: ["DescribeConfigs"],
    path: /^results\[\]\.configs\{[^}]*\}$/,
    kafka: LEFT_OUT,
    gregor: /^null$/,
    request: /"resourceType":4/,
    asked: "Every setting of a broker.",
    kafkaDoes: "351 settings.",
    gregorDoes: "All but those that it refuses, and its own.",
    reason: "They belong to what is not built; the table below has them all.",
  },
  {
    apis: ["DescribeConfigs"],
    path: /^results\[\]\.configs\{[^}]*\}$/,
    kafka: /^null$/,
    gregor: OWN_SETTING,
    request: /"resourceType":4/,
    asked: "Every setting of a broker.",
    kafkaDoes: "Hides `producer.id.expiration.check.interval.ms`, and throttles that are not set.",
    gregorDoes: "Describes them, and its own settings.",
    reason: "What can be set is described.",
  },
  {
    apis: ["DescribeConfigs"],
    path: /^results\[\]\.configs(?:\{[^}]*\}|\[\])\.(?:value|synonyms(?:\[\]\.value)?)$/,
    kafka: /CLIENTS:|SASL_SSL:|"\/tmp/,
    request: /"resourceType":4/,
    asked: "A broker's listeners and directories.",
    kafkaDoes: "Its own.",
    gregorDoes: "Its own.",
    reason: "They differ by what each was started with.",
  },
  {
    apis: ["DescribeConfigs"],
    path: pathOf(["socket.request.max.bytes"], "value|configSource|synonyms"),
    kafka: /^"104857600"$|^5$|"value":"104857600"/,
    request: /"socket\.request\.max\.bytes"|"resourceType":4.*"configurationKeys":(?:null|\[\])/,
    asked: "`socket.request.max.bytes`.",
    kafkaDoes: "The number that was set.",
    gregorDoes: "The number in effect.",
    reason: "Memory may allow less (`--memory`).",
  },
  {
    apis: ["DescribeConfigs"],
    path: pathOf([...READ_AT_START, ...LISTENERS], "readOnly"),
    request: /"resourceType":4/,
    asked: "Whether a broker's setting can be changed while it runs.",
    kafkaDoes: "Listeners can; some defaults of topics and some intervals cannot.",
    gregorDoes: "The other way round.",
    reason: "The answer says what IncrementalAlterConfigs does.",
  },
  {
    apis: ["DescribeConfigs"],
    path: pathOf(["auto.create.topics.enable"], "configSource|synonyms"),
    request: /auto\.create\.topics\.enable|"configurationKeys":(?:null|\[\])/,
    gregor: /^4$|"auto.create.topics.enable","value":"true","source":4/,
    asked: "Where `auto.create.topics.enable` comes from.",
    kafkaDoes: "From the defaults.",
    gregorDoes: "From the start.",
    reason: "The mode that Gregor is started in sets it.",
  },
  {
    apis: ["DescribeConfigs"],
    path: /^results\[\]\.configs(?:\{[^}]*\}|\[\])\.synonyms\{log\.(?:local|remote)\..*\}$/,
    kafka: /^\{/,
    gregor: /^null$/,
    asked: "The synonyms of a topic's configs of tiered storage.",
    kafkaDoes: "Settings of the broker.",
    gregorDoes: "None.",
    reason: "There is no tiered storage, and its settings are refused.",
  },
];
