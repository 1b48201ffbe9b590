/**
 * WriteTxnMarkers (key 27), versions 1 to 2: the end of producers' transactions, in the partitions that they wrote to.
 *
 * - Transaction coordinators send it, on whatever node; and Kafka's tool, to abort a transaction that hangs.
 * - Answered when the marker is committed. A marker with an earlier epoch of the producer than the partition
 *   knows is INVALID_PRODUCER_EPOCH; one of an earlier coordinator TRANSACTION_COORDINATOR_FENCED.
 * - v2: where the epoch rises with each transaction (KIP-890), a marker that repeats the last one is done already and writes nothing, so
 *   that a late one never touches the next transaction (KIP-1228).
 * - UNSUPPORTED_VERSION as long as some node of the cluster does not know transactions.
 * - Runs on the shards that own the partitions.
 *
 * Gaps: none.
 *
 * @module
 */

import { all, type Task, until } from "../../io/task.ts";
import { NOT_LEADER } from "../../replication/replica.ts";
import { EPOCH_PER_TRANSACTION } from "../../txn/coordinator.ts";
import { buildEndTransactionMarker } from "../../wire/control_records.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { WRITE_TXN_MARKERS } from "../../wire/generated/apis.ts";
import type {
  WritableTxnMarker,
  WriteTxnMarkersRequest,
} from "../../wire/generated/write_txn_markers_request.ts";
import {
  newWriteTxnMarkersResponse,
  type WritableTxnMarkerTopicResult,
  type WriteTxnMarkersResponse,
} from "../../wire/generated/write_txn_markers_response.ts";
import { AnswerQueues } from "../answer_queues.ts";
import type { Handler, RequestContext } from "../handler.ts";
import type { Partition } from "../partition.ts";
import { findPartition, splitTopics } from "../partition_requests.ts";
import { hasTransactions } from "../transaction_routes.ts";

/** Markers of one request that are appended at once. */
const APPENDS_AT_ONCE = 1_000;

export const WRITE_TXN_MARKERS_HANDLER: Handler<WriteTxnMarkersRequest, WriteTxnMarkersResponse> = {
  api: WRITE_TXN_MARKERS,
  minVersion: 1,
  maxVersion: 2,
  route: {
    kind: "split",
    split(request, services) {
      const parts = new Map<number, WritableTxnMarker[]>();
      for (const marker of request.markers) {
        for (const [shard, topics] of splitTopics(services, partsOf(marker), (index) => index)) {
          const named = topics.map(({ name, partitions: partitionIndexes }) => ({
            name,
            partitionIndexes,
          }));
          const part = parts.get(shard);
          if (part === undefined) parts.set(shard, [{ ...marker, topics: named }]);
          else part.push({ ...marker, topics: named });
        }
      }
      return new Map([...parts].map(([shard, markers]) => [shard, { markers }]));
    },
    merge(request, responses) {
      const answers = new AnswerQueues<number>();
      for (const { producerId, topics } of responses.flatMap(({ markers }) => markers)) {
        for (const { name, partitions } of topics) {
          for (const { partitionIndex, errorCode } of partitions) {
            answers.add(`${producerId}/${name}/${partitionIndex}`, errorCode);
          }
        }
      }
      const markers = request.markers.map(({ producerId, topics }) => ({
        producerId,
        topics: topics.map(({ name, partitionIndexes }) => ({
          name,
          partitions: partitionIndexes.map((partitionIndex) => ({
            partitionIndex,
            errorCode: answers.take(`${producerId}/${name}/${partitionIndex}`) ??
              ErrorCode.UNKNOWN_SERVER_ERROR,
          })),
        })),
      }));
      return newWriteTxnMarkersResponse({ markers });
    },
  },
  *handle(context, { markers }) {
    const results = [];
    for (const marker of markers) {
      const topics: WritableTxnMarkerTopicResult[] = [];
      for (const { name, partitionIndexes } of marker.topics) {
        const written = partitionIndexes.map((index) => write(context, marker, name, index));
        const errors = yield* all(written, APPENDS_AT_ONCE);
        topics.push({
          name,
          partitions: partitionIndexes.map((partitionIndex, at) => ({
            partitionIndex,
            errorCode: errors[at]!,
          })),
        });
      }
      results.push({ producerId: marker.producerId, topics });
    }
    return newWriteTxnMarkersResponse({ markers: results });
  },
};

function* write(
  { services, wallMs }: RequestContext,
  marker: WritableTxnMarker,
  name: string,
  index: number,
): Task<ErrorCode> {
  const { partition, error } = findPartition(services, name, index, -1);
  if (partition === null) return error;
  if (!partition.leading) return ErrorCode.NOT_LEADER_OR_FOLLOWER;
  // Older programs among the replicas could not read what is kept of it.
  if (!hasTransactions(services)) return ErrorCode.UNSUPPORTED_VERSION;
  const { producerId, producerEpoch, coordinatorEpoch } = marker;
  const verdict = verdictOf(partition, marker);
  if (verdict !== null && verdict !== ErrorCode.NONE) return verdict;
  if (verdict === ErrorCode.NONE) return yield* whenCommitted(partition);
  const batch = buildEndTransactionMarker({
    isCommit: marker.transactionResult,
    producerId,
    producerEpoch,
    coordinatorEpoch,
    timestampMs: wallMs,
  });
  const result = yield* until<number>((done) =>
    services.markers.append(partition, producerId, batch, done)
  );
  if (result >= 0) return ErrorCode.NONE;
  return result === NOT_LEADER ? ErrorCode.NOT_LEADER_OR_FOLLOWER : ErrorCode.KAFKA_STORAGE_ERROR;
}

/** Everything in the log so far is committed: the marker that is there may not be yet. */
function* whenCommitted(partition: Partition): Task<ErrorCode> {
  if (partition.highWatermark >= partition.log.endOffset) return ErrorCode.NONE;
  return yield* until<ErrorCode>((done) =>
    partition.awaitCommit(partition.log.endOffset, {
      onReached: () => done(ErrorCode.NONE),
      onLost: () => done(ErrorCode.NOT_LEADER_OR_FOLLOWER),
    }, 0)
  );
}

/** What to answer without a new marker; null: it is to be written. */
function verdictOf(
  { log: { producers } }: Partition,
  { producerId, producerEpoch, coordinatorEpoch, transactionVersion }: WritableTxnMarker,
): ErrorCode | null {
  if (producerId < 0 || producerEpoch < 0) return ErrorCode.INVALID_REQUEST;
  const epoch = producers.epochOf(producerId);
  if (producerEpoch < epoch) return ErrorCode.INVALID_PRODUCER_EPOCH;
  if (coordinatorEpoch < producers.coordinatorEpochOf(producerId)) {
    return ErrorCode.TRANSACTION_COORDINATOR_FENCED;
  }
  const rises = transactionVersion >= EPOCH_PER_TRANSACTION;
  if (!rises || producerEpoch > epoch) return null;
  // The epoch rose with the marker, so there is one.
  return producers.transactionOf(producerId) < 0
    ? ErrorCode.NONE
    : ErrorCode.INVALID_PRODUCER_EPOCH;
}

function partsOf(
  { topics }: WritableTxnMarker,
): { readonly name: string; readonly partitions: number[] }[] {
  return topics.map(({ name, partitionIndexes }) => ({ name, partitions: partitionIndexes }));
}
