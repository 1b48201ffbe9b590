/**
 * Templates of groups whose coordinator assigns (KIP-848), and a family of requests: two members that share a topic.
 *
 * Every member reads `orders`, of three partitions. Kafka's interval between two target assignments is 0 in the fixture.
 *
 * @module
 */

import { type Json, type JsonObject, type Step, step } from "./case.ts";
import type { Family } from "./family.ts";
import type { Template } from "./template.ts";

const joinOf = (memberId: string, more: JsonObject = {}): JsonObject => ({
  groupId: "$cg",
  memberId,
  memberEpoch: 0,
  rebalanceTimeoutMs: 30_000,
  subscribedTopicNames: ["orders"],
  topicPartitions: [],
  ...more,
});

const heartbeat = (request: JsonObject, how: Partial<Step> = {}): Step =>
  step("ConsumerGroupHeartbeat", 1, { groupId: "$cg", ...request }, how);

const join = (memberId: string, more: JsonObject = {}): Step => heartbeat(joinOf(memberId, more));

const DESCRIBED: Step = step("ConsumerGroupDescribe", 1, { groupIds: ["$cg"] });

const owning = (...partitions: number[]) => ({
  topicPartitions: [{ topicId: "%id:orders%", partitions }],
});

/** One member that has everything. */
const ONE: readonly Step[] = [join("$cm")];
/** Its epoch. */
const EPOCH = "%0:memberEpoch%";

const offsets = (more: JsonObject, version = 9): Step =>
  step("OffsetCommit", version, {
    groupId: "$cg",
    topics: [{
      name: "orders",
      topicId: "%id:orders%",
      partitions: [0, 1, 2].map((partitionIndex) => ({ partitionIndex, committedOffset: 1 })),
    }],
    ...more,
  });

const fetched = (more: JsonObject): Step =>
  step("OffsetFetch", 9, { groups: [{ groupId: "$cg", topics: null, ...more }] });

export const CONSUMER_GROUP_TEMPLATES: readonly Template[] = [
  {
    api: "ConsumerGroupHeartbeat",
    changes: "groups",
    request: joinOf("$cm", {
      instanceId: "$ci",
      rackId: "r",
      serverAssignor: "uniform",
      subscribedTopicRegex: "none.*",
    }),
    after: [DESCRIBED],
  },
  {
    api: "ConsumerGroupHeartbeat",
    changes: "groups",
    before: ONE,
    request: { groupId: "$cg", memberId: "$cm", memberEpoch: EPOCH, ...owning(0, 1, 2) },
    after: [DESCRIBED],
  },
  {
    api: "ConsumerGroupDescribe",
    before: ONE,
    request: { groupIds: ["$cg"], includeAuthorizedOperations: false },
  },
];

const FIRST = { memberId: "$cm" };
const SECOND = { memberId: "$cn" };

export const CONSUMER_GROUP: Family = {
  name: "consumer group",
  opening: [...ONE, heartbeat({ ...FIRST, memberEpoch: EPOCH, ...owning(0, 1, 2) })],
  requests: [
    [join("$cn"), DESCRIBED, heartbeat({ ...SECOND, memberEpoch: EPOCH })],
    [join("$cn"), heartbeat({ ...FIRST, memberEpoch: EPOCH }), DESCRIBED],
    heartbeat({ ...FIRST, memberEpoch: EPOCH }),
    heartbeat({ ...FIRST, memberEpoch: 1 }),
    heartbeat({ ...FIRST, memberEpoch: 99 }),
    heartbeat({ ...SECOND, memberEpoch: EPOCH }),
    [heartbeat({ ...FIRST, memberEpoch: -1 }), DESCRIBED],
    heartbeat({ ...FIRST, memberEpoch: -2, instanceId: "$ci" }),
    [join("$cm"), DESCRIBED],
    [join("$cm", { subscribedTopicNames: ["empty"] }), DESCRIBED],
    [heartbeat({ ...FIRST, memberEpoch: EPOCH, subscribedTopicNames: ["empty"] }), DESCRIBED],
    [
      heartbeat({ ...FIRST, memberEpoch: EPOCH, subscribedTopicNames: [] }),
      DESCRIBED,
      heartbeat({ ...FIRST, memberEpoch: EPOCH, topicPartitions: [] }),
    ],
    [heartbeat({ ...FIRST, memberEpoch: EPOCH, serverAssignor: "range" }), DESCRIBED],
    [heartbeat({ ...FIRST, memberEpoch: EPOCH, rackId: "here" }), DESCRIBED],
    heartbeat({ ...FIRST, memberEpoch: EPOCH, ...joinedAgain() }),
    [join("$cs", { instanceId: "$ci" }), join("$cs2", { instanceId: "$ci" })],
    [
      join("$cs", { instanceId: "$ci" }),
      heartbeat({ memberId: "$cs", memberEpoch: -2, instanceId: "$ci" }),
      DESCRIBED,
      join("$cs2", { instanceId: "$ci" }),
      DESCRIBED,
      heartbeat({ memberId: "$cs", memberEpoch: -1, instanceId: "$ci" }),
    ],
    join("$cx", { subscribedTopicNames: null, subscribedTopicRegex: "(" }),
    join("$cx", { subscribedTopicNames: null, subscribedTopicRegex: "$c.*" }),
    [offsets({ memberId: "$cm", generationIdOrMemberEpoch: EPOCH }), fetched({})],
    offsets({ memberId: "$cm", generationIdOrMemberEpoch: EPOCH }, 8),
    offsets({ memberId: "$cm", generationIdOrMemberEpoch: 1 }),
    offsets({ memberId: "$cm", generationIdOrMemberEpoch: 99 }),
    offsets({ memberId: "$cn", generationIdOrMemberEpoch: EPOCH }),
    offsets({}),
    offsets({}, 7),
    [heartbeat({ ...FIRST, memberEpoch: -1 }), offsets({}), fetched({}), DESCRIBED],
    fetched({ memberId: "$cm", memberEpoch: EPOCH }),
    fetched({ memberId: "$cm", memberEpoch: 99 }),
    fetched({ memberId: "$cn", memberEpoch: EPOCH }),
    step("ListGroups", 5, { typesFilter: ["consumer"] }),
    step("ListGroups", 5, { statesFilter: ["Stable"], typesFilter: ["Classic"] }),
    step("DescribeGroups", 6, { groups: ["$cg"] }),
    step("DescribeGroups", 5, { groups: ["$cg"] }),
    step("ConsumerGroupDescribe", 0, { groupIds: ["live", "nobody"] }),
    step("DeleteGroups", 2, { groupsNames: ["$cg"] }),
    [
      heartbeat({ ...FIRST, memberEpoch: -1 }),
      step("DeleteGroups", 2, { groupsNames: ["$cg"] }),
      DESCRIBED,
    ],
    [
      offsets({ memberId: "$cm", generationIdOrMemberEpoch: EPOCH }),
      step("OffsetDelete", 0, {
        groupId: "$cg",
        topics: [
          { name: "orders", partitions: [{ partitionIndex: 0 }] },
          { name: "empty", partitions: [{ partitionIndex: 0 }] },
        ],
      }),
    ],
    step("Heartbeat", 4, { groupId: "$cg", memberId: "$cm", generationId: EPOCH }),
    step("SyncGroup", 5, { groupId: "$cg", memberId: "$cm", generationId: EPOCH }),
    step("LeaveGroup", 5, { groupId: "$cg", members: [{ memberId: "$cm" }] }),
    step("ConsumerGroupHeartbeat", 1, {
      ...joinOf("$cm"),
      groupId: "live",
    }),
  ],
};

/** What a leader of the classic protocol gives a member: all of `orders`. */
const ALL_OF_ORDERS = {
  hex: "0000" + "00000001" + "0006" + "6f7264657273" + "00000003" + "00000000" + "00000001" +
    "00000002" + "ffffffff",
};
const CLASSIC = { memberId: "%0:memberId%" };

const joinClassic = (more: JsonObject = {}): Step =>
  step("JoinGroup", 5, {
    groupId: "$cg",
    sessionTimeoutMs: 60_000,
    rebalanceTimeoutMs: 30_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: { subscription: ["orders"] } }],
    ...more,
  });

const syncClassic = (generationId: Json, more: JsonObject = {}): Step =>
  step("SyncGroup", 5, {
    groupId: "$cg",
    ...CLASSIC,
    generationId,
    protocolType: "consumer",
    protocolName: "range",
    ...more,
  });

/** A classic group with one member that has everything, which a member of the new protocol joins. */
export const MIXED_GROUP: Family = {
  name: "mixed group",
  opening: [
    joinClassic(),
    joinClassic(CLASSIC),
    syncClassic("%1:generationId%", {
      assignments: [{ ...CLASSIC, assignment: ALL_OF_ORDERS }],
    }),
    join("$cn"),
  ],
  requests: [
    DESCRIBED,
    step("DescribeGroups", 6, { groups: ["$cg"] }),
    step("ListGroups", 5, { typesFilter: [] }),
    step("Heartbeat", 4, { groupId: "$cg", ...CLASSIC, generationId: "%1:generationId%" }),
    step("Heartbeat", 4, { groupId: "$cg", ...CLASSIC, generationId: "%1:generationId+1%" }),
    [
      joinClassic(CLASSIC),
      DESCRIBED,
      syncClassic("%3:memberEpoch%"),
      heartbeat({ ...SECOND, memberEpoch: "%3:memberEpoch%" }),
      DESCRIBED,
    ],
    syncClassic("%1:generationId%"),
    syncClassic("%1:generationId%", { protocolName: "sticky" }),
    [
      heartbeat({ ...SECOND, memberEpoch: -1 }),
      DESCRIBED,
      step("DescribeGroups", 6, {
        groups: ["$cg"],
      }),
    ],
    [step("LeaveGroup", 5, { groupId: "$cg", members: [CLASSIC] }), DESCRIBED],
    [step("LeaveGroup", 5, { groupId: "$cg", members: [SECOND] }), DESCRIBED],
    step("LeaveGroup", 2, { groupId: "$cg", memberId: "$cnobody" }),
    offsets({ ...CLASSIC, generationIdOrMemberEpoch: "%1:generationId%" }),
    offsets({ ...CLASSIC, generationIdOrMemberEpoch: "%1:generationId%" }, 8),
    offsets({ ...CLASSIC, generationIdOrMemberEpoch: 99 }),
    joinClassic({ protocols: [{ name: "sticky", metadata: { subscription: ["orders"] } }] }),
    joinClassic({ protocolType: "connect" }),
    joinClassic({ ...CLASSIC, sessionTimeoutMs: 1 }),
    [
      joinClassic({ groupInstanceId: "$ci" }),
      step("Heartbeat", 4, {
        groupId: "$cg",
        memberId: "$cnobody",
        groupInstanceId: "$ci",
        generationId: 1,
      }),
    ],
  ],
};

function joinedAgain(): JsonObject {
  return { rebalanceTimeoutMs: 30_000, subscribedTopicNames: ["orders"], ...owning(0, 1, 2) };
}
