/**
 * Templates of what reads and writes records.
 *
 * @module
 */

import { type JsonObject, type Step, step } from "./case.ts";
import type { Template } from "./template.ts";
import { OWN_TOPIC } from "./templates_topics.ts";

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

/** The case's own topic with configs of its own. */
function ownTopicWith(...configs: JsonObject[]): readonly Step[] {
  const [create, ...rest] = OWN_TOPIC;
  const [topic] = create!.request.topics as readonly JsonObject[];
  return [
    { ...create!, request: { ...create!.request, topics: [{ ...topic, configs }] } },
    ...rest,
  ];
}

const producing = (...batches: JsonObject[]): JsonObject => ({
  acks: -1,
  timeoutMs: 1_000,
  topicData: [{
    name: "$ct",
    topicId: "%id:$ct%",
    partitionData: [{ index: 0, records: { batches } }],
  }],
});

/** A produce to a topic with one config; the rest is the template's. */
function producingTo(name: string, value: string, ...batches: JsonObject[]): Template {
  return {
    api: "Produce",
    changes: "topics",
    before: ownTopicWith({ name, value }),
    request: producing(...batches),
    after: [READ_OWN],
    isAlike: true,
  };
}

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

const DELETE_OWN: Step = step("DeleteRecords", 2, {
  topics: [{ name: "$ct", partitions: [{ partitionIndex: 0, offset: 2 }] }],
  timeoutMs: 5_000,
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
    request: producing({ records: ["v"] }),
    after: [READ_OWN],
  },
  producingTo("cleanup.policy", "compact", { records: [{ key: "k", value: null }] }),
  producingTo("cleanup.policy", "compact", { records: ["no key"] }),
  producingTo("message.timestamp.type", "LogAppendTime", { records: ["v"] }),
  producingTo("max.message.bytes", "100", { records: ["a value that is longer than that is"] }),
  producingTo("min.insync.replicas", "2", { records: ["v"] }),
  producingTo("message.timestamp.after.max.ms", "1000", {
    records: [{ value: "new", timestamp: "%now+7200000%" }, "v"],
  }),
  producingTo("message.timestamp.before.max.ms", "1000", {
    records: [{ value: "old", timestamp: 1_000 }, "v"],
  }),
  producingTo("compression.type", "gzip", { records: ["v"] }),
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
      topics: [{ name: "orders", partitions: [{ partitionIndex: 0, timestamp: "%now%" }] }],
      timeoutMs: 1_000,
    },
  },
  {
    api: "OffsetForLeaderEpoch",
    request: {
      replicaId: -1,
      topics: [{
        topic: "orders",
        partitions: [{ partition: 0, leaderEpoch: "%epoch%" }],
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
    api: "ListOffsets",
    isAlike: true,
    before: [...OWN_TOPIC, OWN_RECORDS, DELETE_OWN],
    request: {
      replicaId: -1,
      topics: [{ name: "$ct", partitions: [{ partitionIndex: 0, timestamp: -2 }] }],
      timeoutMs: 1_000,
    },
  },
  {
    api: "Fetch",
    from: 12,
    isAlike: true,
    before: [...OWN_TOPIC, OWN_RECORDS, DELETE_OWN],
    request: {
      maxWaitMs: 0,
      topics: [{
        topic: "$ct",
        topicId: "%id:$ct%",
        partitions: [{ partition: 0, fetchOffset: 2, partitionMaxBytes: 1_048_576 }],
      }],
    },
  },
  {
    api: "OffsetForLeaderEpoch",
    isAlike: true,
    before: [...OWN_TOPIC, OWN_RECORDS],
    request: {
      replicaId: -1,
      topics: [{
        topic: "$ct",
        partitions: [{
          partition: 0,
          currentLeaderEpoch: "%epoch%",
          leaderEpoch: "%epoch%",
        }],
      }],
    },
  },
  {
    api: "DescribeProducers",
    request: { topics: [{ name: "orders", partitionIndexes: [1] }] },
  },
  {
    api: "InitProducerId",
    request: { transactionalId: null, transactionTimeoutMs: 60_000 },
  },
  {
    api: "InitProducerId",
    from: 3,
    before: [step("InitProducerId", 4, { transactionalId: null, transactionTimeoutMs: 60_000 })],
    request: {
      transactionalId: null,
      transactionTimeoutMs: 60_000,
      producerId: "%0:producerId%",
      producerEpoch: "%0:producerEpoch%",
    },
  },
];
