/**
 * DeleteRecords (key 21), versions 0 to 2: moves log starts forward.
 *
 * - Everything below the offset goes; -1 means up to the high watermark. An offset beyond the high
 *   watermark is OFFSET_OUT_OF_RANGE; one below the log start changes nothing.
 * - Answers the resulting log start, once it is durable: deleted records do not come back.
 * - Internal topics are refused with INVALID_TOPIC_EXCEPTION, topics whose `cleanup.policy` does not delete
 *   with POLICY_VIOLATION, as in Kafka.
 * - Runs on the shards that own the partitions.
 *
 * Gaps: the timeout is ignored.
 *
 * @module
 */

import { NOT_LEADER } from "../../replication/replica.ts";
import { LOG_BUSY } from "../../storage/log.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { DELETE_RECORDS } from "../../wire/generated/apis.ts";
import type {
  DeleteRecordsPartition,
  DeleteRecordsRequest,
} from "../../wire/generated/delete_records_request.ts";
import {
  type DeleteRecordsPartitionResult,
  type DeleteRecordsResponse,
  newDeleteRecordsPartitionResult,
  newDeleteRecordsResponse,
} from "../../wire/generated/delete_records_response.ts";
import { all, type Task } from "../../io/task.ts";
import type { Handler } from "../handler.ts";
import {
  findPartition,
  foldTopics,
  lastOfEach,
  mergeTopics,
  splitTopics,
} from "../partition_requests.ts";
import type { Services } from "../services.ts";

/** Stands for the high watermark. */
const HIGH_WATERMARK = -1;
/** Partitions of one topic that are trimmed together, into one journal write. */
const TRIMS_AT_ONCE = 1000;

export const DELETE_RECORDS_HANDLER: Handler<DeleteRecordsRequest, DeleteRecordsResponse> = {
  api: DELETE_RECORDS,
  minVersion: 0,
  maxVersion: 2,
  route: {
    kind: "split",
    split(request, services) {
      const parts = splitTopics(services, onceEach(request), (item) => item.partitionIndex);
      return new Map([...parts].map(([shard, topics]) => [shard, { ...request, topics }]));
    },
    merge(request, responses) {
      const answers = responses.flatMap((response) => response.topics);
      const topics = mergeTopics(onceEach(request), answers, {
        of: (item) => item.partitionIndex,
        in: (result) => result.partitionIndex,
      });
      return newDeleteRecordsResponse({ topics });
    },
  },
  *handle({ services }, request) {
    const topics = [];
    for (const { name, partitions } of request.topics) {
      const tasks = partitions.map((item) => deleteRecords(services, name, item));
      topics.push({ name, partitions: yield* all(tasks, TRIMS_AT_ONCE) });
    }
    return newDeleteRecordsResponse({ topics });
  },
};

/** Of a partition that is named twice the last offset counts, as in Kafka. */
function onceEach(
  { topics }: DeleteRecordsRequest,
): { name: string; partitions: DeleteRecordsPartition[] }[] {
  return foldTopics(topics).map(({ name, partitions }) => ({
    name,
    partitions: lastOfEach(partitions, (item) => item.partitionIndex),
  }));
}

function* deleteRecords(
  services: Services,
  name: string,
  item: DeleteRecordsPartition,
): Task<DeleteRecordsPartitionResult> {
  const { partitionIndex } = item;
  const refused = (errorCode: ErrorCode): DeleteRecordsPartitionResult =>
    newDeleteRecordsPartitionResult({ partitionIndex, errorCode, lowWatermark: -1 });
  const topic = services.image.topicByName(name);
  if (topic?.internal) return refused(ErrorCode.INVALID_TOPIC_EXCEPTION);
  const { partition, error } = findPartition(services, name, partitionIndex, -1);
  if (partition === null) return refused(error);
  if (!partition.leading) return refused(ErrorCode.KAFKA_STORAGE_ERROR);
  if (!topic!.config.isDeleted) return refused(ErrorCode.POLICY_VIOLATION);
  const highWatermark = partition.highWatermark;
  const offset = item.offset === HIGH_WATERMARK ? highWatermark : item.offset;
  if (offset < 0 || offset > highWatermark) return refused(ErrorCode.OFFSET_OUT_OF_RANGE);
  const result = yield* partition.trimTo(offset);
  if (result === LOG_BUSY) return refused(ErrorCode.REQUEST_TIMED_OUT);
  if (partition.gone) return refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  if (result === NOT_LEADER) return refused(ErrorCode.NOT_LEADER_OR_FOLLOWER);
  if (result < 0) return refused(ErrorCode.KAFKA_STORAGE_ERROR);
  return newDeleteRecordsPartitionResult({ partitionIndex, lowWatermark: partition.startOffset });
}
