/**
 * Answers that list everything also list what other cases made meanwhile. Here they are cut down to what
 * the case itself and the fixture made.
 *
 * @module
 */

import type { Json, JsonObject } from "./case.ts";

/** Where the elements are, and what names one. */
const LISTS: Readonly<Record<string, readonly [path: readonly string[], key: string][]>> = {
  Metadata: [[["topics"], "name"]],
  DescribeTopicPartitions: [[["topics"], "name"]],
  DescribeLogDirs: [[["results", "topics"], "name"]],
  ElectLeaders: [[["replicaElectionResults"], "topic"]],
  ListGroups: [[["groups"], "groupId"]],
  ListConfigResources: [[["configResources"], "resourceName"]],
  ListTransactions: [[["transactionStates"], "transactionalId"]],
};

/** Names of other cases begin with another number; groups without a name are everybody's. */
const CASE_NAME = /c\d+-/;
const NO_NAME = /^ ?$/;
/** Kafka makes it when a first case asks for a transaction. */
const TRANSACTIONS = "__transaction_state";

/** Arrays whose elements stand in the order of a hash table at Kafka, by API and path. */
export const UNORDERED: Readonly<Record<string, readonly string[]>> = {
  AddPartitionsToTxn: [
    "resultsByTopicV3AndBelow",
    "resultsByTopicV3AndBelow.resultsByPartition",
    "resultsByTransaction.topicResults",
    "resultsByTransaction.topicResults.resultsByPartition",
  ],
  AlterConfigs: ["responses"],
  AlterReplicaLogDirs: ["results", "results.partitions"],
  ApiVersions: ["supportedFeatures", "finalizedFeatures"],
  ConsumerGroupDescribe: ["groups", "groups.members", "groups.members.subscribedTopicNames"],
  CreateTopics: ["topics"],
  DeleteGroups: ["results"],
  DeleteRecords: ["topics", "topics.partitions"],
  CreatePartitions: ["results"],
  DeleteTopics: ["responses"],
  DescribeConfigs: ["results", "results.configs"],
  DescribeGroups: ["groups.members"],
  DescribeTransactions: ["transactionStates.topics", "transactionStates.topics.partitions"],
  DescribeLogDirs: ["results.topics", "results.topics.partitions"],
  ElectLeaders: ["replicaElectionResults", "replicaElectionResults.partitionResult"],
  Fetch: ["responses", "responses.partitions"],
  ListConfigResources: ["configResources"],
  IncrementalAlterConfigs: ["responses"],
  JoinGroup: ["members"],
  ListGroups: ["groups"],
  ListOffsets: ["topics", "topics.partitions"],
  ListTransactions: ["transactionStates"],
  Metadata: ["topics"],
  OffsetFetch: ["topics", "topics.partitions", "groups.topics", "groups.topics.partitions"],
  OffsetForLeaderEpoch: ["topics", "topics.partitions"],
  Produce: ["responses", "responses.partitionResponses"],
  TxnOffsetCommit: ["topics", "topics.partitions"],
  WriteTxnMarkers: ["markers", "markers.topics", "markers.topics.partitions"],
};

/** What names an element, as far as it has that. */
const IDENTITY = [
  "resourceType",
  "resourceName",
  "name",
  "topic",
  "topicId",
  "groupId",
  "partitionIndex",
  "partition",
  "index",
];

/** The answer with elements that have no order sorted by what names them. */
export function inOrder(api: string, answer: Json, path = ""): Json {
  if (Array.isArray(answer)) {
    const elements = answer.map((element) => inOrder(api, element, path));
    if (!UNORDERED[api]?.includes(path)) return elements;
    return elements.toSorted((a, b) => identityOf(a) < identityOf(b) ? -1 : 1);
  }
  if (typeof answer !== "object" || answer === null) return answer;
  return Object.fromEntries(
    Object.entries(answer).map(([key, value]) => {
      return [key, inOrder(api, value, path === "" ? key : `${path}.${key}`)];
    }),
  );
}

function identityOf(element: Json): string {
  if (typeof element !== "object" || element === null) return JSON.stringify(element);
  const object = element as JsonObject;
  const within = Object.values(object).filter((value) => Array.isArray(value)).flat();
  return [object, ...within].map(ownIdentityOf).join("") + JSON.stringify(element);
}

function ownIdentityOf(json: Json): string {
  if (typeof json !== "object" || json === null) return JSON.stringify(json);
  return JSON.stringify(IDENTITY.map((key) => (json as JsonObject)[key] ?? null));
}

export function onlyOwn(api: string, answer: Json, prefix: string): Json {
  let result = inOrder(api, answer);
  for (const [path, key] of LISTS[api] ?? []) result = filtered(result, path, key, prefix);
  return result;
}

function filtered(json: Json, path: readonly string[], key: string, prefix: string): Json {
  const [field, ...rest] = path;
  if (typeof json !== "object" || json === null) return json;
  const object = json as JsonObject;
  const elements = object[field!];
  if (!Array.isArray(elements)) return json;
  const kept = rest.length > 0
    ? elements.map((element) => filtered(element, rest, key, prefix))
    : elements.filter((element) => {
      const name = (element as JsonObject)[key];
      if (typeof name !== "string") return true;
      if (name === TRANSACTIONS) return false;
      if (key === "groupId" && NO_NAME.test(name)) return false;
      return !CASE_NAME.test(name) || name.includes(prefix);
    });
  return { ...object, [field!]: kept };
}
