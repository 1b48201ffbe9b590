/**
 * OffsetFetch: the committed offsets of a group.
 *
 * A group that does not exist has committed nothing, which is no error: each requested partition is
 * answered with offset -1. `requireStable` has nothing to wait for as long as no transaction commits
 * offsets. Member ids and epochs (version 9) are those of the new group protocol; classic groups do not
 * check them.
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
import type { GroupTable } from "./group_table.ts";
import type { CommittedOffset } from "./records.ts";

/** Of partitions without a commit. */
const NO_OFFSET = -1;

/** The offsets of one group; all of them when no topics are named. */
export function fetchOffsets(
  table: GroupTable,
  request: OffsetFetchRequestGroup,
): OffsetFetchResponseGroup {
  const { groupId } = request;
  const offsets = table.groups.get(groupId)?.offsets ?? null;
  if (request.topics !== null) {
    const topics = request.topics.map(({ name, topicId, partitionIndexes }) =>
      newOffsetFetchResponseTopics({
        name,
        topicId,
        partitions: partitionIndexes.map((partition) =>
          partitionResponse(partition, offsets?.get(name, partition) ?? null)
        ),
      })
    );
    return newOffsetFetchResponseGroup({ groupId, topics });
  }
  const topics = [...offsets?.topics() ?? []].map(([name, partitions]) =>
    newOffsetFetchResponseTopics({
      name,
      partitions: [...partitions].map(([partition, value]) => partitionResponse(partition, value)),
    })
  );
  return newOffsetFetchResponseGroup({ groupId, topics });
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
