/**
 * Sequences with a point: what was once found, and what no chance would put together.
 *
 * @module
 */

import { type Case, type JsonObject, type Step, step } from "./case.ts";
import { OWN_RECORDS } from "./templates_data.ts";
import { OWN_COMMITS, OWN_GROUP } from "./templates_groups.ts";
import { OWN_TOPIC } from "./templates_topics.ts";

const fetch = (more: JsonObject): Step =>
  step("Fetch", 12, { maxWaitMs: 0, sessionId: "%3:sessionId%", ...more });

const byId = (more: JsonObject): Step => ({ ...fetch(more), version: 17 });

const setForAll = (name: string, value: string | null, configOperation = 0): Step =>
  step("IncrementalAlterConfigs", 1, {
    resources: [{
      resourceType: 4,
      resourceName: "",
      configs: [{ name, configOperation, value }],
    }],
  });

const described = (name: string): Step =>
  step("DescribeConfigs", 4, {
    resources: ["", "1"].map((resourceName) => ({
      resourceType: 4,
      resourceName,
      configurationKeys: [name],
    })),
    includeSynonyms: true,
  }, { settles: true });

/** What happens while a fetch waits. */
const LONG_POLL_ENDS: Readonly<Record<string, readonly Step[]>> = {
  records: [OWN_RECORDS],
  "an error": [step("DeleteTopics", 5, { topicNames: ["$ct"], timeoutMs: 10_000 })],
  nothing: [],
};

export const STORIES: readonly Case[] = [
  {
    name: "a subscription that says version 1 and has the fields of version 0",
    steps: [
      step("JoinGroup", 3, {
        ...OWN_GROUP[0]!.request,
        protocols: [{
          name: "range",
          metadata: { subscription: ["orders"], version: 0, says: 1 },
        }],
      }),
      OWN_GROUP[1]!,
      step("OffsetDelete", 0, {
        groupId: "$cg",
        topics: [
          { name: "orders", partitions: [{ partitionIndex: 0 }] },
          { name: "empty", partitions: [{ partitionIndex: 0 }] },
        ],
      }),
    ],
  },
  {
    name: "a refused commit",
    steps: [
      step("OffsetCommit", 9, {
        groupId: "$cg",
        topics: [{
          name: "orders",
          partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: "$c~5000" }],
        }],
      }),
      step("DeleteGroups", 2, { groupsNames: ["$cg"] }),
    ],
  },
  {
    name: "several partitions of no topic",
    steps: [step("Fetch", 13, { topics: [{ partitions: [{ partition: 0 }, { partition: 1 }] }] })],
  },
  {
    name: "a batch of an unknown format beside another one",
    steps: [
      ...OWN_TOPIC,
      step("Produce", 12, {
        acks: -1,
        timeoutMs: 5_000,
        topicData: [{
          name: "$ct",
          partitionData: [
            { index: 0, records: { batches: [{ records: ["v"], set: { magic: 3 } }] } },
            { index: 1, records: { batches: [{ records: ["v"] }] } },
          ],
        }],
      }),
    ],
  },
  {
    name: "the newest timestamp where the first records were deleted",
    steps: [
      ...OWN_TOPIC,
      OWN_RECORDS,
      step("DeleteRecords", 2, {
        topics: [{ name: "$ct", partitions: [{ partitionIndex: 0, offset: 2 }] }],
        timeoutMs: 5_000,
      }),
      step("ListOffsets", 8, {
        replicaId: -1,
        topics: [{ name: "$ct", partitions: [{ partitionIndex: 0, timestamp: -3 }] }],
      }),
    ],
  },
  {
    name: "one group twice",
    steps: [
      OWN_COMMITS,
      step("OffsetFetch", 8, {
        groups: [
          { groupId: "$cg", topics: [{ name: "orders", partitionIndexes: [0] }] },
          { groupId: "$cg", topics: [{ name: "orders", partitionIndexes: [1] }] },
        ],
      }),
    ],
  },
  {
    name: "a partition is named and forgotten in one request of a session",
    steps: [
      ...OWN_TOPIC,
      fetch({
        sessionId: 0,
        sessionEpoch: 0,
        topics: [{ topic: "$ct", partitions: [{ partition: 0 }] }],
      }),
      fetch({
        sessionEpoch: 1,
        topics: [{ topic: "$ct", partitions: [{ partition: 0 }, { partition: 1 }] }],
        forgottenTopicsData: [{ topic: "$ct", partitions: [0, 1] }],
      }),
      fetch({ sessionEpoch: 2 }),
    ],
  },
  ...["records", "an error", "nothing"].map((what): Case => ({
    name: `a long poll that ends with ${what}`,
    steps: [
      ...OWN_TOPIC,
      step("Fetch", 12, {
        maxWaitMs: what === "nothing" ? 200 : 1_400,
        minBytes: 1,
        topics: [{ topic: "$ct", partitions: [{ partition: 0 }] }],
      }, { connection: 1, pending: true }),
      ...LONG_POLL_ENDS[what]!,
      step("Heartbeat", 4, { groupId: "$cg", memberId: "$cm", generationId: 1 }, { awaits: [3] }),
    ],
  })),
  {
    name: "an offset that is no longer there, read committed",
    steps: [
      ...OWN_TOPIC,
      OWN_RECORDS,
      step("DeleteRecords", 2, {
        topics: [{ name: "$ct", partitions: [{ partitionIndex: 0, offset: -1 }] }],
        timeoutMs: 5_000,
      }),
      step("Fetch", 12, {
        maxWaitMs: 0,
        isolationLevel: 1,
        topics: [{ topic: "$ct", partitions: [{ partition: 0 }] }],
      }),
    ],
  },
  {
    name: "several acks that are none, with and without a batch",
    steps: [
      ...OWN_TOPIC,
      step("Produce", 12, {
        acks: 2,
        timeoutMs: 5_000,
        topicData: [{
          name: "$ct",
          partitionData: [
            { index: 0, records: { batches: [{ records: ["v"], set: { magic: 1 } }] } },
            { index: 1, records: { batches: [{ records: ["v"] }] } },
          ],
        }],
      }),
    ],
  },
  {
    name: "a session by id of a topic that was made again",
    steps: [
      ...OWN_TOPIC,
      byId({ sessionId: 0, sessionEpoch: 0, topics: [{ topicId: "%id:$ct%", partitions: [{}] }] }),
      step("DeleteTopics", 5, { topicNames: ["$ct"], timeoutMs: 10_000 }),
      ...OWN_TOPIC.slice(1),
      ...OWN_TOPIC,
      byId({ sessionEpoch: 1 }),
      byId({ sessionEpoch: 2, topics: [{ topicId: "%id:$ct%", partitions: [{}] }] }),
    ],
  },
  ...["0", null].map((value): Case => ({
    name: `several configs of a topic that are wrong, one of them ${value}`,
    steps: [
      ...OWN_TOPIC,
      step("IncrementalAlterConfigs", 1, {
        resources: [{
          resourceType: 2,
          resourceName: "$ct",
          configs: [
            { name: "min.insync.replicas", configOperation: 0, value },
            { name: "num.io.threads", configOperation: 0, value: "0" },
          ],
        }],
      }),
    ],
  })),
  {
    name: "a setting of all brokers is changed and given back",
    steps: [
      described("log.cleaner.backoff.ms"),
      setForAll("log.cleaner.backoff.ms", "12000"),
      described("log.cleaner.backoff.ms"),
      setForAll("log.cleaner.backoff.ms", "x"),
      setForAll("log.cleaner.backoff.ms", "1", 2),
      setForAll("log.cleaner.backoff.ms", null, 1),
      described("log.cleaner.backoff.ms"),
      setForAll("metric.reporters", "a.b.C", 3),
      setForAll("node.id", "5"),
      setForAll("$cunknown", "5"),
      setForAll("log.retention.hours", "5"),
    ],
  },
];
