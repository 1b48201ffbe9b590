/**
 * AddPartitionsToTxn (key 24), versions 0 to 5: partitions become part of a producer's transaction.
 *
 * - v0 to v3: a producer names its partitions before it writes to them.
 * - v4: a partition's leader asks for many transactions at once, and may ask only whether a partition is in one (KIP-890).
 *   One that is not is INVALID_TXN_STATE, from v5 on TRANSACTION_ABORTABLE.
 * - INVALID_PRODUCER_ID_MAPPING: the transactional id has another producer, or none. PRODUCER_FENCED (before v2
 *   INVALID_PRODUCER_EPOCH): another epoch. CONCURRENT_TRANSACTIONS: the last transaction's markers are not all written.
 * - Where a partition does not exist, none is added: UNKNOWN_TOPIC_OR_PARTITION, and OPERATION_NOT_ATTEMPTED for the others.
 *
 * Gaps: none.
 *
 * @module
 */

import { type Task, until } from "../../io/task.ts";
import { EPOCH_PER_TRANSACTION } from "../../txn/coordinator.ts";
import type { TopicPartitions } from "../../txn/records.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { ADD_PARTITIONS_TO_TXN } from "../../wire/generated/apis.ts";
import type {
  AddPartitionsToTxnRequest,
  AddPartitionsToTxnTopic,
  AddPartitionsToTxnTransaction,
} from "../../wire/generated/add_partitions_to_txn_request.ts";
import {
  type AddPartitionsToTxnResponse,
  type AddPartitionsToTxnTopicResult,
  newAddPartitionsToTxnResponse,
} from "../../wire/generated/add_partitions_to_txn_response.ts";
import type { Handler, RequestContext } from "../handler.ts";
import { fencedErrorOf } from "../transaction_routes.ts";

/** First version with many transactions. */
const BATCHED_SINCE = 4;
/** First version with PRODUCER_FENCED, and with TRANSACTION_ABORTABLE. */
const FENCED_SINCE = 2;
const ABORTABLE_SINCE = 5;

export const ADD_PARTITIONS_TO_TXN_HANDLER: Handler<
  AddPartitionsToTxnRequest,
  AddPartitionsToTxnResponse
> = {
  api: ADD_PARTITIONS_TO_TXN,
  minVersion: 0,
  maxVersion: 5,
  route: {
    kind: "split",
    split(request, services) {
      const { transactions: directory } = services;
      const parts = new Map<number, AddPartitionsToTxnTransaction[]>();
      for (const transaction of request.transactions) {
        const shard = directory.shardOfTransaction(transaction.transactionalId);
        const part = parts.get(shard);
        if (part === undefined) parts.set(shard, [transaction]);
        else part.push(transaction);
      }
      if (parts.size === 0) {
        parts.set(directory.shardOfTransaction(request.v3AndBelowTransactionalId), []);
      }
      return new Map([...parts].map(([shard, transactions]) => [shard, {
        ...request,
        transactions,
      }]));
    },
    merge: (_request, responses) =>
      newAddPartitionsToTxnResponse({
        errorCode: responses.find(({ errorCode }) => errorCode !== ErrorCode.NONE)?.errorCode ??
          ErrorCode.NONE,
        resultsByTransaction: responses.flatMap((response) => response.resultsByTransaction),
        resultsByTopicV3AndBelow: responses.flatMap((response) =>
          response.resultsByTopicV3AndBelow
        ),
      }),
  },
  *handle(context, request) {
    if (context.version < BATCHED_SINCE) {
      const { v3AndBelowTopics: topics } = request;
      const results = yield* serve(context, {
        transactionalId: request.v3AndBelowTransactionalId,
        producerId: request.v3AndBelowProducerId,
        producerEpoch: request.v3AndBelowProducerEpoch,
        verifyOnly: false,
        topics,
      });
      return newAddPartitionsToTxnResponse({ resultsByTopicV3AndBelow: results });
    }
    const results = [];
    for (const transaction of request.transactions) {
      const { transactionalId } = transaction;
      results.push({ transactionalId, topicResults: yield* serve(context, transaction) });
    }
    return newAddPartitionsToTxnResponse({ resultsByTransaction: results });
  },
};

function* serve(
  context: RequestContext,
  transaction: AddPartitionsToTxnTransaction,
): Task<AddPartitionsToTxnTopicResult[]> {
  const { services: { image, transactions }, version } = context;
  const { transactionalId, verifyOnly, topics } = transaction;
  const isThere = (name: string, index: number): boolean =>
    image.topicByName(name)?.partitions[index] !== undefined;
  if (!topics.every(({ name, partitions }) => partitions.every((index) => isThere(name, index)))) {
    return results(
      topics,
      (name, index) =>
        isThere(name, index)
          ? ErrorCode.OPERATION_NOT_ATTEMPTED
          : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    );
  }
  const coordinator = transactions.coordinatorFor(transactionalId);
  const refusal = transactionalId === ""
    ? ErrorCode.INVALID_REQUEST
    : coordinator?.refusal ?? ErrorCode.NOT_COORDINATOR;
  if (coordinator === null || refusal !== ErrorCode.NONE) return results(topics, () => refusal);
  if (verifyOnly) {
    const { errorCode, partitions } = coordinator.verify(transaction);
    const outside = version >= ABORTABLE_SINCE
      ? ErrorCode.TRANSACTION_ABORTABLE
      : ErrorCode.INVALID_TXN_STATE;
    return results(topics, (name, index) => {
      if (errorCode !== ErrorCode.NONE) return errorCode;
      return partitions.get(name)?.has(index) === true ? ErrorCode.NONE : outside;
    });
  }
  const clientVersion = version >= BATCHED_SINCE ? EPOCH_PER_TRANSACTION : 0;
  const added = yield* until<number>((respond) =>
    coordinator.addPartitions(context, transaction, partitionsOf(topics), clientVersion, respond)
  );
  const errorCode = fencedErrorOf(added, version >= FENCED_SINCE);
  return results(topics, () => errorCode);
}

function partitionsOf(topics: readonly AddPartitionsToTxnTopic[]): TopicPartitions {
  const all = new Map<string, Set<number>>();
  for (const { name, partitions } of topics) {
    all.set(name, new Set([...all.get(name) ?? [], ...partitions]));
  }
  return all;
}

function results(
  topics: readonly AddPartitionsToTxnTopic[],
  errorOf: (name: string, index: number) => number,
): AddPartitionsToTxnTopicResult[] {
  return topics.map(({ name, partitions }) => ({
    name,
    resultsByPartition: partitions.map((partitionIndex) => ({
      partitionIndex,
      partitionErrorCode: errorOf(name, partitionIndex),
    })),
  }));
}
