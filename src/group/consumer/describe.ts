/**
 * ConsumerGroupDescribe: consumer groups with their members, as they are committed.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import {
  type Assignment as Described,
  type DescribedGroup,
  type Member,
  newDescribedGroup,
  newMember,
} from "../../wire/generated/consumer_group_describe_response.ts";
import type { GroupTable } from "../group_table.ts";
import { assignorOf } from "./keeper.ts";
import type { ConsumerGroupRecords } from "./state.ts";
import { type Assignment, type GroupTopics, partitionsOf } from "./types.ts";

/** What a member speaks, in numbers of the answer. */
const MemberType = { CLASSIC: 0, CONSUMER: 1 } as const;

export function describeConsumerGroup(table: GroupTable, groupId: string): DescribedGroup {
  const group = table.groups.get(groupId);
  const records = group?.asConsumer?.written;
  if (records === undefined) {
    const errorMessage = group === undefined
      ? `Group ${groupId} not found.`
      : `Group ${groupId} is not a consumer group.`;
    return newDescribedGroup({ groupId, errorCode: ErrorCode.GROUP_ID_NOT_FOUND, errorMessage });
  }
  return newDescribedGroup({
    groupId,
    groupState: records.state,
    groupEpoch: records.epoch,
    assignmentEpoch: records.targetEpoch.epoch,
    assignorName: assignorOf(records),
    members: [...records.members.keys()].map((id) => describe(records, id, table.world.topics)),
  });
}

function describe(records: ConsumerGroupRecords, memberId: string, topics: GroupTopics): Member {
  const member = records.members.get(memberId)!;
  const current = records.currentOf(memberId);
  return newMember({
    memberId,
    instanceId: member.instanceId,
    rackId: member.rackId,
    memberEpoch: current.epoch,
    clientId: member.clientId,
    clientHost: member.clientHost,
    subscribedTopicNames: [...member.topicNames],
    subscribedTopicRegex: member.topicRegex ?? "",
    // What it has yet to give up, too.
    assignment: listed(partitionsOf(current.assigned, current.revoking), topics),
    targetAssignment: listed(records.targetOf(memberId), topics),
    memberType: member.classic === null ? MemberType.CONSUMER : MemberType.CLASSIC,
  });
}

/** Without topics that are gone meanwhile. */
function listed(assignment: Assignment, topics: GroupTopics): Described {
  const topicPartitions: Described["topicPartitions"] = [];
  for (const [topicId, partitions] of assignment) {
    const topicName = topics.nameOf(topicId);
    if (topicName === null) continue;
    topicPartitions.push({ topicId, topicName, partitions: [...partitions] });
  }
  return { topicPartitions };
}
