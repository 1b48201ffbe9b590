/**
 * Transactions from the outside: their list, what each one writes to, and ways to end them.
 *
 * @module
 */

import {
  ADD_PARTITIONS_TO_TXN,
  DESCRIBE_PRODUCERS,
  DESCRIBE_TRANSACTIONS,
  END_TXN,
  INIT_PRODUCER_ID,
  LIST_TRANSACTIONS,
  WRITE_TXN_MARKERS,
} from "../../wire/generated/apis.ts";
import {
  newAddPartitionsToTxnRequest,
  newAddPartitionsToTxnTopic,
} from "../../wire/generated/add_partitions_to_txn_request.ts";
import {
  newDescribeProducersRequest,
  newTopicRequest,
} from "../../wire/generated/describe_producers_request.ts";
import type { ProducerState } from "../../wire/generated/describe_producers_response.ts";
import { newDescribeTransactionsRequest } from "../../wire/generated/describe_transactions_request.ts";
import { newEndTxnRequest } from "../../wire/generated/end_txn_request.ts";
import { newInitProducerIdRequest } from "../../wire/generated/init_producer_id_request.ts";
import { newListTransactionsRequest } from "../../wire/generated/list_transactions_request.ts";
import {
  newWritableTxnMarker,
  newWritableTxnMarkerTopic,
  newWriteTxnMarkersRequest,
} from "../../wire/generated/write_txn_markers_request.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { type Cluster, CoordinatorOf } from "./cluster.ts";
import type { TopicPartition } from "./groups.ts";
import { brokerRefusal } from "./outcome.ts";
import type { ProducerIdentity } from "./producer.ts";
import { pause } from "../pause.ts";

/** A transaction that its producer leaves alone is aborted after this long (ms): Kafka's default. */
const TIMEOUT_MS = 60_000;
/** Last versions that clients may use: later ones are of brokers, or have two-phase commit. */
const ADD_PARTITIONS_CLIENT = 3;
const END_TXN_V1 = 4;
const INIT_PRODUCER_ID_MAX = 5;
const NO_TRANSACTION = -1;
/** Between two looks at whether a transaction is over (ms). */
const LOOK_MS = 10;

export interface ListedTransaction {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly state: string;
  /** Node id. */
  readonly coordinator: number;
}

export interface DescribedTransaction extends ListedTransaction {
  readonly producerEpoch: number;
  readonly timeoutMs: number;
  /** When it began (ms since 1970); -1: none is open. */
  readonly startMs: number;
  readonly partitions: readonly TopicPartition[];
}

export interface TransactionFilter {
  /** Empty: all. */
  readonly states: readonly string[];
  /** Open for longer than this (ms); -1: all. */
  readonly longerThanMs: number;
}

/** Transactional ids of every node, by name. */
export async function listTransactions(
  cluster: Cluster,
  { states, longerThanMs }: TransactionFilter,
): Promise<ListedTransaction[]> {
  const { brokers } = await cluster.places([]);
  const found: ListedTransaction[] = [];
  for (const { nodeId } of brokers) {
    const connection = await cluster.node(nodeId);
    const request = newListTransactionsRequest({
      stateFilters: [...states],
      durationFilter: longerThanMs,
    });
    const listed = await cluster.retrying(async () => {
      const response = await connection.call(LIST_TRANSACTIONS, request);
      if (response.errorCode !== 0) throw brokerRefusal("list transactions", response.errorCode);
      return response.transactionStates;
    });
    for (const { transactionalId, producerId, transactionState } of listed) {
      found.push({ transactionalId, producerId, state: transactionState, coordinator: nodeId });
    }
  }
  return found.sort((a, b) => (a.transactionalId < b.transactionalId ? -1 : 1));
}

/** One transactional id, as its coordinator knows it. */
export async function describeTransaction(
  cluster: Cluster,
  transactionalId: string,
): Promise<DescribedTransaction> {
  return await cluster.retrying(async () => {
    const { nodeId, connection } = await cluster.coordinator(
      transactionalId,
      CoordinatorOf.TRANSACTION,
    );
    const request = newDescribeTransactionsRequest({ transactionalIds: [transactionalId] });
    const one = (await connection.call(DESCRIBE_TRANSACTIONS, request)).transactionStates[0];
    const code = one?.errorCode ?? ErrorCode.TRANSACTIONAL_ID_NOT_FOUND;
    if (one === undefined || code !== 0) {
      throw brokerRefusal(`describe transactional id ${transactionalId}`, code);
    }
    return {
      transactionalId,
      producerId: one.producerId,
      producerEpoch: one.producerEpoch,
      state: one.transactionState,
      coordinator: nodeId,
      timeoutMs: one.transactionTimeoutMs,
      startMs: one.transactionStartTimeMs,
      partitions: one.topics.flatMap(({ topic, partitions }) =>
        partitions.map((partition) => ({ topic, partition }))
      ),
    };
  });
}

/**
 * Takes a transactional id over: what its producer had open is aborted, and that producer is fenced.
 *
 * @returns the identity of the one that has it now
 */
export async function takeTransactionalId(
  cluster: Cluster,
  transactionalId: string,
): Promise<ProducerIdentity> {
  return await cluster.retrying(async () => {
    const { connection } = await cluster.coordinator(transactionalId, CoordinatorOf.TRANSACTION);
    const request = newInitProducerIdRequest({
      transactionalId,
      transactionTimeoutMs: TIMEOUT_MS,
      producerId: -1,
      producerEpoch: -1,
    });
    const options = { maxVersion: INIT_PRODUCER_ID_MAX };
    const { errorCode, producerId, producerEpoch } = await connection.call(
      INIT_PRODUCER_ID,
      request,
      options,
    );
    if (errorCode !== 0) {
      throw brokerRefusal(`take transactional id ${transactionalId}`, errorCode);
    }
    return { producerId, producerEpoch };
  });
}

/** A transaction's part in a partition is announced before its first batch there. */
export async function addPartition(
  cluster: Cluster,
  transactionalId: string,
  { producerId, producerEpoch }: ProducerIdentity,
  { topic, partition }: TopicPartition,
): Promise<void> {
  const request = newAddPartitionsToTxnRequest({
    v3AndBelowTransactionalId: transactionalId,
    v3AndBelowProducerId: producerId,
    v3AndBelowProducerEpoch: producerEpoch,
    v3AndBelowTopics: [newAddPartitionsToTxnTopic({ name: topic, partitions: [partition] })],
  });
  await cluster.retrying(async () => {
    const { connection } = await cluster.coordinator(transactionalId, CoordinatorOf.TRANSACTION);
    const options = { maxVersion: ADD_PARTITIONS_CLIENT };
    const response = await connection.call(ADD_PARTITIONS_TO_TXN, request, options);
    for (const { resultsByPartition } of response.resultsByTopicV3AndBelow) {
      for (const { partitionErrorCode } of resultsByPartition) {
        if (partitionErrorCode === 0) continue;
        throw brokerRefusal(`add ${topic}/${partition} to the transaction`, partitionErrorCode);
      }
    }
  });
}

/**
 * Commits or aborts what a producer has open. A coordinator answers when the decision is durable; this also waits, for the
 * command's timeout at most, until the partitions know, so that whoever reads next finds it.
 */
export async function endTransaction(
  cluster: Cluster,
  transactionalId: string,
  { producerId, producerEpoch }: ProducerIdentity,
  committed: boolean,
): Promise<void> {
  const request = newEndTxnRequest({ transactionalId, producerId, producerEpoch, committed });
  await cluster.retrying(async () => {
    const { connection } = await cluster.coordinator(transactionalId, CoordinatorOf.TRANSACTION);
    const { errorCode } = await connection.call(END_TXN, request, { maxVersion: END_TXN_V1 });
    const what = committed ? "commit" : "abort";
    if (errorCode !== 0) throw brokerRefusal(`${what} the transaction`, errorCode);
  });
  const lateMs = performance.now() + cluster.timeoutMs;
  while (performance.now() < lateMs) {
    const { state } = await describeTransaction(cluster, transactionalId);
    if (!state.startsWith("Prepare")) return;
    await pause(LOOK_MS);
  }
}

/** Producers of a partition with a transaction that is open there, as its leader knows them. */
export async function openProducers(
  cluster: Cluster,
  { topic, partition }: TopicPartition,
): Promise<ProducerState[]> {
  return await cluster.retrying(async () => {
    const request = newDescribeProducersRequest({
      topics: [newTopicRequest({ name: topic, partitionIndexes: [partition] })],
    });
    const connection = await leaderOf(cluster, { topic, partition });
    const response = await connection.call(DESCRIBE_PRODUCERS, request);
    const { errorCode, errorMessage, activeProducers } = response.topics[0]!.partitions[0]!;
    if (errorCode !== 0) {
      throw brokerRefusal(`ask for producers of ${topic}/${partition}`, errorCode, errorMessage);
    }
    return activeProducers.filter(({ currentTxnStartOffset }) =>
      currentTxnStartOffset !== NO_TRANSACTION
    );
  });
}

/** Ends what a producer has open in one partition, whatever its coordinator says. */
export async function abortHanging(
  cluster: Cluster,
  { topic, partition }: TopicPartition,
  { producerId, producerEpoch, coordinatorEpoch }: ProducerState,
): Promise<void> {
  const request = newWriteTxnMarkersRequest({
    markers: [
      newWritableTxnMarker({
        producerId,
        producerEpoch,
        transactionResult: false,
        // Its leader knows of none before the first marker.
        coordinatorEpoch: Math.max(0, coordinatorEpoch),
        topics: [newWritableTxnMarkerTopic({ name: topic, partitionIndexes: [partition] })],
      }),
    ],
  });
  await cluster.retrying(async () => {
    const connection = await leaderOf(cluster, { topic, partition });
    const { markers } = await connection.call(WRITE_TXN_MARKERS, request);
    for (const { errorCode } of markers.flatMap(({ topics }) => topics[0]!.partitions)) {
      if (errorCode === 0) continue;
      throw brokerRefusal(`abort what producer ${producerId} has open`, errorCode);
    }
  });
}

async function leaderOf(cluster: Cluster, place: TopicPartition) {
  const [leader] = (await cluster.byLeader([place])).keys();
  return await cluster.node(leader!);
}
