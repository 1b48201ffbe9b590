/**
 * ListGroups and DescribeGroups: groups as operators see them.
 *
 * As in Kafka, members' metadata is shown only for stable groups, and their newest assignment in every
 * state.
 *
 * @module
 */

import { ErrorCode } from "../wire/errors.ts";
import {
  type DescribedGroup,
  type DescribedGroupMember,
  newDescribedGroup,
  newDescribedGroupMember,
} from "../wire/generated/describe_groups_response.ts";
import type { ListGroupsRequest } from "../wire/generated/list_groups_request.ts";
import { type ListedGroup, newListedGroup } from "../wire/generated/list_groups_response.ts";
import { CONSUMER_PROTOCOL_TYPE, type Group, GroupState } from "./group.ts";
import type { GroupTable } from "./group_table.ts";
import { type Member, NO_BYTES } from "./member.ts";

/** The type of groups in which the clients assign. */
export const CLASSIC_GROUP_TYPE = "classic";
/** The type of groups in which the coordinator does. */
export const CONSUMER_GROUP_TYPE = "consumer";

/** First version of DescribeGroups in which a group that does not exist is an error. */
const GROUP_ID_NOT_FOUND_VERSION = 6;

/** The groups that pass both filters; an empty filter lets all pass, case does not matter. */
export function listGroups(table: GroupTable, filter: ListGroupsRequest): ListedGroup[] {
  const states = new Set(filter.statesFilter.map((state) => state.toLowerCase()));
  const types = new Set(filter.typesFilter.map((type) => type.toLowerCase()));
  const result: ListedGroup[] = [];
  for (const group of table.groups.values()) {
    const consumer = group.asConsumer;
    // What is not written yet may never be.
    if (consumer === null && group.consumer !== null && group.members.size === 0) continue;
    const groupType = consumer === null ? CLASSIC_GROUP_TYPE : CONSUMER_GROUP_TYPE;
    const groupState = consumer === null ? group.state : consumer.written.state;
    if (types.size > 0 && !types.has(groupType)) continue;
    if (states.size > 0 && !states.has(groupState.toLowerCase())) continue;
    result.push(newListedGroup({
      groupId: group.groupId,
      protocolType: consumer === null ? group.protocolType ?? "" : CONSUMER_PROTOCOL_TYPE,
      groupState,
      groupType,
    }));
  }
  return result;
}

/** One group, in the given version of DescribeGroups. */
export function describeGroup(table: GroupTable, groupId: string, version: number): DescribedGroup {
  const group = table.groups.get(groupId);
  if (group === undefined) return describeMissing(groupId, version, "not found");
  if (group.asConsumer !== null) {
    return describeMissing(groupId, version, "is not a classic group");
  }
  const isStable = group.state === GroupState.STABLE;
  return newDescribedGroup({
    groupId,
    groupState: group.state,
    protocolType: group.protocolType ?? "",
    protocolData: isStable ? group.protocolName ?? "" : "",
    members: [...group.members.values()].map((member) => describeMember(group, member, isStable)),
  });
}

function describeMember(group: Group, member: Member, isStable: boolean): DescribedGroupMember {
  return newDescribedGroupMember({
    memberId: member.id,
    groupInstanceId: member.instanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    memberMetadata: isStable ? member.metadataFor(group.protocolName) : NO_BYTES,
    memberAssignment: member.assignment,
  });
}

function describeMissing(groupId: string, version: number, problem: string): DescribedGroup {
  const described = newDescribedGroup({ groupId, groupState: GroupState.DEAD });
  if (version >= GROUP_ID_NOT_FOUND_VERSION) {
    described.errorCode = ErrorCode.GROUP_ID_NOT_FOUND;
    described.errorMessage = `Group ${groupId} ${problem}.`;
  }
  return described;
}
