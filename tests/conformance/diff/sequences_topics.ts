/**
 * Families of requests: topics that come and go, and records that are read in every way.
 *
 * @module
 */

import { type JsonObject, type Step, step } from "./case.ts";
import type { Family } from "./family.ts";
import { OWN_RECORDS } from "./templates_data.ts";
import { OWN_TOPIC } from "./templates_topics.ts";

const SETTLES = { settles: true } as const;
const [CREATE, SHOWN, SERVED] = OWN_TOPIC as [Step, Step, Step];
/** The id that the topic had at first. */
const FIRST_ID = "%1:topics[0].topicId%";

const fetchOf = (version: number, topic: JsonObject, more: JsonObject = {}): Step =>
  step("Fetch", version, { maxWaitMs: 0, minBytes: 0, topics: [topic], ...more }, SETTLES);

const read = (partition: number, fetchOffset = 0, partitionMaxBytes = 1_000_000) => ({
  partition,
  fetchOffset,
  partitionMaxBytes,
});

const produceTo = (version: number, topic: JsonObject, ...indexes: number[]): Step =>
  step("Produce", version, {
    acks: -1,
    timeoutMs: 5_000,
    topicData: [{
      ...topic,
      partitionData: indexes.map((index) => ({
        index,
        records: { batches: [{ records: ["v", "w"] }] },
      })),
    }],
  });

export const TOPICS: Family = {
  name: "topics",
  opening: [...OWN_TOPIC, OWN_RECORDS],
  requests: [
    [step("DeleteTopics", 6, { topics: [{ name: "$ct" }], timeoutMs: 10_000 }), SHOWN, SERVED],
    [
      step("DeleteTopics", 6, { topics: [{ topicId: FIRST_ID, name: null }], timeoutMs: 10_000 }),
      SHOWN,
      SERVED,
    ],
    [CREATE, SHOWN, SERVED],
    [
      step("CreatePartitions", 3, { topics: [{ name: "$ct", count: 4 }], timeoutMs: 10_000 }),
      SHOWN,
      SERVED,
    ],
    step("CreatePartitions", 3, { topics: [{ name: "$ct", count: 2 }], timeoutMs: 10_000 }),
    produceTo(9, { name: "$ct" }, 0, 3),
    produceTo(13, { topicId: FIRST_ID }, 1),
    produceTo(13, { topicId: "%id:$ct%" }, 2, 0),
    fetchOf(12, { topic: "$ct", partitions: [read(0), read(3)] }),
    fetchOf(13, { topicId: FIRST_ID, partitions: [read(0)] }),
    fetchOf(17, { topicId: "%id:$ct%", partitions: [read(0), read(1)] }),
    step("Metadata", 12, { topics: [{ topicId: FIRST_ID, name: null }] }, SETTLES),
    step(
      "Metadata",
      9,
      { topics: [{ name: "$ct" }], includeTopicAuthorizedOperations: true },
      SETTLES,
    ),
    step("DescribeTopicPartitions", 0, { topics: [{ name: "$ct" }] }, SETTLES),
    step("DescribeLogDirs", 4, { topics: [{ topic: "$ct", partitions: [0, 3] }] }, SETTLES),
    step("DescribeProducers", 0, { topics: [{ name: "$ct", partitionIndexes: [0, 3] }] }, SETTLES),
    step("ListOffsets", 7, {
      replicaId: -1,
      topics: [{
        name: "$ct",
        partitions: [-1, -2, -3].map((timestamp) => ({ partitionIndex: 0, timestamp })),
      }],
    }, SETTLES),
    step("DeleteRecords", 2, {
      topics: [{
        name: "$ct",
        partitions: [{ partitionIndex: 0, offset: 1 }, { partitionIndex: 3, offset: -1 }],
      }],
      timeoutMs: 5_000,
    }),
    step("ElectLeaders", 2, {
      topicPartitions: [{ topic: "$ct", partitions: [0, 3] }],
      timeoutMs: 5_000,
    }),
    step("DescribeConfigs", 4, {
      resources: [{ resourceType: 2, resourceName: "$ct", configurationKeys: ["retention.ms"] }],
    }, SETTLES),
    step("OffsetForLeaderEpoch", 4, {
      replicaId: -1,
      topics: [{ topic: "$ct", partitions: [{ partition: 0, leaderEpoch: "%epoch%" }] }],
    }, SETTLES),
  ],
};

const BATCHES: Step = step("Produce", 9, {
  acks: -1,
  timeoutMs: 5_000,
  topicData: [{
    name: "$ct",
    partitionData: [0, 1].map((index) => ({
      index,
      records: {
        batches: [{
          records: [{ value: "a", timestamp: "%now%" }, { value: "b", timestamp: "%now+50%" }],
        }],
      },
    })),
  }],
});

const LATER_BATCH: Step = step("Produce", 9, {
  acks: 1,
  timeoutMs: 5_000,
  topicData: [{
    name: "$ct",
    partitionData: [{
      index: 0,
      records: {
        batches: [{
          records: [
            { key: "k", value: null, timestamp: "%now+20%" },
            { key: "l", value: "d", timestamp: "%now+10%" },
          ],
        }],
      },
    }],
  }],
});

const offsetsAt = (...timestamps: (number | string)[]): Step =>
  step("ListOffsets", 8, {
    replicaId: -1,
    topics: [{
      name: "$ct",
      partitions: timestamps.map((timestamp) => ({ partitionIndex: 0, timestamp })),
    }],
  });

const both = (offset: number, max = 1_000_000) => ({
  topic: "$ct",
  partitions: [read(0, offset, max), read(1, offset, max)],
});

export const READS: Family = {
  name: "reads",
  opening: [...OWN_TOPIC, BATCHES, LATER_BATCH],
  requests: [
    BATCHES,
    LATER_BATCH,
    fetchOf(12, both(0)),
    fetchOf(12, both(1)),
    fetchOf(12, both(2)),
    fetchOf(12, both(3)),
    fetchOf(12, both(4)),
    fetchOf(12, both(99)),
    fetchOf(12, both(-1)),
    fetchOf(12, both(0, 1)),
    fetchOf(12, both(0, 0)),
    fetchOf(12, both(0), { maxBytes: 1 }),
    fetchOf(12, both(0), { maxBytes: 100 }),
    fetchOf(4, both(0), { isolationLevel: 1 }),
    fetchOf(11, both(2), { isolationLevel: 1 }),
    fetchOf(12, both(4), { minBytes: 1, maxWaitMs: 50 }),
    offsetsAt("%now%", "%now+5%", "%now+15%", "%now+30%", "%now+51%"),
    offsetsAt(-1, -2, -3, -4, -5),
    offsetsAt(-6, 0),
    step("DeleteRecords", 2, {
      topics: [{ name: "$ct", partitions: [{ partitionIndex: 0, offset: 1 }] }],
      timeoutMs: 5_000,
    }),
    step("DeleteRecords", 2, {
      topics: [{ name: "$ct", partitions: [{ partitionIndex: 0, offset: -1 }] }],
      timeoutMs: 5_000,
    }),
  ],
};
