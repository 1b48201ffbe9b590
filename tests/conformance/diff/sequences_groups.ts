/**
 * Families of requests: groups with two members, and offsets without any.
 *
 * @module
 */

import { type JsonObject, type Step, step } from "./case.ts";
import type { Family } from "./family.ts";
import { OWN_GROUP } from "./templates_groups.ts";
import { OWN_TOPIC } from "./templates_topics.ts";

const FIRST = { memberId: "%0:memberId%", generationId: "%5:generationId%" };
const SECOND = { memberId: "%2:memberId%", generationId: "%5:generationId%" };
const ON_SECOND = { connection: 1 };

const join = (memberId: string, more: JsonObject = {}, how: Partial<Step> = {}): Step =>
  step("JoinGroup", 6, { ...OWN_GROUP[0]!.request, memberId, ...more }, how);

const SECONDS_TOPICS = {
  protocols: [{ name: "range", metadata: { subscription: ["orders", "empty"] } }],
};

const heartbeat = (who: JsonObject, how: Partial<Step> = {}): Step =>
  step("Heartbeat", 4, { groupId: "$cg", ...who }, how);

const commit = ({ generationId, memberId }: JsonObject, more: Partial<Step> = {}): Step =>
  step("OffsetCommit", 9, {
    groupId: "$cg",
    generationIdOrMemberEpoch: generationId!,
    memberId: memberId!,
    topics: [{ name: "orders", partitions: [{ partitionIndex: 0, committedOffset: 1 }] }],
  }, more);

const assign = (memberId: string, text: string) => ({ memberId, assignment: { text } });

export const TWO_MEMBERS: Family = {
  name: "two members",
  opening: [
    ...OWN_GROUP,
    join("", SECONDS_TOPICS, ON_SECOND),
    join(SECOND.memberId, SECONDS_TOPICS, { ...ON_SECOND, pending: true }),
    // Until the second one's request has come.
    heartbeat({ ...FIRST, generationId: "%0:generationId%" }, { settles: true }),
    join(FIRST.memberId),
    step("SyncGroup", 5, {
      groupId: "$cg",
      ...FIRST,
      protocolType: "consumer",
      protocolName: "range",
      assignments: [assign(FIRST.memberId, "first"), assign(SECOND.memberId, "second")],
    }, { awaits: [3] }),
    step("SyncGroup", 5, {
      groupId: "$cg",
      ...SECOND,
      protocolType: "consumer",
      protocolName: "range",
    }, ON_SECOND),
  ],
  requests: [
    heartbeat(FIRST),
    heartbeat(SECOND, ON_SECOND),
    heartbeat({ ...SECOND, generationId: "%0:generationId%" }, ON_SECOND),
    commit(FIRST),
    commit(SECOND, ON_SECOND),
    commit({ memberId: "", generationId: -1 }),
    step("DescribeGroups", 5, { groups: ["$cg"] }),
    step("ListGroups", 5, { statesFilter: ["Stable", "PreparingRebalance"] }),
    step("DeleteGroups", 2, { groupsNames: ["$cg"] }),
    step("OffsetDelete", 0, {
      groupId: "$cg",
      topics: [
        { name: "orders", partitions: [{ partitionIndex: 0 }] },
        { name: "empty", partitions: [{ partitionIndex: 0 }] },
      ],
    }),
    step("SyncGroup", 5, { groupId: "$cg", ...SECOND }, ON_SECOND),
    step("SyncGroup", 5, { groupId: "$cg", ...SECOND, protocolName: "roundrobin" }, ON_SECOND),
    step("LeaveGroup", 5, {
      groupId: "$cg",
      members: [{ memberId: SECOND.memberId, reason: "done" }],
    }),
    step("LeaveGroup", 5, {
      groupId: "$cg",
      members: [{ memberId: FIRST.memberId }, { memberId: SECOND.memberId }],
    }),
    // It joins again, and the first one has to.
    [
      join(SECOND.memberId, {}, { connection: 2, pending: true }),
      heartbeat(FIRST, { settles: true }),
      step("DescribeGroups", 5, { groups: ["$cg"] }, { connection: 3 }),
      step("LeaveGroup", 1, { groupId: "$cg", memberId: FIRST.memberId }),
    ],
    // Another one with a protocol that the others do not have.
    join("", { protocols: [{ name: "sticky", metadata: { text: "" } }] }, { connection: 3 }),
    join("", { protocolType: "connect" }, { connection: 3 }),
  ],
};

const offsets = (version: number, ...partitions: JsonObject[]): Step =>
  step("OffsetCommit", version, {
    groupId: "$cg",
    topics: [{ name: "$ct", topicId: "%id:$ct%", partitions }],
  });

const fetched = (version: number, topics: JsonObject[] | null): Step =>
  step(
    "OffsetFetch",
    version,
    version < 8 ? { groupId: "$cg", topics } : { groups: [{ groupId: "$cg", topics }] },
  );

export const OFFSETS: Family = {
  name: "offsets",
  opening: OWN_TOPIC,
  requests: [
    offsets(2, { partitionIndex: 0, committedOffset: 5 }),
    offsets(6, { partitionIndex: 1, committedOffset: 7, committedLeaderEpoch: 3 }),
    offsets(9, { partitionIndex: 0, committedOffset: 2, committedMetadata: "note" }, {
      partitionIndex: 2,
      committedOffset: -1,
    }),
    offsets(9, { partitionIndex: 0, committedOffset: 2, committedMetadata: "$c~5000" }),
    offsets(9, { partitionIndex: 9, committedOffset: 2 }),
    offsets(10, { partitionIndex: 1, committedOffset: 9 }),
    fetched(1, [{ name: "$ct", partitionIndexes: [0, 1] }]),
    fetched(5, null),
    fetched(7, [{ name: "$ct", partitionIndexes: [0, 9] }, { name: "$cunknown" }]),
    fetched(8, null),
    fetched(9, [{ name: "$ct", partitionIndexes: [2, 0, 0] }]),
    fetched(10, [{ topicId: "%id:$ct%", partitionIndexes: [0, 1, 2] }]),
    fetched(10, null),
    step("OffsetDelete", 0, {
      groupId: "$cg",
      topics: [{ name: "$ct", partitions: [{ partitionIndex: 0 }, { partitionIndex: 9 }] }],
    }),
    step("DescribeGroups", 6, { groups: ["$cg"], includeAuthorizedOperations: true }),
    step("ListGroups", 5, { typesFilter: ["classic"] }),
    step("DeleteGroups", 2, { groupsNames: ["$cg", "$cg", "$cunknown"] }),
    step("Heartbeat", 4, { groupId: "$cg", memberId: "", generationId: -1 }),
    step("LeaveGroup", 4, { groupId: "$cg", members: [{ memberId: "$cnobody" }] }),
  ],
};

const pending = (api: string, version: number, request: JsonObject): Step =>
  step(api, version, { groupId: "$cg", memberId: "%0:memberId%", ...request });

/** A member that was given an id, and has not come back with it. */
export const PENDING_MEMBER: Family = {
  name: "pending member",
  opening: [step("JoinGroup", 4, OWN_GROUP[0]!.request)],
  requests: [
    step("JoinGroup", 9, { ...OWN_GROUP[0]!.request, reason: "why not" }),
    step("JoinGroup", 9, { ...OWN_GROUP[0]!.request, memberId: "%0:memberId%" }),
    step("JoinGroup", 5, {
      ...OWN_GROUP[0]!.request,
      memberId: "%0:memberId%",
      groupInstanceId: "$ci",
    }),
    step("JoinGroup", 3, { ...OWN_GROUP[0]!.request, memberId: "$cnobody" }),
    step("JoinGroup", 3, { ...OWN_GROUP[0]!.request, protocolType: "connect" }),
    pending("Heartbeat", 4, { generationId: 0 }),
    pending("Heartbeat", 4, { generationId: 1 }),
    pending("SyncGroup", 5, { generationId: 0 }),
    pending("SyncGroup", 5, {
      generationId: 1,
      assignments: [{ memberId: "%0:memberId%", assignment: { text: "mine" } }],
    }),
    commit({ memberId: "%0:memberId%", generationId: 0 }),
    commit({ memberId: "", generationId: -1 }),
    commit({ memberId: "$cnobody", generationId: -1 }),
    pending("LeaveGroup", 2, {}),
    step("LeaveGroup", 5, {
      groupId: "$cg",
      members: [{ memberId: "%0:memberId%" }, { memberId: "" }, {
        memberId: "%0:memberId%",
        groupInstanceId: "$ci",
      }],
    }),
    step("DescribeGroups", 6, { groups: ["$cg", "$cg"] }),
    step("ListGroups", 5, { statesFilter: ["Empty", "PreparingRebalance", "Dead"] }),
    step("ListGroups", 5, { typesFilter: ["classic", "CONSUMER"] }),
    step("DeleteGroups", 2, { groupsNames: ["$cg"] }),
    fetched(9, null),
  ],
};

const [CREATE, SHOWN, SERVED] = OWN_TOPIC as [Step, Step, Step];

/** Offsets of a topic that comes and goes. */
export const LOST_OFFSETS: Family = {
  name: "offsets of a lost topic",
  opening: [
    ...OWN_TOPIC,
    offsets(9, { partitionIndex: 0, committedOffset: 5, committedMetadata: "note" }, {
      partitionIndex: 2,
      committedOffset: 1,
    }),
  ],
  requests: [
    [
      step("DeleteTopics", 6, { topics: [{ name: "$ct" }], timeoutMs: 10_000 }),
      SHOWN,
      SERVED,
      { ...fetched(8, null), settles: true },
    ],
    [CREATE, SHOWN, SERVED],
    offsets(9, { partitionIndex: 1, committedOffset: 7, committedLeaderEpoch: 2 }),
    offsets(10, { partitionIndex: 1, committedOffset: 8 }),
    step("OffsetCommit", 10, {
      groupId: "$cg",
      topics: [
        {
          topicId: "%1:topics[0].topicId%",
          partitions: [{ partitionIndex: 0, committedOffset: 6 }],
        },
        { topicId: "%id:orders%", partitions: [{ partitionIndex: 0, committedOffset: 1 }] },
      ],
    }),
    fetched(7, [{ name: "$ct", partitionIndexes: [0, 1, 2] }]),
    fetched(8, [{ name: "$ct", partitionIndexes: [0, 1, 2] }]),
    fetched(10, [
      { topicId: "%1:topics[0].topicId%", partitionIndexes: [0, 1, 2] },
      { topicId: "%id:orders%", partitionIndexes: [0] },
    ]),
    fetched(10, null),
    step("OffsetDelete", 0, {
      groupId: "$cg",
      topics: [
        { name: "$ct", partitions: [{ partitionIndex: 2 }] },
        { name: "orders", partitions: [{ partitionIndex: 0 }, { partitionIndex: 0 }] },
      ],
    }),
    step("DescribeGroups", 5, { groups: ["$cg"] }),
    step("DeleteGroups", 2, { groupsNames: ["$cg"] }),
  ],
};
