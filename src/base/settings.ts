/**
 * Every setting of a broker, under Kafka's name and with Kafka's default where Kafka has it, and
 * Gregor's own beside them. From this one table come `--set`, DescribeConfigs and AlterConfigs of
 * brokers, the defaults of topics and `docs/CONFIG.md`.
 *
 * Durations and sizes are plain numbers in the unit that the name says.
 *
 * @module
 */

import { assert } from "./assert.ts";
import { KAFKA_ONLY_SETTINGS } from "./kafka_settings.ts";
import { nearest } from "./nearest.ts";
import {
  booleanSetting,
  doubleSetting,
  intSetting,
  listSetting,
  longSetting,
  refuseSetting,
  type Setting,
  shortSetting,
  stringSetting,
} from "./setting.ts";

const DAY_MS = 86_400_000;
const MIB = 2 ** 20;
const INT_MAX = 2 ** 31 - 1;
const LONG_MAX_TEXT = "9223372036854775807";

const ms = { unit: "ms" } as const;
const bytes = { unit: "bytes" } as const;
const fixed = { fixed: true } as const;

const TOPIC_SETTINGS = {
  "auto.create.topics.enable": booleanSetting(
    true,
    "Create a topic when a client asks for one that does not exist.",
  ),
  "delete.topic.enable": booleanSetting(true, "Allow topics to be deleted.", fixed),
  "num.partitions": intSetting(1, "Partitions of a topic that is created without a number.", {
    min: 1,
  }),
  "default.replication.factor": intSetting(
    1,
    "Replicas of a topic that is created without a number; internal topics have settings of their own.",
    { min: 1 },
  ),
  "min.insync.replicas": intSetting(
    1,
    "Replicas that must have flushed a record before acks=all is answered; never fewer than a majority.",
    { min: 1 },
  ),
  "replica.lag.time.max.ms": longSetting(
    30_000,
    "A replica that has not had every record of its leader within this time is not in sync.",
    { ...ms, ...fixed, min: 1 },
  ),
  "replica.selector.class": stringSetting(
    null,
    "Which replica a consumer with a client.rack is told to read from: RackAwareReplicaSelector one in its rack (--rack " +
      "of a node) that keeps up, LeaderSelector (and no value) the leader.",
    {
      ...fixed,
      choices: [
        "org.apache.kafka.common.replica.LeaderSelector",
        "org.apache.kafka.common.replica.RackAwareReplicaSelector",
      ],
    },
  ),
  "auto.leader.rebalance.enable": booleanSetting(
    true,
    "Give leadership back to the preferred replica of a partition when that has returned and keeps up.",
    fixed,
  ),
  "leader.imbalance.check.interval.seconds": longSetting(
    300,
    "How often that is looked at.",
    { ...fixed, min: 1 },
  ),
  "unclean.leader.election.enable": booleanSetting(
    false,
    "Accepted for tools that set it. A Raft group never elects a leader that lacks committed records.",
    { ignored: true },
  ),
  "compression.type": stringSetting(
    "producer",
    "Codec that records are stored with; Gregor stores what the producer sent.",
    { choices: ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"], ignored: true },
  ),
  "message.max.bytes": intSetting(
    MIB + 12,
    "Largest record batch, in its compressed size.",
    { ...bytes, min: 0 },
  ),
} as const;

const LOG_SETTINGS = {
  "log.cleanup.policy": listSetting(
    "delete",
    "How old records are removed: delete by age and size, compact by key, or both.",
    { choices: ["compact", "delete"] },
  ),
  "log.retention.ms": longSetting(
    null,
    "How long records are kept; negative: for ever. If unset, log.retention.minutes applies, then hours.",
    ms,
  ),
  "log.retention.minutes": intSetting(null, "As log.retention.ms, in minutes.", {
    unit: "minutes",
    fixed: true,
    min: -1,
  }),
  "log.retention.hours": intSetting(168, "As log.retention.ms, in hours.", {
    unit: "hours",
    fixed: true,
    min: -1,
  }),
  "log.retention.bytes": longSetting(
    -1,
    "Bytes that a partition keeps at least when it drops old segments; negative: no limit.",
    bytes,
  ),
  "log.retention.check.interval.ms": longSetting(
    300_000,
    "How often to look for old segments.",
    { ...ms, min: 1 },
  ),
  "log.segment.bytes": intSetting(
    1024 * MIB,
    "Size at which a partition begins a new segment file.",
    { ...bytes, min: MIB },
  ),
  "log.roll.ms": longSetting(
    null,
    "Age at which a partition begins a new segment file. If unset, log.roll.hours applies.",
    { ...ms, min: 1 },
  ),
  "log.roll.hours": intSetting(168, "As log.roll.ms, in hours.", {
    unit: "hours",
    fixed: true,
    min: 1,
  }),
  "log.segment.delete.delay.ms": longSetting(
    60_000,
    "Accepted; Gregor drops a deleted segment as soon as no reader uses it.",
    { ...ms, min: 0, ignored: true },
  ),
  "log.message.timestamp.type": stringSetting(
    "CreateTime",
    "Whether a record keeps its producer's timestamp or gets the broker's.",
    { choices: ["CreateTime", "LogAppendTime"] },
  ),
  "log.message.timestamp.before.max.ms": longSetting(
    LONG_MAX_TEXT,
    "How far in the past a producer's timestamp may lie.",
    { ...ms, min: 0 },
  ),
  "log.message.timestamp.after.max.ms": longSetting(
    3_600_000,
    "How far in the future a producer's timestamp may lie.",
    { ...ms, min: 0 },
  ),
  "log.cleaner.enable": booleanSetting(
    true,
    "Whether logs of compacted topics are compacted.",
    fixed,
  ),
  "log.cleaner.backoff.ms": longSetting(
    15_000,
    "How often it is looked whether a log is to be compacted (ms).",
    { min: 0 },
  ),
  "log.cleaner.dedupe.buffer.size": longSetting(
    128 * MIB,
    "Memory for the keys of logs that are being compacted, for all cores; a core takes 1/32 of its own at most.",
  ),
  "log.cleaner.io.max.bytes.per.second": doubleSetting(
    "1.7976931348623157E308",
    "Bytes that compaction reads in a second on each core; 8 MiB at most while others produce there, 64 MiB else.",
  ),
  "log.cleaner.min.cleanable.ratio": doubleSetting(
    0.5,
    "Share of a log that has not been compacted from which on it is.",
    { min: 0, max: 1 },
  ),
  "log.cleaner.min.compaction.lag.ms": longSetting(
    0,
    "Age below which records are not compacted.",
    { ...ms, min: 0 },
  ),
  "log.cleaner.max.compaction.lag.ms": longSetting(
    LONG_MAX_TEXT,
    "Age at which records are compacted, however small their share.",
    { ...ms, min: 1 },
  ),
  "log.cleaner.delete.retention.ms": longSetting(
    DAY_MS,
    "How long a tombstone is kept after what it deletes is gone.",
    { ...ms, min: 0 },
  ),
  "log.index.interval.bytes": intSetting(
    4096,
    "Accepted; Gregor's index has one entry per extent of at most 64 KiB.",
    { ...bytes, min: 0, ignored: true },
  ),
  "log.index.size.max.bytes": intSetting(10 * MIB, "Accepted; the index is as large as it needs.", {
    ...bytes,
    min: 4,
    ignored: true,
  }),
  "log.preallocate": booleanSetting(
    false,
    "Accepted; Gregor reserves space before it acknowledges, always.",
    { ignored: true },
  ),
  "log.flush.interval.messages": longSetting(
    LONG_MAX_TEXT,
    "Accepted; Gregor flushes before every acknowledgement.",
    { min: 1, ignored: true },
  ),
  "log.flush.interval.ms": longSetting(
    null,
    "Accepted; Gregor flushes before every acknowledgement.",
    { ...ms, ignored: true },
  ),
} as const;

const GROUP_SETTINGS = {
  "group.initial.rebalance.delay.ms": intSetting(
    3000,
    "How long a new classic group waits for more members before it first rebalances.",
    { ...ms, ...fixed, min: 0 },
  ),
  "group.min.session.timeout.ms": intSetting(6000, "Shortest session that a member may ask for.", {
    ...ms,
    ...fixed,
    min: 0,
  }),
  "group.max.session.timeout.ms": intSetting(
    1_800_000,
    "Longest session that a member may ask for.",
    { ...ms, ...fixed, min: 0 },
  ),
  "group.max.size": intSetting(INT_MAX, "Members that a classic group may have.", {
    ...fixed,
    min: 1,
  }),
  "group.consumer.session.timeout.ms": intSetting(
    45_000,
    "How long a member of a consumer group (KIP-848) may be silent before it is removed.",
    { ...ms, ...fixed, min: 1 },
  ),
  "group.consumer.min.session.timeout.ms": intSetting(
    45_000,
    "Least value of consumer.session.timeout.ms of a group.",
    { ...ms, ...fixed, min: 1 },
  ),
  "group.consumer.max.session.timeout.ms": intSetting(
    60_000,
    "Greatest value of consumer.session.timeout.ms of a group.",
    { ...ms, ...fixed, min: 1 },
  ),
  "group.consumer.heartbeat.interval.ms": intSetting(
    5000,
    "How often members of consumer groups send heartbeats.",
    { ...ms, ...fixed, min: 1 },
  ),
  "group.consumer.min.heartbeat.interval.ms": intSetting(
    5000,
    "Least value of consumer.heartbeat.interval.ms of a group.",
    { ...ms, ...fixed, min: 1 },
  ),
  "group.consumer.max.heartbeat.interval.ms": intSetting(
    15_000,
    "Greatest value of consumer.heartbeat.interval.ms of a group.",
    { ...ms, ...fixed, min: 1 },
  ),
  "group.consumer.assignment.interval.ms": intSetting(
    1000,
    "How long to wait between two target assignments of a consumer group.",
    { ...ms, min: 0 },
  ),
  "group.consumer.min.assignment.interval.ms": intSetting(
    0,
    "Least value of consumer.assignment.interval.ms of a group.",
    { ...ms, ...fixed, min: 0 },
  ),
  "group.consumer.max.assignment.interval.ms": intSetting(
    15_000,
    "Greatest value of consumer.assignment.interval.ms of a group.",
    { ...ms, ...fixed, min: 0 },
  ),
  "group.consumer.migration.policy": stringSetting(
    "bidirectional",
    "Whether a live group may change from the classic protocol to that of consumer groups (upgrade), back (downgrade), " +
      "both ways, or not at all.",
    { ...fixed, choices: ["bidirectional", "disabled", "downgrade", "upgrade"] },
  ),
  "group.consumer.max.size": intSetting(INT_MAX, "Members that a consumer group may have.", {
    ...fixed,
    min: 1,
  }),
  "offsets.topic.num.partitions": intSetting(
    50,
    "Partitions of __consumer_offsets; not to be changed once it exists.",
    { ...fixed, min: 1 },
  ),
  "offsets.topic.replication.factor": shortSetting(
    3,
    "Replicas of __consumer_offsets; in a smaller cluster, one per node.",
    { ...fixed, min: 1 },
  ),
  "offsets.topic.segment.bytes": intSetting(100 * MIB, "Segment size of __consumer_offsets.", {
    ...bytes,
    ...fixed,
    min: 1,
  }),
  "offsets.retention.minutes": intSetting(
    10_080,
    "How long the offsets of a group without members are kept.",
    { unit: "minutes", fixed: true, min: 1 },
  ),
  "offsets.retention.check.interval.ms": longSetting(
    600_000,
    "How often to look for expired offsets.",
    { ...ms, ...fixed, min: 1 },
  ),
  "offset.metadata.max.bytes": intSetting(4096, "Largest metadata text of an offset commit.", {
    ...bytes,
    ...fixed,
    min: 0,
  }),
} as const;

const TRANSACTION_SETTINGS = {
  "producer.id.expiration.ms": intSetting(
    DAY_MS,
    "Silence after which the broker forgets a producer's sequence numbers.",
    { ...ms, min: 1 },
  ),
  "producer.id.expiration.check.interval.ms": intSetting(
    600_000,
    "How often to look for silent producers.",
    { ...ms, min: 1 },
  ),
  "transaction.state.log.num.partitions": intSetting(50, "Partitions of __transaction_state.", {
    ...fixed,
    min: 1,
  }),
  "transaction.state.log.replication.factor": shortSetting(
    3,
    "Replicas of __transaction_state; in a smaller cluster, one per node.",
    { ...fixed, min: 1 },
  ),
  "transaction.state.log.min.isr": intSetting(2, "min.insync.replicas of __transaction_state.", {
    ...fixed,
    min: 1,
  }),
  "transaction.state.log.segment.bytes": intSetting(
    100 * MIB,
    "Segment size of __transaction_state.",
    { ...bytes, ...fixed, min: 1 },
  ),
  "transaction.max.timeout.ms": intSetting(
    900_000,
    "The longest time that a producer may give its transactions.",
    { ...ms, ...fixed, min: 1 },
  ),
  "transaction.abort.timed.out.transaction.cleanup.interval.ms": intSetting(
    10_000,
    "How often to look for transactions whose time is over; they are aborted.",
    { ...ms, ...fixed, min: 1 },
  ),
  "transactional.id.expiration.ms": intSetting(
    604_800_000,
    "How long a transactional id without a transaction is kept.",
    { ...ms, ...fixed, min: 1 },
  ),
  "transaction.remove.expired.transaction.cleanup.interval.ms": intSetting(
    3_600_000,
    "How often to look for transactional ids that are not used.",
    { ...ms, ...fixed, min: 1 },
  ),
} as const;

const CONNECTION_SETTINGS = {
  "connections.max.idle.ms": longSetting(
    600_000,
    "Silence after which a client's connection is closed.",
    { ...ms, ...fixed },
  ),
  "socket.request.max.bytes": intSetting(
    100 * MIB,
    "Largest request. Memory may allow less: it takes one block, at most an eighth of a core's memory, rounded " +
      "down to a power of two. The number in effect is shown.",
    {
      ...bytes,
      ...fixed,
      min: 1,
    },
  ),
  "fetch.max.bytes": intSetting(55 * MIB, "Maximum bytes of one fetch response.", {
    ...bytes,
    ...fixed,
    min: 1024,
  }),
  "max.incremental.fetch.session.cache.slots": intSetting(
    1000,
    "Incremental fetch sessions that a node remembers.",
    { ...fixed, min: 0 },
  ),
} as const;

const NODE_SETTINGS = {
  "node.id": intSetting(null, "The node's number.", { ...fixed, flag: "--node-id" }),
  "broker.id": intSetting(-1, "As node.id, by its older name.", { ...fixed, flag: "--node-id" }),
  "broker.rack": stringSetting(null, "The failure zone of a node.", { ...fixed, flag: "--rack" }),
  "process.roles": listSetting(null, "Every node is both.", {
    ...fixed,
    flag: "--mode",
  }),
  "listeners": listSetting(null, "Where clients connect.", { ...fixed, flag: "--kafka-addr" }),
  "advertised.listeners": listSetting(null, "Address that clients connect to.", {
    ...fixed,
    flag: "--advertised-kafka-addr",
  }),
  "listener.security.protocol.map": stringSetting(
    "PLAINTEXT:PLAINTEXT",
    "There is one listener, without TLS and SASL.",
    { ...fixed, flag: "--kafka-addr" },
  ),
  "log.dirs": listSetting(null, "The data directory; only one.", {
    ...fixed,
    flag: "--data-dir",
  }),
} as const;

const GREGOR_SETTINGS = {
  "journal.extent.bytes": intSetting(
    64 * MIB,
    "Size of one extent of a core's journal ring.",
    { ...bytes, ...fixed, min: 4 * MIB, max: 1024 * MIB },
  ),
  "journal.extents": intSetting(
    8,
    "Extents of a core's journal ring; recovery reads at most all of them.",
    { ...fixed, min: 4, max: 1024 },
  ),
  "max.partitions.per.node": intSetting(
    100_000,
    "Maximum number of partitions of a node; more are refused.",
    { ...fixed, min: 1 },
  ),
  "gregor.version.auto.upgrade": booleanSetting(
    true,
    "Whether the logical version of the cluster, the feature gregor.version, rises by itself once every registered node " +
      "is able to do what comes next; older versions of Gregor cannot be started again after that. Without that it rises " +
      "when somebody asks for it (kafka-features upgrade).",
  ),
  "new.nodes.take.partitions": booleanSetting(
    true,
    "Whether a node that is added to a cluster takes its share of the existing partitions over. Without that only " +
      "new partitions are placed on it.",
  ),
  "produce.records.check": stringSetting(
    "all",
    "Batches whose records are checked before they are stored. With uncompressed, compressed batches are " +
      "stored unchecked: one that cannot be read stops every consumer.",
    { choices: ["all", "uncompressed"], ...fixed },
  ),
  "shutdown.timeout.ms": intSetting(
    30_000,
    "How long a stop may take to answer open requests and to flush; then the process ends anyway.",
    { ...fixed, min: 1000 },
  ),
} as const;

/** Every setting by its name; the groups are the chapters of `docs/CONFIG.md`. */
export const SETTINGS = {
  ...TOPIC_SETTINGS,
  ...LOG_SETTINGS,
  ...GROUP_SETTINGS,
  ...TRANSACTION_SETTINGS,
  ...CONNECTION_SETTINGS,
  ...NODE_SETTINGS,
  ...GREGOR_SETTINGS,
  ...KAFKA_ONLY_SETTINGS,
} as const;

/** The chapters, in reading order. */
export const SETTING_CHAPTERS: readonly (readonly [string, Readonly<Record<string, Setting>>])[] = [
  ["Topics", TOPIC_SETTINGS],
  ["Logs", LOG_SETTINGS],
  ["Groups", GROUP_SETTINGS],
  ["Producers and transactions", TRANSACTION_SETTINGS],
  ["Connections", CONNECTION_SETTINGS],
  ["The node", NODE_SETTINGS],
  ["Gregor's own", GREGOR_SETTINGS],
  ["Kafka's own", KAFKA_ONLY_SETTINGS],
];

export type SettingName = keyof typeof SETTINGS;

/** Narrows any text to a name of the table. */
export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name);
}

/** The setting that a misspelt name was probably meant to be; null when none is near. */
export function suggestSetting(name: string): SettingName | null {
  return nearest(name, Object.keys(SETTINGS)) as SettingName | null;
}

/** What is wrong with `value` for the setting, in Kafka's words; null when nothing is. */
export function settingProblem(name: SettingName, value: string): string | null {
  const problem = refuseSetting(name, SETTINGS[name], value);
  if (problem !== null || !RETENTION_TIMES.has(name) || Number(value) !== 0) return problem;
  return "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1";
}

/** No time at all is none of a log's. */
const RETENTION_TIMES: ReadonlySet<SettingName> = new Set<SettingName>([
  "log.retention.ms",
  "log.retention.minutes",
  "log.retention.hours",
]);

/**
 * The values in force on a node: what was set, else the default.
 *
 * Numbers beyond 2^53 (Kafka's Long.MAX_VALUE for "no limit") come out as the nearest number, which
 * is as good as no limit.
 */
export class Settings {
  #given: ReadonlyMap<string, string>;

  /** @param given values that {@linkcode settingProblem} found nothing wrong with */
  constructor(given: ReadonlyMap<string, string> = new Map()) {
    this.#given = given;
  }

  /** The values that were set, by name. */
  get given(): ReadonlyMap<string, string> {
    return this.#given;
  }

  /** Puts other values in force (a dynamic change). */
  replace(given: ReadonlyMap<string, string>): void {
    this.#given = given;
  }

  /** As text; null where nothing is set and the default is null. */
  text(name: SettingName): string | null {
    return this.#given.get(name) ?? SETTINGS[name].fallback;
  }

  /** A setting with a number that is never null. */
  number(name: SettingName): number {
    const text = this.text(name);
    assert(text !== null, "a setting without a value was read as a number");
    return Number(text);
  }

  boolean(name: SettingName): boolean {
    return this.text(name)?.toLowerCase() === "true";
  }

  /** How long records are kept (ms), -1 for ever: the finest of the three settings that is given. */
  logRetentionMs(): number {
    const inMs = this.text("log.retention.ms");
    if (inMs !== null) return Math.max(-1, Number(inMs));
    const minutes = this.text("log.retention.minutes");
    const hours = Number(this.text("log.retention.hours"));
    const result = minutes === null ? hours * 3_600_000 : Number(minutes) * 60_000;
    return result < 0 ? -1 : result;
  }

  /** Age at which a segment is closed (ms). */
  logRollMs(): number {
    const inMs = this.text("log.roll.ms");
    return inMs === null ? Number(this.text("log.roll.hours")) * 3_600_000 : Number(inMs);
  }

  /** By how much that age may differ (ms), which is shown alone. */
  logRollJitterMs(): number {
    const inMs = this.text("log.roll.jitter.ms");
    return inMs === null ? Number(this.text("log.roll.jitter.hours")) * 3_600_000 : Number(inMs);
  }
}
