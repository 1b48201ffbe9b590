/**
 * SyncGroup, Heartbeat and LeaveGroup: the requests of a member that has joined.
 *
 * - SyncGroup: the leader brings the assignment; it is written and, once committed, given to all
 *   waiting members. A later SyncGroup gets its part at once.
 * - Heartbeat: REBALANCE_IN_PROGRESS while members join, so that the member joins too.
 * - LeaveGroup: from version 3 on any number of members, static ones also by their instance id
 *   alone (an operator does that); each has an error of its own.
 *
 * @module
 */

import { ErrorCode } from "../wire/errors.ts";
import type { HeartbeatRequest } from "../wire/generated/heartbeat_request.ts";
import {
  type HeartbeatResponse,
  newHeartbeatResponse,
} from "../wire/generated/heartbeat_response.ts";
import type { LeaveGroupRequest, MemberIdentity } from "../wire/generated/leave_group_request.ts";
import {
  type LeaveGroupResponse,
  newLeaveGroupResponse,
  newMemberResponse,
} from "../wire/generated/leave_group_response.ts";
import type { SyncGroupRequest } from "../wire/generated/sync_group_request.ts";
import {
  newSyncGroupResponse,
  type SyncGroupResponse,
} from "../wire/generated/sync_group_response.ts";
import type { GroupContext } from "./context.ts";
import { type Group, GroupState } from "./group.ts";
import { groupErrorOf, type GroupTable } from "./group_table.ts";
import { ASSIGNMENTS_SIZE_MAX } from "./limits.ts";
import { NO_BYTES, type Respond } from "./member.ts";
import type { Rebalancer } from "./rebalance.ts";
import { groupRecord } from "./records.ts";

/** Last version of LeaveGroup that names one member, with one error for all. */
export const SINGLE_LEAVE_VERSION_MAX = 2;

/** What is wrong with a member's claim to be `memberId` (and, if static, `instanceId`). */
export function memberError(group: Group, memberId: string, instanceId: string | null): number {
  if (instanceId !== null) {
    const staticId = group.staticMemberId(instanceId);
    if (staticId === null) return ErrorCode.UNKNOWN_MEMBER_ID;
    if (staticId !== memberId) return ErrorCode.FENCED_INSTANCE_ID;
  }
  return group.members.has(memberId) ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID;
}

export class MembershipHandling {
  #table: GroupTable;
  #rebalancer: Rebalancer;

  constructor(table: GroupTable, rebalancer: Rebalancer) {
    this.#table = table;
    this.#rebalancer = rebalancer;
  }

  sync(request: SyncGroupRequest, respond: Respond<SyncGroupResponse>): void {
    const group = this.#table.groups.get(request.groupId);
    const errorCode = this.#syncError(group, request);
    if (group === undefined || errorCode !== ErrorCode.NONE) {
      this.#table.answer(respond, newSyncGroupResponse({ errorCode }));
      return;
    }
    const member = group.members.get(request.memberId)!;
    this.#rebalancer.removePendingSync(group, member);
    if (group.state === GroupState.STABLE) {
      this.#rebalancer.touch(group, member);
      const { protocolType, protocolName } = group;
      const assignment = member.assignment;
      this.#table.answer(
        respond,
        newSyncGroupResponse({ protocolType, protocolName, assignment }),
      );
      return;
    }
    // A client that gave up waiting and asks again; the older answer is of no use to anybody.
    this.#rebalancer.answerSync(
      member,
      newSyncGroupResponse({ errorCode: ErrorCode.REBALANCE_IN_PROGRESS }),
    );
    member.sync = respond;
    this.#table.cancel(member.sessionTimer);
    const leads = group.leaderId === member.id;
    if (leads && group.assigningGeneration !== group.generation) this.#assign(group, request);
  }

  heartbeat(request: HeartbeatRequest, respond: Respond<HeartbeatResponse>): void {
    const group = this.#table.groups.get(request.groupId);
    const errorCode = this.#heartbeatError(group, request);
    this.#table.answer(respond, newHeartbeatResponse({ errorCode }));
  }

  leave(
    context: GroupContext,
    request: LeaveGroupRequest,
    respond: Respond<LeaveGroupResponse>,
  ): void {
    const single = context.version <= SINGLE_LEAVE_VERSION_MAX;
    const identities: MemberIdentity[] = single
      ? [{ memberId: request.memberId, groupInstanceId: null, reason: null }]
      : request.members;
    const group = this.#table.groups.get(request.groupId);
    if (request.groupId === "" || group?.state === GroupState.DEAD) {
      const errorCode = request.groupId === ""
        ? ErrorCode.INVALID_GROUP_ID
        : ErrorCode.COORDINATOR_NOT_AVAILABLE;
      this.#table.answer(respond, newLeaveGroupResponse({ errorCode }));
      return;
    }
    const members = identities.map(({ memberId, groupInstanceId }) => {
      const errorCode = group === undefined
        ? ErrorCode.UNKNOWN_MEMBER_ID
        : this.#leave(group, memberId, groupInstanceId);
      return newMemberResponse({ memberId, groupInstanceId, errorCode });
    });
    if (group !== undefined && members.some((member) => member.errorCode === ErrorCode.NONE)) {
      this.#rebalancer.afterLeaving(group);
    }
    const response = single
      ? newLeaveGroupResponse({ errorCode: members[0]!.errorCode })
      : newLeaveGroupResponse({ members });
    this.#table.answer(respond, response);
  }

  #syncError(group: Group | undefined, request: SyncGroupRequest): number {
    if (request.groupId === "") return ErrorCode.INVALID_GROUP_ID;
    if (group === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
    if (group.state === GroupState.DEAD) return ErrorCode.COORDINATOR_NOT_AVAILABLE;
    const errorCode = memberError(group, request.memberId, request.groupInstanceId);
    if (errorCode !== ErrorCode.NONE) return errorCode;
    if (request.generationId !== group.generation) return ErrorCode.ILLEGAL_GENERATION;
    const { protocolType, protocolName } = request;
    if (protocolType !== null && protocolType !== group.protocolType) {
      return ErrorCode.INCONSISTENT_GROUP_PROTOCOL;
    }
    if (protocolName !== null && protocolName !== group.protocolName) {
      return ErrorCode.INCONSISTENT_GROUP_PROTOCOL;
    }
    switch (group.state) {
      case GroupState.PREPARING_REBALANCE:
        return ErrorCode.REBALANCE_IN_PROGRESS;
      case GroupState.EMPTY:
        return ErrorCode.UNKNOWN_MEMBER_ID;
      default:
        return ErrorCode.NONE;
    }
  }

  #assign(group: Group, request: SyncGroupRequest): void {
    const generation = group.generation;
    group.assigningGeneration = generation;
    const assignments = new Map<string, Uint8Array>();
    let size = 0;
    for (const { memberId, assignment } of request.assignments) {
      assignments.set(memberId, assignment);
      size += assignment.length;
    }
    const onWritten = (errorCode: number): void => {
      // A rebalance may have begun meanwhile; then this assignment is history.
      if (
        group.state !== GroupState.COMPLETING_REBALANCE || group.generation !== generation
      ) return;
      if (errorCode === ErrorCode.NONE) {
        this.#rebalancer.becomeStable(group);
      } else {
        this.#rebalancer.failSyncs(group, groupErrorOf(errorCode));
        this.#rebalancer.rebalance(group);
      }
    };
    if (size > ASSIGNMENTS_SIZE_MAX) {
      onWritten(ErrorCode.MESSAGE_TOO_LARGE);
      return;
    }
    // The bytes are borrowed from the request: encoding copies them.
    const record = groupRecord(group.groupId, group.metadataWith(assignments, NO_BYTES));
    this.#table.append(group, [record], onWritten);
  }

  #heartbeatError(group: Group | undefined, request: HeartbeatRequest): number {
    if (request.groupId === "") return ErrorCode.INVALID_GROUP_ID;
    if (group === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
    if (group.state === GroupState.DEAD) return ErrorCode.COORDINATOR_NOT_AVAILABLE;
    const errorCode = memberError(group, request.memberId, request.groupInstanceId);
    if (errorCode !== ErrorCode.NONE) return errorCode;
    if (request.generationId !== group.generation) return ErrorCode.ILLEGAL_GENERATION;
    if (group.state === GroupState.EMPTY) return ErrorCode.UNKNOWN_MEMBER_ID;
    this.#rebalancer.touch(group, group.members.get(request.memberId)!);
    return group.state === GroupState.PREPARING_REBALANCE
      ? ErrorCode.REBALANCE_IN_PROGRESS
      : ErrorCode.NONE;
  }

  #leave(group: Group, memberId: string, instanceId: string | null): number {
    let id = memberId;
    if (memberId === "") {
      const staticId = instanceId === null ? null : group.staticMemberId(instanceId);
      if (staticId === null) return ErrorCode.UNKNOWN_MEMBER_ID;
      id = staticId;
    } else if (group.pendingJoins.has(memberId)) {
      this.#rebalancer.removePending(group, memberId);
      return ErrorCode.NONE;
    }
    const errorCode = memberError(group, id, instanceId);
    if (errorCode !== ErrorCode.NONE) return errorCode;
    this.#rebalancer.dropMember(group, group.members.get(id)!, ErrorCode.UNKNOWN_MEMBER_ID);
    return ErrorCode.NONE;
  }
}
