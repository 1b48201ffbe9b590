/**
 * What members of a consumer group may do, and what a heartbeat says of them. Pure.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import type { ConsumerGroupHeartbeatRequest } from "../../wire/generated/consumer_group_heartbeat_request.ts";
import type { GroupContext } from "../context.ts";
import { type Refusal, refusal } from "./refusal.ts";
import type { ConsumerGroupView } from "./state.ts";
import type { Assignment, Current, MemberInfo } from "./types.ts";

/** Why there is no such member; null when there is. */
export function unknownProblem(
  view: ConsumerGroupView,
  groupId: string,
  memberId: string,
): Refusal | null {
  if (view.members.has(memberId)) return null;
  const message = `Member ${memberId} is not a member of group ${groupId}.`;
  return refusal(ErrorCode.UNKNOWN_MEMBER_ID, message);
}

/** Why the member is not the one with this instance id; null when it is. */
export function staticProblem(
  view: ConsumerGroupView,
  memberId: string,
  instanceId: string,
): Refusal | null {
  const known = view.staticMemberId(instanceId);
  if (known === null) {
    return refusal(ErrorCode.UNKNOWN_MEMBER_ID, `Instance id ${instanceId} is unknown.`);
  }
  if (known === memberId) return null;
  const message =
    `Static member ${memberId} with instance id ${instanceId} was fenced by member ${known}.`;
  return refusal(ErrorCode.FENCED_INSTANCE_ID, message);
}

/** Why a static member may not take the place of the one that has its instance id; null when it may. */
export function takeoverProblem(
  view: ConsumerGroupView,
  memberId: string,
  instanceId: string | null,
): Refusal | null {
  const known = instanceId === null ? null : view.staticMemberId(instanceId);
  if (known === null || known === memberId || view.isAway(known)) return null;
  // A process of the classic protocol does not say that it goes away.
  if (view.members.get(known)!.classic !== null) return null;
  const message =
    `Static member ${memberId} with instance id ${instanceId} cannot join the group because the instance ` +
    `id is owned by ${known} member.`;
  return refusal(ErrorCode.UNRELEASED_INSTANCE_ID, message);
}

/**
 * Why a member must give up everything and come anew; null when it need not. One that missed the last answer comes with
 * the epoch before, and with nothing that it has lost since.
 */
export function epochProblem(
  current: Current,
  epoch: number,
  owned: Assignment | null,
): Refusal | null {
  if (epoch === current.epoch) return null;
  const isLate = epoch < current.epoch && epoch === current.previousEpoch &&
    owned !== null && hasAll(current, owned);
  if (isLate) return null;
  const word = epoch > current.epoch ? "greater" : "smaller";
  const message =
    `The consumer group member has a ${word} member epoch (${epoch}) than the one known by the group ` +
    `coordinator (${current.epoch}). The member must abandon all its partitions and rejoin.`;
  return refusal(ErrorCode.FENCED_MEMBER_EPOCH, message);
}

/** The member as a heartbeat describes it: what it does not say is as it was. */
export function describedBy(
  former: MemberInfo | null,
  request: ConsumerGroupHeartbeatRequest,
  context: GroupContext,
): MemberInfo {
  const names = request.subscribedTopicNames;
  return {
    instanceId: request.instanceId ?? former?.instanceId ?? null,
    rackId: request.rackId ?? former?.rackId ?? null,
    clientId: context.clientId ?? "",
    clientHost: context.clientHost,
    topicNames: names === null ? former?.topicNames ?? [] : [...new Set(names)].sort(),
    topicRegex: request.subscribedTopicRegex ?? former?.topicRegex ?? null,
    rebalanceTimeoutMs: request.rebalanceTimeoutMs === -1
      ? former?.rebalanceTimeoutMs ?? -1
      : request.rebalanceTimeoutMs,
    serverAssignor: request.serverAssignor ?? former?.serverAssignor ?? null,
    classic: null,
  };
}

/** Whether the difference asks for another target assignment. As in Kafka, a rack counts at the next one. */
export function readsOther(a: MemberInfo, b: MemberInfo): boolean {
  return (a.topicRegex ?? "") !== (b.topicRegex ?? "") || a.serverAssignor !== b.serverAssignor ||
    a.topicNames.length !== b.topicNames.length ||
    a.topicNames.some((name, at) => b.topicNames[at] !== name);
}

/** Whether anything is to be written of the difference. */
export function saysOther(a: MemberInfo, b: MemberInfo): boolean {
  return readsOther(a, b) || a.topicRegex !== b.topicRegex || a.rackId !== b.rackId ||
    a.instanceId !== b.instanceId ||
    a.clientId !== b.clientId ||
    a.clientHost !== b.clientHost || a.rebalanceTimeoutMs !== b.rebalanceTimeoutMs ||
    (a.classic === null) !== (b.classic === null);
}

function hasAll({ assigned }: Current, owned: Assignment): boolean {
  for (const [topicId, partitions] of owned) {
    const own = assigned.get(topicId);
    if (partitions.some((partition) => own?.has(partition) !== true)) return false;
  }
  return true;
}
