/**
 * Sequences of requests that belong together: groups, producers, configs, fetch sessions. The fixed ones
 * are stories with a point; a seed makes others out of the same requests.
 *
 * @module
 */

import type { Case, JsonObject, Step } from "./case.ts";
import { step } from "./case.ts";
import type { Family } from "./family.ts";
import { CONSUMER_GROUP, MIXED_GROUP } from "./templates_consumer_groups.ts";
import { LOST_OFFSETS, OFFSETS, PENDING_MEMBER, TWO_MEMBERS } from "./sequences_groups.ts";
import { STORIES } from "./stories.ts";
import { OWN_GROUP } from "./templates_groups.ts";
import { READS, TOPICS } from "./sequences_topics.ts";
import { SESSIONS, SESSIONS_BY_ID } from "./sequences_sessions.ts";
import { READ_OWN } from "./templates_data.ts";
import { OWN_TOPIC } from "./templates_topics.ts";

const join = (more: JsonObject = {}, version = 5): Step =>
  step("JoinGroup", version, {
    groupId: "$cg",
    sessionTimeoutMs: 60_000,
    rebalanceTimeoutMs: 30_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: { subscription: ["orders"] } }],
    ...more,
  });

const commit = (more: JsonObject, version = 9): Step =>
  step("OffsetCommit", version, {
    groupId: "$cg",
    topics: [{ name: "orders", partitions: [{ partitionIndex: 0, committedOffset: 1 }] }],
    ...more,
  });

const AS_MEMBER = { generationId: "%0:generationId%", memberId: "%0:memberId%" };

const GROUP: Family = {
  name: "group",
  opening: OWN_GROUP,
  requests: [
    join({ memberId: "%0:memberId%" }, 4),
    step("Heartbeat", 4, { groupId: "$cg", ...AS_MEMBER }),
    step("Heartbeat", 4, { groupId: "$cg", ...AS_MEMBER, generationId: "%0:generationId+1%" }),
    step("SyncGroup", 4, { groupId: "$cg", ...AS_MEMBER }),
    step("SyncGroup", 5, {
      groupId: "$cg",
      ...AS_MEMBER,
      protocolType: "consumer",
      protocolName: "range",
      assignments: [{ memberId: "%0:memberId%", assignment: { text: "again" } }],
    }),
    commit({ generationIdOrMemberEpoch: "%0:generationId%", memberId: "%0:memberId%" }),
    commit({ generationIdOrMemberEpoch: "%0:generationId+1%", memberId: "%0:memberId%" }),
    commit({}),
    step("OffsetFetch", 8, { groups: [{ groupId: "$cg", topics: null }] }),
    step("OffsetFetch", 7, { groupId: "$cg", topics: null, requireStable: true }),
    step("OffsetDelete", 0, {
      groupId: "$cg",
      topics: [{ name: "orders", partitions: [{ partitionIndex: 0 }] }, {
        name: "empty",
        partitions: [{ partitionIndex: 0 }],
      }],
    }),
    step("DescribeGroups", 5, { groups: ["$cg"], includeAuthorizedOperations: true }),
    step("ListGroups", 4, { statesFilter: ["Stable", "Empty"] }),
    step("DeleteGroups", 2, { groupsNames: ["$cg"] }),
    step("LeaveGroup", 2, { groupId: "$cg", memberId: "%0:memberId%" }),
    step("LeaveGroup", 4, { groupId: "$cg", members: [{ memberId: "%0:memberId%" }] }),
  ],
};

const STATIC = { groupInstanceId: "$ci" };

const STATIC_GROUP: Family = {
  name: "static member",
  opening: [
    join(STATIC),
    step("SyncGroup", 4, {
      groupId: "$cg",
      ...AS_MEMBER,
      ...STATIC,
      assignments: [{ memberId: "%0:memberId%", assignment: { text: "mine" } }],
    }),
  ],
  requests: [
    join(STATIC),
    join({ ...STATIC, memberId: "%0:memberId%" }),
    join({ ...STATIC, protocols: [{ name: "range", metadata: { subscription: ["empty"] } }] }),
    step("Heartbeat", 4, { groupId: "$cg", ...AS_MEMBER, ...STATIC }),
    step("Heartbeat", 4, { groupId: "$cg", ...AS_MEMBER, groupInstanceId: "$cother" }),
    step("SyncGroup", 4, { groupId: "$cg", ...AS_MEMBER, ...STATIC }),
    commit({
      generationIdOrMemberEpoch: "%0:generationId%",
      memberId: "%0:memberId%",
      ...STATIC,
    }),
    step("LeaveGroup", 4, { groupId: "$cg", members: [{ memberId: "", ...STATIC }] }),
    step("LeaveGroup", 4, {
      groupId: "$cg",
      members: [{ memberId: "", ...STATIC }, { memberId: "$cnobody" }, { memberId: "", ...STATIC }],
    }),
    step("DescribeGroups", 5, { groups: ["$cg"] }),
  ],
};

const produce = (batch: JsonObject, more: JsonObject = {}, version = 12, index = 0): Step =>
  step("Produce", version, {
    acks: -1,
    timeoutMs: 5_000,
    topicData: [{
      name: "$ct",
      partitionData: [{
        index,
        records: { batches: [{ records: ["v"], ...PRODUCER, ...batch } as never] },
      }],
    }],
    ...more,
  });

const PRODUCER = {
  producerId: "%0:producerId%",
  producerEpoch: "%0:producerEpoch%",
  baseSequence: 0,
};

const PRODUCERS: Family = {
  name: "producer",
  opening: [
    step("InitProducerId", 4, { transactionalId: null, transactionTimeoutMs: 60_000 }),
    ...OWN_TOPIC,
  ],
  requests: [
    produce({}),
    produce({ baseSequence: 1 }),
    produce({ baseSequence: 2, records: ["w", "x"] }),
    produce({ baseSequence: 2147483647, records: ["w", "x"] }),
    produce({ baseSequence: -1 }),
    produce({ producerEpoch: "%0:producerEpoch+1%" }),
    produce({ producerEpoch: -1 }),
    produce({ producerId: -1, producerEpoch: -1, baseSequence: -1 }),
    produce({ isTransactional: true }),
    produce({ isControl: true }),
    produce({ records: [{ value: "old", timestamp: 1000 }, { value: "new", timestamp: 2000 }] }),
    produce({ set: { maxTimestamp: 12_345 } }),
    produce({ set: { attributes: 8 } }),
    produce({ set: { recordCount: 5 } }),
    produce({ set: { lastOffsetDelta: 5 } }),
    produce({ set: { magic: 1 } }),
    produce({ set: { magic: 3 } }),
    produce({ set: { attributes: 1 } }),
    produce({ crc: false, set: { baseTimestamp: 5 } }),
    ...["gzip", "snappy", "lz4", "zstd"].map((compression) =>
      produce({ compression, records: ["compressed", "as well"] })
    ),
    produce({ compression: "zstd" }, {}, 6),
    produce({ compression: "lz4", set: { lastOffsetDelta: 3 } }),
    produce({}, { acks: 1 }),
    produce({ baseSequence: 1 }, { acks: 0 }),
    produce({ baseSequence: 5 }, { acks: 0 }),
    // Another partition has numbers of its own.
    produce({ baseSequence: 0 }, {}, 12, 1),
    produce({ baseSequence: 4 }, {}, 12, 1),
    step("DescribeProducers", 0, { topics: [{ name: "$ct", partitionIndexes: [0] }] }),
    step("DescribeProducers", 0, { topics: [{ name: "$ct", partitionIndexes: [1, 0, 9, 1] }] }),
    READ_OWN,
    step("ListOffsets", 8, {
      replicaId: -1,
      topics: [{ name: "$ct", partitions: [{ partitionIndex: 0, timestamp: -3 }] }],
    }),
    step("ListOffsets", 8, {
      replicaId: -1,
      topics: [{ name: "$ct", partitions: [{ partitionIndex: 0, timestamp: 1500 }] }],
    }),
    step("DeleteRecords", 2, {
      topics: [{ name: "$ct", partitions: [{ partitionIndex: 0, offset: -1 }] }],
      timeoutMs: 5_000,
    }),
    step("InitProducerId", 4, {
      transactionalId: null,
      transactionTimeoutMs: 60_000,
      producerId: "%0:producerId%",
      producerEpoch: "%0:producerEpoch%",
    }),
  ],
};

const set = (name: string, value: string | null, configOperation = 0, more: JsonObject = {}) =>
  step("IncrementalAlterConfigs", 1, {
    resources: [{
      resourceType: 2,
      resourceName: "$ct",
      configs: [{ name, configOperation, value }],
    }],
    ...more,
  });

const CONFIGS: Family = {
  name: "configs",
  opening: OWN_TOPIC,
  requests: [
    set("retention.ms", "1000"),
    set("retention.ms", null, 1),
    set("retention.ms", "1000", 0, { validateOnly: true }),
    set("cleanup.policy", "compact"),
    set("cleanup.policy", "compact", 2),
    set("cleanup.policy", "delete", 3),
    set("cleanup.policy", "delete,compact", 3),
    set("cleanup.policy", "", 0),
    set("max.message.bytes", "100"),
    set("min.insync.replicas", "2"),
    set("min.insync.replicas", "0"),
    set("message.timestamp.type", "LogAppendTime"),
    set("message.timestamp.type", "Never"),
    set("compression.type", "zstd"),
    set("$cunknown", "1"),
    step("AlterConfigs", 2, {
      resources: [{
        resourceType: 2,
        resourceName: "$ct",
        configs: [{ name: "retention.bytes", value: "5" }],
      }],
    }),
    {
      ...step("DescribeConfigs", 4, {
        resources: [{
          resourceType: 2,
          resourceName: "$ct",
          configurationKeys: ["retention.ms", "retention.bytes", "cleanup.policy"],
        }],
      }),
      settles: true,
    },
  ],
};

export const FAMILIES: readonly Family[] = [
  GROUP,
  CONSUMER_GROUP,
  MIXED_GROUP,
  STATIC_GROUP,
  PRODUCERS,
  CONFIGS,
  SESSIONS,
  SESSIONS_BY_ID,
  TWO_MEMBERS,
  PENDING_MEMBER,
  OFFSETS,
  LOST_OFFSETS,
  TOPICS,
  READS,
];

/** Each family's requests one by one, and each followed by every other that reveals more. */
export function* sequenceCases(apis: ReadonlySet<string> | null): Generator<Case> {
  for (const { name, opening, requests } of FAMILIES) {
    if (!hasApi(requests.flat(), apis)) continue;
    for (const at of requests.keys()) {
      // Different neighbours for each, so that many orders are met.
      const chosen = [at, (at * 7 + 3) % requests.length, (at * 5 + 1) % requests.length];
      const steps = chosen.flatMap((index) => requests[index]!);
      yield { name: `${name} ${at}`, steps: [...opening, ...steps] };
    }
  }
  for (const story of STORIES) if (hasApi(story.steps, apis)) yield story;
}

/** Whether one of the steps is of one of the APIs; of any, where it is null. */
export function hasApi(steps: readonly Step[], apis: ReadonlySet<string> | null): boolean {
  return apis === null || steps.some(({ api }) => apis.has(api));
}
