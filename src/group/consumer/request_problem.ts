/**
 * What is wrong with a ConsumerGroupHeartbeat whatever the group is like.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import type { ConsumerGroupHeartbeatRequest } from "../../wire/generated/consumer_group_heartbeat_request.ts";
import { OWN_MEMBER_ID_SIZE_MAX } from "../limits.ts";
import { ASSIGNORS } from "./assignor.ts";
import { type Refusal, refusal } from "./refusal.ts";
import { LEFT_EPOCH, LEFT_STATIC_EPOCH } from "./types.ts";

/** From this version on members make their ids themselves (KIP-1082). */
const OWN_ID_SINCE = 1;

export function requestProblem(
  version: number,
  request: ConsumerGroupHeartbeatRequest,
): Refusal | null {
  const { memberEpoch, serverAssignor } = request;
  const message = emptyProblem(version, request) ?? epochProblem(request);
  if (message !== null) return refusal(ErrorCode.INVALID_REQUEST, message);
  if (memberEpoch >= 0 && serverAssignor !== null && !ASSIGNORS.has(serverAssignor)) {
    const known = [...ASSIGNORS.keys()].join(", ");
    const text =
      `ServerAssignor ${serverAssignor} is not supported. Supported assignors: ${known}.`;
    return refusal(ErrorCode.UNSUPPORTED_ASSIGNOR, text);
  }
  return null;
}

function emptyProblem(version: number, request: ConsumerGroupHeartbeatRequest): string | null {
  const { memberEpoch } = request;
  const isEmpty = (text: string | null): boolean => text !== null && text.trim() === "";
  const needsId = version >= OWN_ID_SINCE || memberEpoch > 0 || memberEpoch === LEFT_EPOCH;
  if (needsId && isEmpty(request.memberId)) return "MemberId can't be empty.";
  if (isEmpty(request.groupId)) return "GroupId can't be empty.";
  if (isEmpty(request.instanceId)) return "InstanceId can't be empty.";
  if (isEmpty(request.rackId)) return "RackId can't be empty.";
  const isLong = (text: string | null): boolean => (text?.length ?? 0) > OWN_MEMBER_ID_SIZE_MAX;
  if (isLong(request.memberId)) return "MemberId is too long.";
  return isLong(request.instanceId) ? "InstanceId is too long." : null;
}

function epochProblem(request: ConsumerGroupHeartbeatRequest): string | null {
  const { memberEpoch, topicPartitions } = request;
  if (memberEpoch === 0) {
    if (request.rebalanceTimeoutMs === -1) {
      return "RebalanceTimeoutMs must be provided in first request.";
    }
    if (topicPartitions === null || topicPartitions.length > 0) {
      return "TopicPartitions must be empty when (re-)joining.";
    }
    if (request.subscribedTopicNames === null && request.subscribedTopicRegex === null) {
      return "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.";
    }
    return null;
  }
  if (memberEpoch === LEFT_STATIC_EPOCH && request.instanceId === null) {
    return "InstanceId can't be null.";
  }
  return memberEpoch < LEFT_STATIC_EPOCH ? `MemberEpoch is invalid.` : null;
}
