/**
 * What the in-place readers find, as the generated messages: to compare the two.
 *
 * @module
 */

import type { ByteSource } from "../bytes/cursor.ts";
import { decodeUtf8 } from "../bytes/utf8.ts";
import type { FetchReader } from "./fetch_reader.ts";
import {
  type FetchRequest,
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
  newForgottenTopic,
  newReplicaState,
} from "./generated/fetch_request.ts";
import {
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
  type ProduceRequest,
} from "./generated/produce_request.ts";
import type { ProduceReader } from "./produce_reader.ts";
import { uuidFromBytes } from "./uuid.ts";

/** Of a reader that stands before the first topic. */
export function producedByReader(
  reader: ProduceReader,
  source: ByteSource,
  version: number,
): ProduceRequest {
  const message = newProduceRequest({
    transactionalId: reader.transactionalIdLength < 0
      ? null
      : text(source, reader.transactionalIdAddress, reader.transactionalIdLength),
    acks: reader.acks,
    timeoutMs: reader.timeoutMs,
  });
  while (reader.nextTopic()) {
    const topic = version < 13
      ? newTopicProduceData({ name: text(source, reader.topicNameAddress, reader.topicNameLength) })
      : newTopicProduceData({ topicId: uuidFromBytes(source.bytes, reader.topicIdAddress) });
    message.topicData.push(topic);
    while (reader.nextPartition()) {
      const { recordsAddress: at, recordsLength: length } = reader;
      topic.partitionData.push(newPartitionProduceData({
        index: reader.partitionIndex,
        records: length < 0 ? null : source.bytes.slice(at, at + length),
      }));
    }
  }
  return message;
}

/**
 * Of a reader that stands before the first topic.
 *
 * @param original where what the reader steps over by design is taken from: the cluster's id, and a
 * replica's directory and high watermark
 */
export function fetchedByReader(
  reader: FetchReader,
  source: ByteSource,
  version: number,
  original: FetchRequest,
): FetchRequest {
  const named = () =>
    version < 13
      ? { topic: text(source, reader.topicNameAddress, reader.topicNameLength) }
      : { topicId: uuidFromBytes(source.bytes, reader.topicIdAddress) };
  const message = newFetchRequest({
    clusterId: original.clusterId,
    maxWaitMs: reader.maxWaitMs,
    minBytes: reader.minBytes,
    maxBytes: reader.maxBytes,
    isolationLevel: reader.isolationLevel,
    sessionId: reader.sessionId,
    sessionEpoch: reader.sessionEpoch,
    rackId: text(source, reader.rackIdAddress, reader.rackIdLength),
  });
  const { replicaId, replicaEpoch } = reader;
  if (version < 15) message.replicaId = replicaId;
  else message.replicaState = newReplicaState({ replicaId, replicaEpoch });
  while (reader.nextTopic()) {
    const topic = newFetchTopic(named());
    const skippedTopic = original.topics[message.topics.length];
    message.topics.push(topic);
    while (reader.nextPartition()) {
      const skipped = skippedTopic?.partitions[topic.partitions.length];
      topic.partitions.push(newFetchPartition({
        partition: reader.partitionIndex,
        currentLeaderEpoch: reader.currentLeaderEpoch,
        fetchOffset: reader.fetchOffset,
        lastFetchedEpoch: reader.lastFetchedEpoch,
        logStartOffset: reader.logStartOffset,
        partitionMaxBytes: reader.partitionMaxBytes,
        ...(skipped === undefined ? {} : {
          replicaDirectoryId: skipped.replicaDirectoryId,
          highWatermark: skipped.highWatermark,
        }),
      }));
    }
  }
  reader.startForgotten();
  while (reader.nextForgottenTopic()) {
    const topic = newForgottenTopic(named());
    message.forgottenTopicsData.push(topic);
    while (reader.nextForgottenPartition()) topic.partitions.push(reader.partitionIndex);
  }
  return message;
}

function text(source: ByteSource, at: number, length: number): string {
  return decodeUtf8(source.bytes, at, at + length)!;
}
