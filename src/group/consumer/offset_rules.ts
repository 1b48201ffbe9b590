/**
 * Who may commit and read offsets of a consumer group.
 *
 * A member commits with the epoch that it has. While it was on its way to a later one, an earlier epoch is still good for a
 * partition that it has had since then: the broker's epoch rises with the answer to a heartbeat, which the member may
 * not have seen yet (KIP-1251).
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import type { OffsetCommitRequest } from "../../wire/generated/offset_commit_request.ts";
import type { ConsumerGroupRecords } from "./state.ts";

/** First version of OffsetCommit whose epochs are those of members. */
const EPOCH_SINCE = 9;

/** The error of all partitions, or what decides about each. */
export type CommitVerdict = number | ((topicId: string, partition: number) => number);

/** Whether a commit is the group's members'. */
export function commitVerdict(
  records: ConsumerGroupRecords,
  request: OffsetCommitRequest,
  version: number,
  isTransactional: boolean,
): CommitVerdict {
  const { memberId, groupInstanceId, generationIdOrMemberEpoch: epoch } = request;
  // A tool, or a consumer that assigns its own partitions.
  if (epoch < 0 && records.members.size === 0) return ErrorCode.NONE;
  const isUnnamed = epoch === -1 && memberId === "" && groupInstanceId === null;
  if (isTransactional && isUnnamed) return ErrorCode.NONE;
  const member = records.members.get(memberId);
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
  const current = records.currentOf(memberId);
  if (member.classic !== null) {
    return epoch === current.epoch ? ErrorCode.NONE : ErrorCode.ILLEGAL_GENERATION;
  }
  if (!isTransactional && version < EPOCH_SINCE) return ErrorCode.UNSUPPORTED_VERSION;
  if (epoch === current.epoch) return ErrorCode.NONE;
  if (epoch > current.epoch) return ErrorCode.STALE_MEMBER_EPOCH;
  return (topicId, partition) => {
    const since = current.assigned.get(topicId)?.get(partition) ??
      current.revoking.get(topicId)?.get(partition);
    return since !== undefined && since <= epoch ? ErrorCode.NONE : ErrorCode.STALE_MEMBER_EPOCH;
  };
}

/** Whether a member may read the group's offsets; who names none may. */
export function fetchError(
  records: ConsumerGroupRecords,
  memberId: string | null,
  epoch: number,
): number {
  if (memberId === null && epoch < 0) return ErrorCode.NONE;
  const member = records.members.get(memberId ?? "");
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
  if (records.currentOf(memberId ?? "").epoch === epoch) return ErrorCode.NONE;
  return member.classic === null ? ErrorCode.STALE_MEMBER_EPOCH : ErrorCode.ILLEGAL_GENERATION;
}
