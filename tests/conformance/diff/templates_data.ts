/**
 * Templates of what reads and writes records and describes topics.
 *
 * @module
 */

import { type JsonObject, type Step, step } from "./case.ts";
import { NOW_MS } from "./message_builder.ts";
import type { Template } from "./template.ts";

/** Makes the case's own topic, `$ct`, and learns its id. */
export const OWN_TOPIC: readonly Step[] = [
  step("CreateTopics", 7, {
    topics: [{ name: "$ct", numPartitions: 3, replicationFactor: 1 }],
    timeoutMs: 10_000,
  }),
  step("Metadata", 12, { topics: [{ name: "$ct" }], allowAutoTopicCreation: false }, {
    settles: true,
  }),
  // Kafka shows a topic a moment before it serves it.
  step("ListOffsets", 8, {
    replicaId: -1,
    topics: [{
      name: "$ct",
      partitions: [0, 1, 2].map((partitionIndex) => ({ partitionIndex, timestamp: -1 })),
    }],
  }, { settles: true }),
];

/** Two batches of an ordinary producer in partition 0 of the case's own topic. */
export const OWN_RECORDS: Step = step("Produce", 12, {
  acks: -1,
  timeoutMs: 10_000,
  topicData: [{
    name: "$ct",
    partitionData: [{
      index: 0,
      records: { batches: [{ records: ["a", "b", "c"] }] },
    }],
  }],
});

export const READ_OWN: Step = step("Fetch", 12, {
  maxWaitMs: 0,
  minBytes: 0,
  topics: [{
    topic: "$ct",
    partitions: [0, 1, 2].map((partition) => ({ partition, partitionMaxBytes: 1_048_576 })),
  }],
});

const OFFSETS_OF_OWN: Step = step("ListOffsets", 8, {
  replicaId: -1,
  topics: [{
    name: "$ct",
    partitions: [
      { partitionIndex: 0, timestamp: -2 },
      { partitionIndex: 0, timestamp: -1 },
    ],
  }],
});

const fetch = (more: JsonObject = {}): JsonObject => ({
  maxWaitMs: 0,
  minBytes: 0,
  topics: [{
    topic: "orders",
    topicId: "%id:orders%",
    partitions: [{ partition: 0, partitionMaxBytes: 1_048_576 }],
  }],
  ...more,
});

export const DATA_TEMPLATES: readonly Template[] = [
  {
    api: "Produce",
    changes: "topics",
    before: OWN_TOPIC,
    request: {
      acks: -1,
      timeoutMs: 1_000,
      topicData: [{
        name: "$ct",
        topicId: "%id:$ct%",
        partitionData: [{ index: 0, records: { batches: [{ records: ["v"] }] } }],
      }],
    },
    after: [READ_OWN],
  },
  { api: "Fetch", request: fetch() },
  // The last version that names topics.
  { api: "Fetch", from: 12, to: 12, request: fetch() },
  {
    api: "Fetch",
    from: 7,
    request: fetch({
      sessionEpoch: 0,
      forgottenTopicsData: [{ topic: "empty", topicId: "%id:empty%", partitions: [0] }],
    }),
  },
  {
    api: "ListOffsets",
    request: {
      replicaId: -1,
      topics: [{ name: "orders", partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
      timeoutMs: 1_000,
    },
  },
  {
    api: "ListOffsets",
    request: {
      replicaId: -1,
      topics: [{ name: "orders", partitions: [{ partitionIndex: 0, timestamp: NOW_MS }] }],
      timeoutMs: 1_000,
    },
  },
  {
    api: "OffsetForLeaderEpoch",
    request: {
      replicaId: -1,
      topics: [{
        topic: "orders",
        partitions: [{ partition: 0, leaderEpoch: "%epoch:orders%" }],
      }],
    },
  },
  {
    api: "DeleteRecords",
    changes: "topics",
    before: [...OWN_TOPIC, OWN_RECORDS],
    request: {
      topics: [{ name: "$ct", partitions: [{ partitionIndex: 0, offset: 2 }] }],
      timeoutMs: 1_000,
    },
    after: [OFFSETS_OF_OWN],
  },
  {
    api: "DescribeProducers",
    request: { topics: [{ name: "orders", partitionIndexes: [1] }] },
  },
  {
    api: "InitProducerId",
    request: { transactionalId: null, transactionTimeoutMs: 60_000 },
  },
];

export const TOPIC_TEMPLATES: readonly Template[] = [
  {
    api: "Metadata",
    request: {
      topics: [{ name: "orders", topicId: "00000000000000000000000000000000" }],
      allowAutoTopicCreation: false,
    },
  },
  {
    api: "Metadata",
    from: 4,
    request: { topics: [{ name: "$cunknown" }], allowAutoTopicCreation: true },
    after: [
      step("Metadata", 12, { topics: [{ name: "$cunknown" }], allowAutoTopicCreation: false }),
    ],
  },
  {
    api: "Metadata",
    from: 12,
    request: {
      topics: [{ name: null, topicId: "%id:orders%" }],
      allowAutoTopicCreation: false,
      includeTopicAuthorizedOperations: true,
    },
  },
  {
    api: "CreateTopics",
    changes: "topics",
    request: {
      topics: [{
        name: "$ct",
        numPartitions: 2,
        replicationFactor: 1,
        configs: [{ name: "retention.ms", value: "1000" }],
      }],
      timeoutMs: 10_000,
    },
    after: [
      step("DescribeConfigs", 4, {
        resources: [{ resourceType: 2, resourceName: "$ct", configurationKeys: ["retention.ms"] }],
      }),
      step("Metadata", 12, { topics: [{ name: "$ct" }], allowAutoTopicCreation: false }),
    ],
  },
  {
    api: "CreateTopics",
    changes: "topics",
    request: {
      topics: [{
        name: "$ct",
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [{ partitionIndex: 0, brokerIds: [1] }],
      }],
      timeoutMs: 10_000,
    },
    after: [
      step("Metadata", 12, { topics: [{ name: "$ct" }], allowAutoTopicCreation: false }),
    ],
  },
  {
    api: "CreatePartitions",
    changes: "topics",
    before: OWN_TOPIC,
    request: {
      topics: [{ name: "$ct", count: 5, assignments: null }],
      timeoutMs: 10_000,
    },
    after: [OWN_TOPIC[1]!],
  },
  {
    api: "CreatePartitions",
    changes: "topics",
    before: OWN_TOPIC,
    request: {
      topics: [{ name: "$ct", count: 4, assignments: [{ brokerIds: [1] }] }],
      timeoutMs: 10_000,
    },
    after: [OWN_TOPIC[1]!],
  },
  {
    api: "DeleteTopics",
    changes: "topics",
    before: OWN_TOPIC,
    to: 5,
    request: { topicNames: ["$ct"], timeoutMs: 10_000 },
    after: [OWN_TOPIC[1]!],
  },
  {
    api: "DeleteTopics",
    changes: "topics",
    before: OWN_TOPIC,
    from: 6,
    request: { topics: [{ name: "$ct" }], timeoutMs: 10_000 },
    after: [OWN_TOPIC[1]!],
  },
  {
    api: "DeleteTopics",
    changes: "topics",
    before: OWN_TOPIC,
    from: 6,
    request: { topics: [{ name: null, topicId: "%id:$ct%" }], timeoutMs: 10_000 },
    after: [OWN_TOPIC[1]!],
  },
  {
    api: "DescribeTopicPartitions",
    request: { topics: [{ name: "orders" }], responsePartitionLimit: 2 },
  },
  {
    api: "DescribeTopicPartitions",
    request: {
      topics: [{ name: "orders" }, { name: "empty" }],
      cursor: { topicName: "orders", partitionIndex: 1 },
    },
  },
  {
    api: "ElectLeaders",
    request: { topicPartitions: [{ topic: "orders", partitions: [0] }], timeoutMs: 10_000 },
  },
  {
    api: "ListPartitionReassignments",
    request: { topics: [{ name: "orders", partitionIndexes: [0] }] },
  },
  {
    api: "DescribeLogDirs",
    request: { topics: [{ topic: "orders", partitions: [0] }] },
  },
];
