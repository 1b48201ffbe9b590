/**
 * Asks a transaction's coordinator, on whatever node, whether a partition of this shard belongs to the transaction.
 *
 * @module
 */

import { runTask, type Task, until } from "../io/task.ts";
import { Timer } from "../io/timers.ts";
import { reachableLeader } from "../kafka/topic_views.ts";
import type { AskCoordinator, TransactionQuestion } from "../kafka/transaction_guard.ts";
import { transactionPartition } from "../kafka/transaction_routes.ts";
import { ErrorCode } from "../wire/errors.ts";
import { ADD_PARTITIONS_TO_TXN } from "../wire/generated/apis.ts";
import { newAddPartitionsToTxnRequest } from "../wire/generated/add_partitions_to_txn_request.ts";
import { askNode } from "./node_requests.ts";
import type { Shard } from "./shard.ts";

/** The version in which coordinators are asked. */
const VERSION = 5;
/** How long a batch waits for its coordinator (ms). */
const WAIT_MS = 2_000;
/** How long the end of the last transaction is waited for, and between two questions (ms). */
const CONCURRENT_WAIT_MS = 200;
const CONCURRENT_PAUSE_MS = 10;

/** @returns what a {@linkcode TransactionGuard} of this shard asks with */
export function coordinatorQuestions(shard: Shard): AskCoordinator {
  return (question, done) => runTask(ask(shard, question), done);
}

function* ask(shard: Shard, question: TransactionQuestion): Task<ErrorCode> {
  const { timers, nowMs } = shard.options;
  const untilMs = nowMs() + CONCURRENT_WAIT_MS;
  for (;;) {
    const error = yield* askOnce(shard, question);
    if (error !== ErrorCode.CONCURRENT_TRANSACTIONS) return batchErrorOf(error);
    if (nowMs() >= untilMs) return ErrorCode.NOT_ENOUGH_REPLICAS;
    yield* until<void>((done) => timers.schedule(new Timer(done), nowMs() + CONCURRENT_PAUSE_MS));
  }
}

function* askOnce(shard: Shard, question: TransactionQuestion): Task<number> {
  const { image, leaders, live, options: { nodeId } } = shard;
  const { transactionalId, groupId, producerId, producerEpoch, adds } = question;
  const keeper = transactionPartition({ image }, transactionalId);
  const partition = image.partitionByGroup(groupId);
  if (keeper === null || partition === undefined) return ErrorCode.COORDINATOR_NOT_AVAILABLE;
  const coordinator = reachableLeader({ nodeId, leaders, live }, keeper);
  if (coordinator < 0) return ErrorCode.COORDINATOR_NOT_AVAILABLE;
  const topics = [{ name: partition.topic.name, partitions: [partition.index] }];
  const request = newAddPartitionsToTxnRequest({
    transactions: [{ transactionalId, producerId, producerEpoch, verifyOnly: !adds, topics }],
  });
  const response = yield* askNode(
    shard,
    coordinator,
    ADD_PARTITIONS_TO_TXN,
    VERSION,
    request,
    WAIT_MS,
  );
  if (response === null) return ErrorCode.COORDINATOR_NOT_AVAILABLE;
  if (response.errorCode !== ErrorCode.NONE) return response.errorCode;
  const result = response.resultsByTransaction[0]?.topicResults[0]?.resultsByPartition[0];
  return result?.partitionErrorCode ?? ErrorCode.COORDINATOR_NOT_AVAILABLE;
}

/** What a producer is told of its batch: what passes is one that it tries again after. */
function batchErrorOf(error: number): ErrorCode {
  switch (error) {
    case ErrorCode.NONE:
    case ErrorCode.INVALID_PRODUCER_ID_MAPPING:
    case ErrorCode.INVALID_TXN_STATE:
    case ErrorCode.TRANSACTION_ABORTABLE:
      return error;
    case ErrorCode.PRODUCER_FENCED:
    case ErrorCode.INVALID_PRODUCER_EPOCH:
      return ErrorCode.INVALID_PRODUCER_EPOCH;
    default:
      return ErrorCode.NOT_ENOUGH_REPLICAS;
  }
}
