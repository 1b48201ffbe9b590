/**
 * ListPartitionReassignments (key 46), version 0: changes of replicas that are under way.
 *
 * - A null list of topics asks for all; partitions that are not changing, or do not exist, are left out.
 *
 * Gaps: none.
 *
 * @module
 */

import type { PartitionImage, TopicImage } from "../../cluster/image.ts";
import { LIST_PARTITION_REASSIGNMENTS } from "../../wire/generated/apis.ts";
import type { ListPartitionReassignmentsRequest } from "../../wire/generated/list_partition_reassignments_request.ts";
import {
  type ListPartitionReassignmentsResponse,
  newListPartitionReassignmentsResponse,
  type OngoingTopicReassignment,
} from "../../wire/generated/list_partition_reassignments_response.ts";
import { type Handler, LOCAL } from "../handler.ts";

export const LIST_PARTITION_REASSIGNMENTS_HANDLER: Handler<
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponse
> = {
  api: LIST_PARTITION_REASSIGNMENTS,
  minVersion: 0,
  maxVersion: 0,
  route: LOCAL,
  // deno-lint-ignore require-yield -- answered from the image.
  *handle({ services: { image } }, { topics: asked }) {
    const topics: OngoingTopicReassignment[] = [];
    if (asked === null) {
      for (const topic of image.topics.values()) topics.push(...viewOf(topic, topic.partitions));
    } else {
      for (const { name, partitionIndexes } of asked) {
        const topic = image.topicByName(name);
        if (topic === undefined) continue;
        const indexes = new Set(partitionIndexes);
        topics.push(...viewOf(topic, topic.partitions.filter(({ index }) => indexes.has(index))));
      }
    }
    return newListPartitionReassignmentsResponse({ errorMessage: null, topics });
  },
};

/** The topic with its changing partitions; nothing when there are none. */
function viewOf(
  { name }: TopicImage,
  partitions: readonly PartitionImage[],
): OngoingTopicReassignment[] {
  const changing = partitions.filter(({ isChanging }) => isChanging);
  if (changing.length === 0) return [];
  return [{
    name,
    partitions: changing.map(({ index, replicas, adding, removing }) => ({
      partitionIndex: index,
      replicas: [...replicas],
      addingReplicas: [...adding],
      removingReplicas: [...removing],
    })),
  }];
}
