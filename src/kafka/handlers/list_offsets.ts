/**
 * ListOffsets (key 2), versions 0 to 11: offsets by time.
 *
 * - v0 (librdkafka up to 1.5 asks it): a list of offsets from before that time, the greatest first and at
 *   most as many as asked for. Kafka lists the starts of segments; Gregor only the log start.
 * - -1 latest: the high watermark; for read-committed consumers (v2) the last stable offset.
 * - -2 earliest, and -4 earliest local (v8): the log start.
 * - -3 (v7): the record with the greatest timestamp.
 * - -5 latest tiered (v9), -6 earliest not yet uploaded (v11): -1, as in a Kafka without tiered storage.
 * - A time: the first committed record that is not older; -1 when there is none.
 * - While a leader that has just been elected does not know yet what is committed: OFFSET_NOT_AVAILABLE (v5), before
 *   LEADER_NOT_AVAILABLE.
 * - v4: the leader epoch fences. A special value that the version does not have is UNSUPPORTED_VERSION,
 *   a partition named twice INVALID_REQUEST (v0: more than 16 times). An unknown isolation level is
 *   UNKNOWN_SERVER_ERROR for everything, in the shape of the request.
 * - Runs on the shards that own the partitions.
 *
 * Gaps: the timeout of v10 is ignored (no request waits for remote storage). -3 returns -1 while the
 * record with the greatest timestamp is not committed yet. Replicas do not use this API.
 *
 * @module
 */

import type { Task } from "../../io/task.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { LIST_OFFSETS } from "../../wire/generated/apis.ts";
import type {
  ListOffsetsPartition,
  ListOffsetsRequest,
} from "../../wire/generated/list_offsets_request.ts";
import {
  type ListOffsetsPartitionResponse,
  type ListOffsetsResponse,
  newListOffsetsPartitionResponse,
  newListOffsetsResponse,
} from "../../wire/generated/list_offsets_response.ts";
import type { Handler, RequestContext } from "../handler.ts";
import { type Partition, refusalOf } from "../partition.ts";
import {
  findPartition,
  foldTopics,
  lastOfEach,
  mergeTopics,
  splitTopics,
} from "../partition_requests.ts";

const LATEST = -1;
const EARLIEST = -2;
const MAX_TIMESTAMP = -3;
const EARLIEST_LOCAL = -4;
const LATEST_TIERED = -5;
const EARLIEST_PENDING_UPLOAD = -6;

/** First version of each special value. */
const SPECIAL_SINCE = new Map([
  [LATEST, 0],
  [EARLIEST, 0],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
  [EARLIEST_PENDING_UPLOAD, 11],
]);
const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;
/** First version with OFFSET_NOT_AVAILABLE. */
const NOT_AVAILABLE_SINCE = 5;
/** The version that answers with a list of offsets. */
const OLD_STYLE_VERSION = 0;
/**
 * How often one request of that version may name a partition; later ones may once. To find a time may mean to
 * decompress a batch, so a request that asks it many thousand times would keep the shard for minutes.
 */
const OLD_STYLE_NAMINGS_MAX = 16;

export const LIST_OFFSETS_HANDLER: Handler<ListOffsetsRequest, ListOffsetsResponse> = {
  api: LIST_OFFSETS,
  minVersion: 0,
  maxVersion: 11,
  route: {
    kind: "split",
    split(request, services) {
      if (!isIsolationLevel(request.isolationLevel)) return new Map();
      const topics = foldTopics(request.topics);
      const parts = splitTopics(services, topics, (item) => item.partitionIndex);
      return new Map([...parts].map(([shard, topics]) => [shard, { ...request, topics }]));
    },
    merge(request, responses) {
      if (!isIsolationLevel(request.isolationLevel)) return refuseAll(request);
      const answers = responses.flatMap((response) => response.topics);
      const topics = mergeTopics(foldTopics(request.topics), answers, {
        of: (item) => item.partitionIndex,
        in: (result) => result.partitionIndex,
      });
      return newListOffsetsResponse({ topics });
    },
  },
  *handle(context, request) {
    const topics = [];
    for (const { name, partitions } of request.topics) {
      const counts = new Map<number, number>();
      for (const { partitionIndex } of partitions) {
        counts.set(partitionIndex, (counts.get(partitionIndex) ?? 0) + 1);
      }
      const results: ListOffsetsPartitionResponse[] = [];
      const items = context.version > OLD_STYLE_VERSION
        ? lastOfEach(partitions, ({ partitionIndex }) => partitionIndex)
        : partitions;
      const namingsMax = context.version > OLD_STYLE_VERSION ? 1 : OLD_STYLE_NAMINGS_MAX;
      for (const item of items) {
        results.push(
          counts.get(item.partitionIndex)! > namingsMax
            ? answer(item, { errorCode: ErrorCode.INVALID_REQUEST })
            : yield* listOffset(context, request, name, item),
        );
      }
      topics.push({ name, partitions: results });
    }
    return newListOffsetsResponse({ topics });
  },
};

function* listOffset(
  context: RequestContext,
  request: ListOffsetsRequest,
  name: string,
  item: ListOffsetsPartition,
): Task<ListOffsetsPartitionResponse> {
  const { services, version } = context;
  const { timestamp } = item;
  if (timestamp < 0 && version < (SPECIAL_SINCE.get(timestamp) ?? Infinity)) {
    return answer(item, { errorCode: ErrorCode.UNSUPPORTED_VERSION });
  }
  const { partitionIndex, currentLeaderEpoch } = item;
  const { partition, error } = findPartition(services, name, partitionIndex, currentLeaderEpoch);
  if (partition === null) {
    return answer(item, { errorCode: leadsSoon(context, name, item) ?? error });
  }
  const limit = request.isolationLevel === READ_COMMITTED
    ? partition.lastStableOffset
    : partition.highWatermark;
  const withEpoch = (epoch: number) => (version >= 4 ? epoch : -1);
  if (version === OLD_STYLE_VERSION) return yield* oldStyleOffsets(partition, item, limit);
  switch (timestamp) {
    case LATEST:
      return answer(item, { offset: limit, leaderEpoch: withEpoch(partition.leaderEpoch) });
    case EARLIEST:
    case EARLIEST_LOCAL: {
      const offset = partition.startOffset;
      return answer(item, { offset, leaderEpoch: withEpoch(epochAt(partition, offset)) });
    }
    case LATEST_TIERED:
    case EARLIEST_PENDING_UPLOAD:
      return answer(item, {});
  }
  const searched = timestamp === MAX_TIMESTAMP ? partition.log.maxTimestampMs : timestamp;
  if (searched < 0) return answer(item, {});
  const match = yield* partition.log.offsetForTimestamp(searched, limit);
  if (match === null) return answer(item, { errorCode: ErrorCode.KAFKA_STORAGE_ERROR });
  if (match.offset < 0) return answer(item, {});
  return answer(item, {
    offset: match.offset,
    timestamp: match.timestampMs,
    leaderEpoch: withEpoch(match.term),
  });
}

/** A leader that has just been elected does not know yet what is committed: clients come again without looking for another. */
function leadsSoon(
  { services, version }: RequestContext,
  name: string,
  { partitionIndex, currentLeaderEpoch }: ListOffsetsPartition,
): ErrorCode | null {
  const image = services.image.topicByName(name)?.partitions[partitionIndex];
  const partition = image === undefined ? undefined : services.partitions.byGroup(image.groupId);
  if (partition?.undecided !== true) return null;
  if (refusalOf(partition, currentLeaderEpoch) !== ErrorCode.NOT_LEADER_OR_FOLLOWER) return null;
  return version < NOT_AVAILABLE_SINCE
    ? ErrorCode.LEADER_NOT_AVAILABLE
    : ErrorCode.OFFSET_NOT_AVAILABLE;
}

/** The offsets that lie before what is asked for: its own, and the log's start. */
function* oldStyleOffsets(
  partition: Partition,
  item: ListOffsetsPartition,
  limit: number,
): Task<ListOffsetsPartitionResponse> {
  const { timestamp, maxNumOffsets } = item;
  if (maxNumOffsets < 0) return answer(item, { errorCode: ErrorCode.INVALID_REQUEST });
  const { startOffset } = partition;
  let offset = timestamp === EARLIEST ? startOffset : limit;
  if (timestamp >= 0) {
    const match = yield* partition.log.offsetForTimestamp(timestamp, limit);
    if (match === null) return answer(item, { errorCode: ErrorCode.KAFKA_STORAGE_ERROR });
    if (match.offset >= 0) offset = match.offset;
    // Nothing is older.
    if (offset <= startOffset) return answer(item, {});
  }
  const offsets = offset > startOffset ? [offset, startOffset] : [startOffset];
  return answer(item, { oldStyleOffsets: offsets.slice(0, maxNumOffsets) });
}

function isIsolationLevel(level: number): boolean {
  return level === READ_UNCOMMITTED || level === READ_COMMITTED;
}

function refuseAll(request: ListOffsetsRequest): ListOffsetsResponse {
  const errorCode = ErrorCode.UNKNOWN_SERVER_ERROR;
  const topics = request.topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map((item) => answer(item, { errorCode })),
  }));
  return newListOffsetsResponse({ topics });
}

/** The epoch of the record at `offset`, or of the leader where there is none yet. */
function epochAt(partition: Partition, offset: number): number {
  const { log } = partition;
  if (offset >= log.endOffset) return partition.leaderEpoch;
  return log.termAt(log.indexAt(offset));
}

function answer(
  { partitionIndex }: ListOffsetsPartition,
  fields: Partial<ListOffsetsPartitionResponse>,
): ListOffsetsPartitionResponse {
  return newListOffsetsPartitionResponse({ partitionIndex, ...fields });
}
