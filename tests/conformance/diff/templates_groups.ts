/**
 * Templates of consumer groups.
 *
 * @module
 */

import { type Step, step } from "./case.ts";
import type { Template } from "./template.ts";

/** One member of the case's own group, `$cg`, which is asked to come with its id, and then alone. */
export const OWN_GROUP: readonly Step[] = [
  step("JoinGroup", 3, {
    groupId: "$cg",
    sessionTimeoutMs: 60_000,
    rebalanceTimeoutMs: 30_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: { subscription: ["orders"] } }],
  }),
  step("SyncGroup", 3, {
    groupId: "$cg",
    generationId: "%0:generationId%",
    memberId: "%0:memberId%",
    assignments: [{ memberId: "%0:memberId%", assignment: { text: "mine" } }],
  }),
];

/** Commits of the case's own group without members. */
export const OWN_COMMITS: Step = step("OffsetCommit", 9, {
  groupId: "$cg",
  topics: [{
    name: "orders",
    partitions: [{ partitionIndex: 0, committedOffset: 3, committedMetadata: "note" }],
  }],
});

const OWN_OFFSETS: Step = step("OffsetFetch", 8, { groups: [{ groupId: "$cg", topics: null }] });
const OWN_DESCRIBED: Step = step("DescribeGroups", 6, { groups: ["$cg"] });

/** A member with a name of its own, `$ci`, in the case's own group. */
export const STATIC_MEMBER: readonly Step[] = [
  step("JoinGroup", 5, { ...OWN_GROUP[0]!.request, groupInstanceId: "$ci" }),
  step("SyncGroup", 5, {
    ...OWN_GROUP[1]!.request,
    groupInstanceId: "$ci",
    protocolType: "consumer",
    protocolName: "range",
  }),
];

export const GROUP_TEMPLATES: readonly Template[] = [
  { api: "FindCoordinator", to: 3, request: { key: "idle" } },
  { api: "FindCoordinator", from: 4, request: { coordinatorKeys: ["idle"] } },
  {
    api: "JoinGroup",
    changes: "groups",
    request: {
      groupId: "$cg",
      sessionTimeoutMs: 60_000,
      rebalanceTimeoutMs: 30_000,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: { subscription: ["orders"] } }],
    },
    after: [OWN_DESCRIBED],
  },
  {
    api: "JoinGroup",
    changes: "groups",
    before: OWN_GROUP,
    request: {
      groupId: "$cg",
      sessionTimeoutMs: 60_000,
      rebalanceTimeoutMs: 30_000,
      memberId: "%0:memberId%",
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: { subscription: ["orders", "empty"] } }],
    },
    after: [OWN_DESCRIBED],
  },
  {
    api: "SyncGroup",
    changes: "groups",
    before: OWN_GROUP,
    request: {
      groupId: "$cg",
      generationId: "%0:generationId%",
      memberId: "%0:memberId%",
      protocolType: "consumer",
      protocolName: "range",
      assignments: [{ memberId: "%0:memberId%", assignment: { text: "other" } }],
    },
    after: [OWN_DESCRIBED],
  },
  {
    api: "JoinGroup",
    changes: "groups",
    from: 5,
    isAlike: true,
    before: STATIC_MEMBER,
    request: { ...OWN_GROUP[0]!.request, memberId: "", groupInstanceId: "$ci" },
    after: [OWN_DESCRIBED],
  },
  {
    api: "SyncGroup",
    changes: "groups",
    from: 3,
    isAlike: true,
    before: STATIC_MEMBER,
    request: STATIC_MEMBER[1]!.request,
    after: [OWN_DESCRIBED],
  },
  {
    api: "Heartbeat",
    from: 3,
    isAlike: true,
    before: STATIC_MEMBER,
    request: {
      groupId: "$cg",
      generationId: "%0:generationId%",
      memberId: "%0:memberId%",
      groupInstanceId: "$ci",
    },
  },
  {
    api: "LeaveGroup",
    changes: "groups",
    from: 3,
    isAlike: true,
    before: STATIC_MEMBER,
    request: { groupId: "$cg", members: [{ memberId: "", groupInstanceId: "$ci" }] },
    after: [OWN_DESCRIBED],
  },
  {
    api: "OffsetCommit",
    changes: "groups",
    from: 7,
    isAlike: true,
    before: STATIC_MEMBER,
    request: {
      groupId: "$cg",
      generationIdOrMemberEpoch: "%0:generationId%",
      memberId: "%0:memberId%",
      groupInstanceId: "$ci",
      topics: [{
        name: "orders",
        topicId: "%id:orders%",
        partitions: [{ partitionIndex: 0, committedOffset: 3, committedMetadata: "note" }],
      }],
    },
    after: [OWN_OFFSETS],
  },
  { api: "DescribeGroups", isAlike: true, before: STATIC_MEMBER, request: { groups: ["$cg"] } },
  { api: "ListGroups", isAlike: true, before: OWN_GROUP.slice(0, 1), request: {} },
  {
    api: "OffsetFetch",
    from: 8,
    isAlike: true,
    before: OWN_GROUP,
    request: {
      groups: [{
        groupId: "$cg",
        memberId: "%0:memberId%",
        memberEpoch: "%0:generationId%",
        topics: [{ name: "orders", topicId: "%id:orders%", partitionIndexes: [0] }],
      }],
    },
  },
  {
    api: "Heartbeat",
    before: OWN_GROUP,
    request: {
      groupId: "$cg",
      generationId: "%0:generationId%",
      memberId: "%0:memberId%",
    },
  },
  {
    api: "LeaveGroup",
    changes: "groups",
    before: OWN_GROUP,
    request: {
      groupId: "$cg",
      memberId: "%0:memberId%",
      members: [{ memberId: "%0:memberId%", reason: "done" }],
    },
    after: [OWN_DESCRIBED],
  },
  {
    api: "OffsetCommit",
    changes: "groups",
    request: {
      groupId: "$cg",
      topics: [{
        name: "orders",
        topicId: "%id:orders%",
        partitions: [{ partitionIndex: 0, committedOffset: 3, committedMetadata: "note" }],
      }],
    },
    after: [OWN_OFFSETS],
  },
  {
    api: "OffsetCommit",
    changes: "groups",
    before: OWN_GROUP,
    request: {
      groupId: "$cg",
      generationIdOrMemberEpoch: "%0:generationId%",
      memberId: "%0:memberId%",
      topics: [{
        name: "orders",
        topicId: "%id:orders%",
        partitions: [{ partitionIndex: 0, committedOffset: 3, committedMetadata: "note" }],
      }],
    },
    after: [OWN_OFFSETS],
  },
  {
    api: "OffsetFetch",
    to: 7,
    request: { groupId: "idle", topics: [{ name: "orders", partitionIndexes: [0] }] },
  },
  {
    api: "OffsetFetch",
    from: 8,
    request: {
      groups: [{
        groupId: "idle",
        topics: [{ name: "orders", topicId: "%id:orders%", partitionIndexes: [0] }],
      }],
    },
  },
  { api: "OffsetFetch", from: 8, request: { groups: [{ groupId: "idle", topics: null }] } },
  {
    api: "OffsetDelete",
    changes: "groups",
    before: [OWN_COMMITS],
    request: {
      groupId: "$cg",
      topics: [{ name: "orders", partitions: [{ partitionIndex: 0 }] }],
    },
    after: [OWN_OFFSETS],
  },
  {
    api: "OffsetDelete",
    changes: "groups",
    before: OWN_GROUP,
    request: {
      groupId: "$cg",
      topics: [{ name: "orders", partitions: [{ partitionIndex: 0 }] }],
    },
    after: [OWN_OFFSETS],
  },
  { api: "DescribeGroups", request: { groups: ["live"] } },
  { api: "DescribeGroups", before: OWN_GROUP, request: { groups: ["$cg", "idle"] } },
  { api: "ListGroups", before: OWN_GROUP, request: {} },
  { api: "ListGroups", request: { statesFilter: ["Empty"], typesFilter: ["classic"] } },
  {
    api: "DeleteGroups",
    changes: "groups",
    before: [OWN_COMMITS],
    request: { groupsNames: ["$cg"] },
    after: [OWN_DESCRIBED, OWN_OFFSETS],
  },
];
