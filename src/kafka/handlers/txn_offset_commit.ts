/**
 * TxnOffsetCommit (key 28), versions 0 to 6: a group's positions are kept, if a producer's transaction is committed.
 *
 * - The group's partition must belong to the transaction (AddOffsetsToTxn); from v5 on it is added if need be (KIP-890).
 * - v3: a member of the group is checked as in OffsetCommit (KIP-447), except that it may commit while the group awaits its
 *   assignment. Before, and without a generation, anybody may.
 * - Topics and partitions that do not exist: UNKNOWN_TOPIC_OR_PARTITION, or UNKNOWN_TOPIC_ID for a topic that is
 *   named by id (v6); the rest is committed.
 * - INVALID_PRODUCER_EPOCH and INVALID_PRODUCER_ID_MAPPING as of produced batches. Where the transaction's coordinator does not
 *   answer: COORDINATOR_NOT_AVAILABLE.
 *
 * Gaps: none.
 *
 * @module
 */

import { OFFSETS_TOPIC } from "../../cluster/topic_names.ts";
import { groupPartition } from "../../group/group_partition.ts";
import { type Task, until } from "../../io/task.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { TXN_OFFSET_COMMIT } from "../../wire/generated/apis.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
  newOffsetCommitRequestTopic,
} from "../../wire/generated/offset_commit_request.ts";
import type { OffsetCommitResponse } from "../../wire/generated/offset_commit_response.ts";
import type {
  TxnOffsetCommitRequest,
  TxnOffsetCommitRequestTopic,
} from "../../wire/generated/txn_offset_commit_request.ts";
import {
  newTxnOffsetCommitResponse,
  type TxnOffsetCommitResponse,
} from "../../wire/generated/txn_offset_commit_response.ts";
import { ON_GROUP_SHARD } from "../group_routes.ts";
import type { Handler, RequestContext } from "../handler.ts";
import type { Services } from "../services.ts";

/** First version that adds the partition, that has TRANSACTION_ABORTABLE, and that names topics by id. */
const IMPLICIT_ADDS_SINCE = 5;
const TOPIC_ID_VERSION = 6;

export const TXN_OFFSET_COMMIT_HANDLER: Handler<TxnOffsetCommitRequest, TxnOffsetCommitResponse> = {
  api: TXN_OFFSET_COMMIT,
  minVersion: 0,
  maxVersion: 6,
  route: ON_GROUP_SHARD,
  *handle(context, request) {
    const errors = yield* commit(context, request);
    const topics = request.topics.map((topic) => ({
      name: topic.name,
      topicId: topic.topicId,
      partitions: topic.partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: errors(topic, partitionIndex),
      })),
    }));
    return newTxnOffsetCommitResponse({ topics });
  },
};

type ErrorOf = (topic: TxnOffsetCommitRequestTopic, index: number) => number;

function* commit(context: RequestContext, request: TxnOffsetCommitRequest): Task<ErrorOf> {
  const { services, version } = context;
  const { transactionalId, groupId, producerId, producerEpoch } = request;
  if (transactionalId === "") return () => ErrorCode.INVALID_REQUEST;
  if (groupId === "") return () => ErrorCode.INVALID_GROUP_ID;
  const imageOf = ({ name, topicId }: TxnOffsetCommitRequestTopic) =>
    version >= TOPIC_ID_VERSION
      ? services.image.topicById(topicId)
      : services.image.topicByName(name);
  const problemOf = (topic: TxnOffsetCommitRequestTopic, index: number): ErrorCode => {
    const image = imageOf(topic);
    if (image?.partitions[index] !== undefined) return ErrorCode.NONE;
    return version >= TOPIC_ID_VERSION && image === undefined
      ? ErrorCode.UNKNOWN_TOPIC_ID
      : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  };
  const keeper = keeperOf(services, groupId);
  if (keeper === null) return () => ErrorCode.NOT_COORDINATOR;
  const { producers } = keeper.log;
  const isIn = producers.transactionOf(producerId) >= 0 &&
    producers.epochOf(producerId) === producerEpoch &&
    !services.markers.isEnding(keeper, producerId);
  if (producerEpoch < producers.epochOf(producerId)) return () => ErrorCode.INVALID_PRODUCER_EPOCH;
  if (!isIn) {
    const adds = version >= IMPLICIT_ADDS_SINCE;
    const question = {
      transactionalId,
      groupId: keeper.log.groupId,
      producerId,
      producerEpoch,
      adds,
    };
    const answer = yield* services.admitToTransaction(question, keeper.leaderEpoch);
    if (answer !== ErrorCode.NONE) return () => errorOf(answer, version);
  }
  const coordinator = services.groups.coordinatorFor(groupId);
  if (coordinator === null) return () => ErrorCode.NOT_COORDINATOR;
  const topics = request.topics.map((topic) =>
    newOffsetCommitRequestTopic({
      name: imageOf(topic)?.name ?? "",
      partitions: topic.partitions
        .filter(({ partitionIndex }) => problemOf(topic, partitionIndex) === ErrorCode.NONE)
        .map((partition) => newOffsetCommitRequestPartition({ ...partition })),
    })
  ).filter(({ partitions }) => partitions.length > 0);
  const { generationIdOrMemberEpoch, memberId, groupInstanceId } = request;
  const member = { groupId, generationIdOrMemberEpoch, memberId, groupInstanceId };
  if (topics.length === 0) return problemOf;
  const committed = yield* until<OffsetCommitResponse>((respond) =>
    coordinator.transactionalCommit(
      context,
      newOffsetCommitRequest({ ...member, topics }),
      request,
      respond,
    )
  );
  const errors = new Map<string, number>();
  for (const { name, partitions } of committed.topics) {
    for (const { partitionIndex, errorCode } of partitions) {
      errors.set(`${name}/${partitionIndex}`, errorCode);
    }
  }
  return (topic, index) =>
    errors.get(`${imageOf(topic)?.name}/${index}`) ?? problemOf(topic, index);
}

/** The partition that keeps a group, if it is led here. */
function keeperOf({ image, partitions }: Services, groupId: string) {
  const all = image.topicByName(OFFSETS_TOPIC)?.partitions ?? [];
  if (all.length === 0) return null;
  const partition = partitions.byGroup(all[groupPartition(groupId, all.length)]!.groupId);
  return partition?.leading === true ? partition : null;
}

/** What a producer is told: before v5 it knows no TRANSACTION_ABORTABLE. */
function errorOf(error: ErrorCode, version: number): ErrorCode {
  switch (error) {
    case ErrorCode.TRANSACTION_ABORTABLE:
      return version < IMPLICIT_ADDS_SINCE ? ErrorCode.INVALID_TXN_STATE : error;
    case ErrorCode.NOT_ENOUGH_REPLICAS:
      return ErrorCode.COORDINATOR_NOT_AVAILABLE;
    default:
      return error;
  }
}
