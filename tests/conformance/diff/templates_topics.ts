/**
 * Templates of what makes, changes, describes and deletes topics.
 *
 * @module
 */

import { type Step, step } from "./case.ts";
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
    api: "CreateTopics",
    changes: "topics",
    request: {
      topics: [{
        name: "$ct",
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [
          { partitionIndex: 0, brokerIds: [1] },
          { partitionIndex: 1, brokerIds: [1] },
        ],
        configs: [{ name: "cleanup.policy", value: "compact,delete" }],
      }],
      timeoutMs: 10_000,
      validateOnly: true,
    },
  },
  {
    api: "CreateTopics",
    changes: "topics",
    isAlike: true,
    before: OWN_TOPIC,
    request: {
      topics: [
        { name: "$ct", numPartitions: 1, replicationFactor: 1 },
        { name: "$c.a", numPartitions: 1, replicationFactor: 1 },
        { name: "$c_a", numPartitions: 1, replicationFactor: 1 },
      ],
      timeoutMs: 10_000,
    },
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
    api: "DescribeTopicPartitions",
    isAlike: true,
    request: {
      topics: [{ name: "empty" }, { name: "$cunknown" }, { name: "orders" }],
      responsePartitionLimit: 1,
    },
  },
  { api: "ElectLeaders", request: { topicPartitions: null, timeoutMs: 10_000 } },
  {
    api: "ElectLeaders",
    from: 1,
    isAlike: true,
    request: {
      electionType: 1,
      topicPartitions: [{ topic: "orders", partitions: [0, 1, 7] }],
      timeoutMs: 10_000,
    },
  },
  { api: "ListPartitionReassignments", request: { topics: null } },
  {
    api: "AlterPartitionReassignments",
    changes: "topics",
    before: OWN_TOPIC,
    request: {
      topics: [{ name: "$ct", partitions: [{ partitionIndex: 0, replicas: [1] }] }],
      timeoutMs: 10_000,
    },
    after: [
      step("ListPartitionReassignments", 0, {
        topics: [{ name: "$ct", partitionIndexes: [0, 1] }],
        timeoutMs: 10_000,
      }),
    ],
  },
  { api: "DescribeLogDirs", request: { topics: null } },
  {
    api: "Metadata",
    request: { topics: null, allowAutoTopicCreation: false },
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
