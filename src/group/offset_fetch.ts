/**
 * OffsetFetch: the committed offsets of a group.
 *
 * A group that does not exist has committed nothing, which is no error: each requested partition is
 * answered with offset -1. Who requires stable offsets gets UNSTABLE_OFFSET_COMMIT of a partition with an offset in a transaction
 * that has not ended (KIP-447). Member ids and epochs (version 9) are those of the new group protocol (`consumer/offset_rules.ts`);
 * classic groups do not check them.
 *
 * @module
 */

import {
  newOffsetFetchResponseGroup,
  newOffsetFetchResponsePartitions,
  newOffsetFetchResponseTopics,
  type OffsetFetchResponseGroup,
  type OffsetFetchResponsePartitions,
} from "../wire/generated/offset_fetch_response.ts";
import type { OffsetFetchRequestGroup } from "../wire/generated/offset_fetch_request.ts";
import { ErrorCode } from "../wire/errors.ts";
import { fetchError } from "./consumer/offset_rules.ts";
import type { GroupTable } from "./group_table.ts";
import type { CommittedOffset } from "./records.ts";

/** Of partitions without a commit. */
const NO_OFFSET = -1;

/** The offsets of one group; all of them when no topics are named. */
export function fetchOffsets(
  table: GroupTable,
  request: OffsetFetchRequestGroup,
  requiresStable: boolean,
): OffsetFetchResponseGroup {
  const { groupId } = request;
  const consumer = table.groups.get(groupId)?.asConsumer ?? null;
  const errorCode = consumer === null
    ? ErrorCode.NONE
    : fetchError(consumer.written, request.memberId, request.memberEpoch);
  if (errorCode !== ErrorCode.NONE) return newOffsetFetchResponseGroup({ groupId, errorCode });
  const isUnstable = (topic: string, partition: number): boolean =>
    requiresStable && table.pending.has({ groupId, topic, partition });
  const offsets = table.groups.get(groupId)?.offsets ?? null;
  if (request.topics !== null) {
    const topics = request.topics.map(({ name, topicId, partitionIndexes }) =>
      newOffsetFetchResponseTopics({
        name,
        topicId,
        partitions: partitionIndexes.map((partition) =>
          isUnstable(name, partition)
            ? unstable(partition)
            : partitionResponse(partition, offsets?.get(name, partition) ?? null)
        ),
      })
    );
    return newOffsetFetchResponseGroup({ groupId, topics });
  }
  const topics = [...offsets?.topics() ?? []].map(([name, partitions]) =>
    newOffsetFetchResponseTopics({
      name,
      partitions: [...partitions].map(([partition, value]) =>
        isUnstable(name, partition) ? unstable(partition) : partitionResponse(partition, value)
      ),
    })
  );
  return newOffsetFetchResponseGroup({ groupId, topics });
}

function unstable(partitionIndex: number): OffsetFetchResponsePartitions {
  return newOffsetFetchResponsePartitions({
    partitionIndex,
    committedOffset: NO_OFFSET,
    committedLeaderEpoch: -1,
    metadata: "",
    errorCode: ErrorCode.UNSTABLE_OFFSET_COMMIT,
  });
}

function partitionResponse(
  partitionIndex: number,
  value: CommittedOffset | null,
): OffsetFetchResponsePartitions {
  return newOffsetFetchResponsePartitions({
    partitionIndex,
    committedOffset: value?.offset ?? NO_OFFSET,
    committedLeaderEpoch: value?.leaderEpoch ?? -1,
    metadata: value?.metadata ?? "",
  });
}
