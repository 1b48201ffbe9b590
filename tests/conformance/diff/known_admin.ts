/**
 * Differences that are meant: topics, and what describes the cluster.
 *
 * @module
 */

import type { JsonObject } from "./case.ts";
import type { KnownDifference } from "./known.ts";

/** Whether the cursor of a DescribeTopicPartitions fits nothing that is asked for. */
function hasStrangeCursor({ topics, cursor }: JsonObject): boolean {
  if (cursor === null || cursor === undefined) return false;
  const { topicName, partitionIndex } = cursor as JsonObject;
  const asked = (topics ?? []) as readonly JsonObject[];
  return Number(partitionIndex ?? 0) < 0 || !asked.some(({ name }) => name === topicName);
}

/** Whether an epoch that is asked for belongs to another partition than it is asked of. */
function namesOtherEpoch({ topics }: JsonObject): boolean {
  return ((topics ?? []) as readonly JsonObject[]).some(({ topic, partitions }) =>
    ((partitions ?? []) as readonly JsonObject[]).some((partition) => {
      const epochs = [partition.leaderEpoch, partition.currentLeaderEpoch]
        .filter((epoch) => typeof epoch === "string")
        .map((epoch) => /^%epoch:([^%]*?)(?:[+-]1)?%$/.exec(epoch)![1]);
      const isOther = Number(partition.partition ?? 0) > 0;
      return epochs.some((of) => isOther || of !== topic);
    })
  );
}

/** Whether topics are to be created whose names differ only in '.' and '_'. */
function namesCollide({ topics }: JsonObject): boolean {
  const names = new Set(((topics ?? []) as readonly JsonObject[]).map(({ name }) => `${name}`));
  return new Set([...names].map((name) => name.replaceAll(".", "_"))).size < names.size;
}

export const KNOWN_ADMIN: readonly KnownDifference[] = [
  {
    apis: ["ApiVersions"],
    path: /^apiKeys$/,
    asked: "Which APIs and versions are served.",
    kafkaDoes: "All of its own.",
    gregorDoes: "The APIs that are built, with some versions that only older Kafkas serve.",
    reason:
      "APIs that are not built are not advertised; old clients find the versions that they need.",
  },
  {
    apis: ["ApiVersions"],
    path: /^(?:supported|finalized)Features/,
    asked: "Which features exist, at which level.",
    kafkaDoes: "Its own, and an epoch that counts the records of its metadata.",
    gregorDoes: "Level 0 of those that clients look for, and its own epoch.",
    reason: "The features of a higher level are not built.",
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
    request: /"name":"\$c(?!t")/,
    asked: "A topic that is created on demand.",
    kafkaDoes: "UNKNOWN_TOPIC_OR_PARTITION; the topic is there when the client asks again.",
    gregorDoes: "Waits until the topic is created, and describes it.",
    reason: "Clients need no second round.",
  },
  {
    apis: ["Metadata"],
    path: /^(?:$|topics|brokers|clusterId|controllerId|errorCode|topics\[\].*)$/,
    request: /\},\{.*"topicId":"(?!0{32})|"name":null/,
    asked: "Topics by id and by name in one request, or a topic by neither.",
    kafkaDoes:
      "Leaves out those by name; for a topic by neither, UNKNOWN_SERVER_ERROR for everything.",
    gregorDoes: "Answers each; a topic by neither is INVALID_REQUEST.",
    reason: "Every topic of a request is answered.",
  },
  {
    apis: ["InitProducerId"],
    path: /^(?:errorCode|producerId|producerEpoch)$/,
    gregor: /^53$|^-1$/,
    request: /"transactionalId":"\$ctxn"/,
    asked: "An id with a transactional id.",
    kafkaDoes: "Looks for the id's coordinator, and gives the id.",
    gregorDoes: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED.",
    reason: "There are no transactions yet, and this error ends a client's attempt at once.",
  },
  {
    apis: ["FindCoordinator"],
    path: /^(?:coordinators\[\]\.)?(?:errorCode|errorMessage|nodeId|host|port)$/,
    request: /"keyType":1\b/,
    asked: "The coordinator of a transactional id.",
    kafkaDoes: "Creates the topic of transactions, and names the coordinator.",
    gregorDoes: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED, with a text that says why.",
    reason: "There are no transactions yet, and this error ends a client's attempt at once.",
  },
  {
    apis: ["FindCoordinator"],
    path: /^(?:coordinators\[\]\.)?errorMessage$/,
    request: /"keyType":(?!1\b)/,
    asked: "A coordinator of an unknown kind, or of share groups.",
    kafkaDoes: "A general text about malformed requests; none for share groups.",
    gregorDoes: "A text of its own.",
    reason: "The error code INVALID_REQUEST is the same.",
  },
  {
    apis: ["ListOffsets", "OffsetForLeaderEpoch"],
    path: /^topics\[\]\.partitions\[\]\./,
    request: /"__consumer_offsets"/,
    asked: "Offsets, times and epochs in `__consumer_offsets`.",
    kafkaDoes: "Its own records.",
    gregorDoes: "Its own records.",
    reason: "Coordinators write to it as they need.",
  },
  {
    apis: ["OffsetForLeaderEpoch"],
    path: /^topics\[\]\.partitions\[\]\.(?:errorCode|endOffset|leaderEpoch)$/,
    request: namesOtherEpoch,
    asked: "Where an epoch of another topic or partition ends in this one.",
    kafkaDoes: "All partitions of a cluster of one have the same epoch.",
    gregorDoes: "Each has its own.",
    reason: "Epochs are terms of a partition's Raft group.",
  },
  {
    apis: ["DescribeTopicPartitions"],
    path: /^(?:topics.*|nextCursor)$/,
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
    request: /"name":""/,
    asked: "A topic with an empty name.",
    kafkaDoes: "UNKNOWN_SERVER_ERROR for every topic.",
    gregorDoes: "INVALID_TOPIC_EXCEPTION for this one.",
    reason: "The others are answered.",
  },
  {
    apis: ["DescribeTopicPartitions"],
    path: /^nextCursor\./,
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
    request: namesCollide,
    asked: "Topics in one request whose names differ only in '.' and '_'.",
    kafkaDoes: "Creates both, and refuses such names in two requests.",
    gregorDoes: "Creates the first, and refuses the second.",
    reason: "Their metrics would collide, which is why Kafka refuses them otherwise.",
  },
];
