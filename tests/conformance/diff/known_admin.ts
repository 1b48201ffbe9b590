/**
 * Differences that are meant: topics, and what describes the cluster.
 *
 * @module
 */

import { ZERO_UUID } from "../../../src/wire/uuid.ts";
import type { JsonObject } from "./case.ts";
import type { KnownDifference } from "./known.ts";

/** Whether the cursor of a DescribeTopicPartitions fits nothing that is asked for. */
function hasStrangeCursor({ topics, cursor }: JsonObject): boolean {
  if (cursor === null || cursor === undefined) return false;
  const { topicName, partitionIndex } = cursor as JsonObject;
  const asked = (topics ?? []) as readonly JsonObject[];
  return Number(partitionIndex ?? 0) < 0 || !asked.some(({ name }) => name === topicName);
}

/** Whether topics are to be created whose names differ only in '.' and '_'. */
function namesCollide({ topics }: JsonObject): boolean {
  const names = new Set(((topics ?? []) as readonly JsonObject[]).map(({ name }) => `${name}`));
  return new Set([...names].map((name) => name.replaceAll(".", "_"))).size < names.size;
}

/** Whether a topic is asked for by nothing. */
function namesNothing({ topics }: JsonObject): boolean {
  return ((topics ?? []) as readonly JsonObject[]).some(({ name, topicId }) => {
    return (name ?? null) === null && (topicId ?? ZERO_UUID) === ZERO_UUID;
  });
}

export const KNOWN_ADMIN: readonly KnownDifference[] = [
  {
    apis: ["ApiVersions"],
    path: /^apiKeys\{\d+\}$/,
    kafka: /^\{"apiKey":(?:17|29|3[014689]|4[0158-9]|5[0157]|6[489]|7[12]|7[6-9]|8\d|9\d),/,
    gregor: /^null$/,
    asked: "Which APIs are served.",
    kafkaDoes: "All of its own.",
    gregorDoes: "The APIs that are built.",
    reason: "A client that sees one of the others would use it.",
  },
  {
    apis: ["ApiVersions"],
    path: /^apiKeys\{\d+\}\.minVersion$/,
    values: (kafka, gregor) => Number(gregor) < Number(kafka),
    asked: "Which versions are served.",
    kafkaDoes: "Those since Kafka 2.1.",
    gregorDoes: "Some older ones, too, that Kafka 3.9 served.",
    reason: "Old clients find the versions that they need.",
  },
  {
    apis: ["ApiVersions"],
    path:
      /^(?:supported|finalized)Features(?:Epoch$|\{[^}]*\}(?:\.(?:min|max)Version(?:Level)?)?$)/,
    gregor: /^(?:null|-?\d+|\{"name":"gregor\.version",.*\})$/,
    asked: "Which features exist, at which level.",
    kafkaDoes: "Its own, and an epoch that counts the records of its metadata.",
    gregorDoes:
      "Level 0 of those that clients look for, the logical version of the cluster, and its own epoch.",
    reason: "The features of a higher level are not built.",
  },
  {
    apis: ["UpdateFeatures"],
    path: /^errorMessage$/,
    kafka: /Invalid update version -?\d+ for feature /,
    gregor: /Invalid update version -?\d+ for feature /,
    request: ({ featureUpdates }) =>
      new Set(((featureUpdates ?? []) as readonly JsonObject[]).map(({ feature }) => feature ?? ""))
        .size > 1,
    asked: "Several levels that cannot be.",
    kafkaDoes: "Names the first one in the order of a hash table.",
    gregorDoes: "Names the first one of the request.",
    reason: "All are refused in any case.",
  },
  {
    apis: ["AlterReplicaLogDirs"],
    path: /^results\[\]\.partitions\[\]\.errorCode$/,
    kafka: /^17$/,
    gregor: /^57$/,
    request: /"name":"[^"]{200,}"|\$c~2/,
    asked: "To move a partition of a topic with a very long name.",
    kafkaDoes: "INVALID_TOPIC_EXCEPTION: the folder of the copy would have too long a name.",
    gregorDoes: "LOG_DIR_NOT_FOUND.",
    reason: "There is one directory, and no copy.",
  },
  {
    apis: ["CreateTopics"],
    path: /^topics\[\]\.topicId$/,
    gregor: /^"0{32}"$/,
    request: /"validateOnly":true/,
    asked: "To validate the creation of a topic.",
    kafkaDoes: "A topic id, although there is no topic.",
    gregorDoes: "The all-zero id.",
    reason: "The id of a topic that does not exist misleads.",
  },
  {
    apis: ["CreateTopics"],
    path: /^topics\[\]\.errorMessage$/,
    kafka: /^"Unable to replicate the partition/,
    gregor: /^"the replication factor is/,
    asked: "A topic with more replicas than there are brokers.",
    kafkaDoes: "A text about cordoned directories.",
    gregorDoes: "Says how many brokers there are.",
    reason: "Directories cannot be cordoned here.",
  },
  {
    apis: ["Metadata"],
    path: /^topics\[\]\.(?:errorCode|partitions|topicId)$/,
    kafka: /^3$|^\[\]$|^"0{32}"$/,
    gregor: /^0$|^\[\{"errorCode":0|^"<id of/,
    request: ({ topics, allowAutoTopicCreation }, { version }) =>
      (version < 4 || allowAutoTopicCreation !== false) &&
      /"name":"\$c(?!t")/.test(JSON.stringify(topics)),
    asked: "A topic that is created on demand.",
    kafkaDoes: "UNKNOWN_TOPIC_OR_PARTITION; the topic is there when the client asks again.",
    gregorDoes: "Waits until the topic is created, and describes it.",
    reason: "Clients need no second round.",
  },
  {
    apis: ["Metadata"],
    path: /^(?:topics\[\]\.)?errorCode$/,
    kafka: /^-1$/,
    gregor: /^42$/,
    request: namesNothing,
    asked: "A topic by neither id nor name.",
    kafkaDoes: "UNKNOWN_SERVER_ERROR for every topic, and no brokers.",
    gregorDoes: "The same with INVALID_REQUEST.",
    reason: "The error names the client's mistake.",
  },
  {
    apis: ["FindCoordinator"],
    path: /^(?:coordinators\[\]\.)?errorMessage$/,
    gregor: /^"(?!")/,
    request: /"keyType":(?!0\b|1\b)/,
    asked: "A coordinator of an unknown kind, or of share groups.",
    kafkaDoes: "A general text about malformed requests; none for share groups.",
    gregorDoes: "A text of its own.",
    reason: "The error code INVALID_REQUEST is the same.",
  },
  {
    apis: ["ListOffsets", "OffsetForLeaderEpoch"],
    path: /^topics\[\]\.partitions\[\]\.(?:offset|timestamp|leaderEpoch|endOffset)$/,
    request: /"__consumer_offsets"/,
    asked: "Offsets, times and epochs in `__consumer_offsets`.",
    kafkaDoes: "Its own records.",
    gregorDoes: "Its own records.",
    reason: "Coordinators write to it as they need.",
  },
  {
    apis: ["DescribeQuorum"],
    path: /replicaDirectoryId$/,
    kafka: /^"0{32}"$/,
    gregor: /^"<uuid>"$/,
    asked: "The directory of a voter.",
    kafkaDoes: "None, where the voters are configured, as they are in a cluster of one.",
    gregorDoes: "The id of the node's data directory.",
    reason: "It is known.",
  },
  {
    apis: ["DescribeTopicPartitions"],
    path: /^(?:topics.*|nextCursor)$/,
    kafka: /^(?:42|null|false|\[\]|-2147483648|"|[[{].*"errorCode":42)/,
    request: hasStrangeCursor,
    asked: "A cursor that names a topic outside the request, or a partition before the first.",
    kafkaDoes: "INVALID_REQUEST for every topic.",
    gregorDoes: "Continues after the cursor.",
    reason: "A topic may be deleted between two pages.",
  },
  {
    apis: ["DescribeTopicPartitions"],
    path: /^nextCursor$/,
    kafka: /"partitionIndex":-/,
    request: /"cursor":\{/,
    asked: "A cursor far beyond the last partition.",
    kafkaDoes: "Continues at a partition before the first, because the index overflowed.",
    gregorDoes: "Continues after the cursor.",
    reason: "There is no such partition.",
  },
  {
    apis: ["DescribeTopicPartitions"],
    path: /^(?:topics.*|nextCursor.*)$/,
    kafka: /^(?:-1|null|\[\]|-2147483648|"|[[{].*"errorCode":-1)/,
    request: /"name":""/,
    asked: "A topic with an empty name.",
    kafkaDoes: "UNKNOWN_SERVER_ERROR for every topic.",
    gregorDoes: "INVALID_TOPIC_EXCEPTION for this one.",
    reason: "The others are answered.",
  },
  {
    apis: ["DescribeTopicPartitions"],
    path: /^(?:nextCursor\.|topics(?:\{[^}]*\})?$)/,
    byChance: true,
    request: /"topics":\[\]/,
    asked: "All topics, in pages.",
    kafkaDoes: "Lists the topics that exist at that moment.",
    gregorDoes: "Lists the topics that exist at that moment.",
    reason: "The check creates topics meanwhile.",
  },
  {
    apis: ["CreateTopics"],
    path: /^topics\[\]/,
    kafka: /^(?:null|\d|"<id|[[{])/,
    gregor: /^(?:17|-1|"|\[\]|null)/,
    request: namesCollide,
    asked: "Topics in one request whose names differ only in '.' and '_'.",
    kafkaDoes: "Creates both, and refuses such names in two requests.",
    gregorDoes: "Creates the first, and refuses the second.",
    reason: "Their metrics would collide, which is why Kafka refuses them otherwise.",
  },
];
