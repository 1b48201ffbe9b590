/**
 * What can be configured per topic: Kafka's names, defaults and refusals.
 *
 * A topic holds only what was set on it; everything else follows the broker setting that Kafka calls
 * its synonym (`retention.ms` follows `log.retention.ms`), and where there is none, the default here.
 * Names that Kafka knows and Gregor has no use for are accepted, kept and shown, because tools set
 * them as a matter of course; names that Kafka does not know are refused, as Kafka refuses them.
 *
 * @module
 */

import {
  booleanSetting,
  doubleSetting,
  intSetting,
  listSetting,
  longSetting,
  refuseSetting,
  type Setting,
  splitList,
  stringSetting,
} from "../base/setting.ts";
import type { SettingName, Settings } from "../base/settings.ts";

const MIB = 2 ** 20;
const DAY_MS = 86_400_000;
const LONG_MAX_TEXT = "9223372036854775807";

const ms = { unit: "ms" } as const;
const bytes = { unit: "bytes" } as const;
const ignored = { ignored: true } as const;

/** One config of a topic. */
export interface TopicConfigDefinition extends Setting {
  /** The broker settings it follows when the topic does not set it, the first of them that is set. */
  readonly synonyms: readonly SettingName[];
}

function follows(definition: Setting, ...synonyms: SettingName[]): TopicConfigDefinition {
  return { ...definition, synonyms };
}

const HONOURED = {
  "cleanup.policy": follows(
    listSetting(
      "delete",
      "How old records are removed: delete, compact, or both; empty: never.",
      {
        choices: ["compact", "delete"],
      },
    ),
    "log.cleanup.policy",
  ),
  "retention.ms": follows(
    longSetting(7 * DAY_MS, "How long records are kept; -1: for ever.", { ...ms, min: -1 }),
    "log.retention.ms",
    "log.retention.minutes",
    "log.retention.hours",
  ),
  "retention.bytes": follows(
    longSetting(-1, "Bytes that a partition keeps at least; negative: no limit.", bytes),
    "log.retention.bytes",
  ),
  "segment.bytes": follows(
    intSetting(1024 * MIB, "Size at which a new segment file begins.", { ...bytes, min: MIB }),
    "log.segment.bytes",
  ),
  "segment.ms": follows(
    longSetting(7 * DAY_MS, "Age at which a new segment file begins.", { ...ms, min: 1 }),
    "log.roll.ms",
    "log.roll.hours",
  ),
  "max.message.bytes": follows(
    intSetting(MIB + 12, "Largest record batch, in its compressed size.", { ...bytes, min: 0 }),
    "message.max.bytes",
  ),
  "message.timestamp.type": follows(
    stringSetting("CreateTime", "Whether records keep their producer's timestamp.", {
      choices: ["CreateTime", "LogAppendTime"],
    }),
    "log.message.timestamp.type",
  ),
  "message.timestamp.before.max.ms": follows(
    longSetting(LONG_MAX_TEXT, "How far in the past a record's timestamp may lie.", {
      ...ms,
      min: 0,
    }),
    "log.message.timestamp.before.max.ms",
  ),
  "message.timestamp.after.max.ms": follows(
    longSetting(3_600_000, "How far in the future a record's timestamp may lie.", {
      ...ms,
      min: 0,
    }),
    "log.message.timestamp.after.max.ms",
  ),
  "min.cleanable.dirty.ratio": follows(
    doubleSetting(0.5, "Share of the log that is not compacted yet from which on it is.", {
      min: 0,
      max: 1,
    }),
    "log.cleaner.min.cleanable.ratio",
  ),
  "min.compaction.lag.ms": follows(
    longSetting(0, "Age below which records are not compacted.", { ...ms, min: 0 }),
    "log.cleaner.min.compaction.lag.ms",
  ),
  "max.compaction.lag.ms": follows(
    longSetting(LONG_MAX_TEXT, "Age at which records are compacted, however few they are.", {
      ...ms,
      min: 1,
    }),
    "log.cleaner.max.compaction.lag.ms",
  ),
  "delete.retention.ms": follows(
    longSetting(DAY_MS, "How long a tombstone is kept after what it deletes is gone.", {
      ...ms,
      min: 0,
    }),
    "log.cleaner.delete.retention.ms",
  ),
  "min.insync.replicas": follows(
    intSetting(1, "Replicas that must have flushed before acks=all is answered.", { min: 1 }),
    "min.insync.replicas",
  ),
} as const;

const ACCEPTED = {
  "compression.type": follows(
    stringSetting("producer", "Gregor stores what the producer sent.", {
      choices: ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"],
      ...ignored,
    }),
    "compression.type",
  ),
  "compression.gzip.level": follows(
    intSetting(-1, "Gregor does not recompress.", {
      min: 1,
      max: 9,
      alsoFallback: true,
      ...ignored,
    }),
    "compression.gzip.level",
  ),
  "compression.lz4.level": follows(
    intSetting(9, "Gregor does not recompress.", { min: 1, max: 17, ...ignored }),
    "compression.lz4.level",
  ),
  "compression.zstd.level": follows(
    intSetting(3, "Gregor does not recompress.", { min: -131072, max: 22, ...ignored }),
    "compression.zstd.level",
  ),
  "file.delete.delay.ms": follows(
    longSetting(60_000, "Segments are dropped as soon as no reader uses them.", {
      ...ms,
      min: 0,
      ...ignored,
    }),
    "log.segment.delete.delay.ms",
  ),
  "flush.messages": follows(
    longSetting(LONG_MAX_TEXT, "Gregor flushes before every acknowledgement.", {
      min: 1,
      ...ignored,
    }),
    "log.flush.interval.messages",
  ),
  "flush.ms": follows(
    longSetting(LONG_MAX_TEXT, "Gregor flushes before every acknowledgement.", {
      ...ms,
      min: 0,
      ...ignored,
    }),
    "log.flush.interval.ms",
    "log.flush.scheduler.interval.ms",
  ),
  "follower.replication.throttled.replicas": follows(
    listSetting("", "Recovery is paced by the node.", { ...ignored, isReplicas: true }),
  ),
  "leader.replication.throttled.replicas": follows(
    listSetting("", "Recovery is paced by the node.", { ...ignored, isReplicas: true }),
  ),
  "index.interval.bytes": follows(
    intSetting(4096, "The index has one entry per extent.", { ...bytes, min: 0, ...ignored }),
    "log.index.interval.bytes",
  ),
  "segment.index.bytes": follows(
    intSetting(10 * MIB, "The index is as large as it needs.", { ...bytes, min: 4, ...ignored }),
    "log.index.size.max.bytes",
  ),
  "segment.jitter.ms": follows(
    longSetting(0, "Segments of many partitions are closed in a paced way.", {
      ...ms,
      min: 0,
      ...ignored,
    }),
    "log.roll.jitter.ms",
    "log.roll.jitter.hours",
  ),
  "preallocate": follows(
    booleanSetting(false, "Space is always reserved first.", ignored),
    "log.preallocate",
  ),
  "unclean.leader.election.enable": follows(
    booleanSetting(
      false,
      "A Raft group never elects a leader that lacks committed records.",
      ignored,
    ),
    "unclean.leader.election.enable",
  ),
  "remote.storage.enable": follows(booleanSetting(false, "There is no tiered storage.", ignored)),
  "local.retention.ms": follows(
    longSetting(-2, "There is no tiered storage.", { ...ms, min: -2, ...ignored }),
  ),
  "local.retention.bytes": follows(
    longSetting(-2, "There is no tiered storage.", { ...bytes, min: -2, ...ignored }),
  ),
  "remote.copy.lag.bytes": follows(
    longSetting(-1, "There is no tiered storage.", { min: -1, ...ignored }),
  ),
  "remote.copy.lag.ms": follows(
    longSetting(0, "There is no tiered storage.", { min: -1, ...ignored }),
  ),
  "errors.deadletterqueue.group.enable": follows(
    booleanSetting(false, "There are no share groups.", ignored),
  ),
  "remote.log.copy.disable": follows(booleanSetting(false, "There is no tiered storage.", ignored)),
  "remote.log.delete.on.disable": follows(
    booleanSetting(false, "There is no tiered storage.", ignored),
  ),
} as const;

/** Every topic config by its name. */
export const TOPIC_CONFIGS = { ...HONOURED, ...ACCEPTED } as const;

export type TopicConfigName = keyof typeof TOPIC_CONFIGS;

/** Narrows any text to a name of the table. */
export function isTopicConfigName(name: string): name is TopicConfigName {
  return Object.hasOwn(TOPIC_CONFIGS, name);
}

/**
 * What is wrong with one config of a topic, in Kafka's words (INVALID_CONFIG); null when nothing is.
 *
 * @param value null only where a client sent none
 */
export function topicConfigProblem(name: string, value: string | null): string | null {
  if (!isTopicConfigName(name)) return `Unknown topic config name: ${name}`;
  if (value === null) return `Null value not supported for topic configs: ${name}`;
  if (name === "remote.storage.enable" && value.trim().toLowerCase() === "true") {
    return "Tiered Storage functionality is disabled in the broker. " +
      "Topic cannot be configured with remote log storage.";
  }
  return refuseSetting(name, TOPIC_CONFIGS[name], value);
}

/**
 * What is wrong with all that a topic sets, taken together; null when nothing is. As in Kafka values that are
 * missing are told first, then unknown names, then wrong values, then what does not fit together.
 */
export function topicConfigsProblem(given: ReadonlyMap<string, string | null>): string | null {
  const missing = [...given].filter(([, value]) => value === null).map(([name]) => name);
  if (missing.length > 0) return `Null value not supported for topic configs: ${missing.join(",")}`;
  for (const name of given.keys()) {
    if (!isTopicConfigName(name)) return topicConfigProblem(name, null);
  }
  for (const [name, value] of given) {
    const problem = topicConfigProblem(name, value);
    if (problem !== null) return problem;
  }
  const minLag = Number(given.get("min.compaction.lag.ms") ?? 0);
  const maxLag = Number(given.get("max.compaction.lag.ms") ?? LONG_MAX_TEXT);
  if (minLag > maxLag) {
    return `conflict topic config setting min.compaction.lag.ms (${minLag}) > ` +
      `max.compaction.lag.ms (${maxLag})`;
  }
  return null;
}

/** The values in force for one topic. */
export class TopicConfig {
  readonly #given: ReadonlyMap<string, string>;
  readonly #settings: Settings;

  /** @param given what is set on the topic itself, valid by {@linkcode topicConfigsProblem} */
  constructor(given: ReadonlyMap<string, string>, settings: Settings) {
    this.#given = given;
    this.#settings = settings;
  }

  /** As text: the topic's own value, else the broker's, else the default. */
  text(name: TopicConfigName): string {
    return this.#given.get(name) ?? this.#brokerValue(name) ?? TOPIC_CONFIGS[name].fallback ?? "";
  }

  number(name: TopicConfigName): number {
    return Number(this.text(name));
  }

  boolean(name: TopicConfigName): boolean {
    return this.text(name).toLowerCase() === "true";
  }

  /** Compacted by key (`cleanup.policy` names compact). */
  get isCompacted(): boolean {
    return splitList(this.text("cleanup.policy")).includes("compact");
  }

  /** Old segments are deleted (`cleanup.policy` names delete). */
  get isDeleted(): boolean {
    return splitList(this.text("cleanup.policy")).includes("delete");
  }

  #brokerValue(name: TopicConfigName): string | null {
    if (name === "retention.ms") return String(this.#settings.logRetentionMs());
    if (name === "segment.ms") return String(this.#settings.logRollMs());
    if (name === "segment.jitter.ms") return String(this.#settings.logRollJitterMs());
    for (const synonym of TOPIC_CONFIGS[name].synonyms) {
      const value = this.#settings.text(synonym);
      if (value !== null) return value;
    }
    return null;
  }
}
