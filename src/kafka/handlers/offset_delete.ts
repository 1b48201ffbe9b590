/**
 * OffsetDelete (key 47), version 0: an operator deletes a group's offsets.
 *
 * - Of a group with members only where they are consumers and none reads the topic
 *   (GROUP_SUBSCRIBED_TO_TOPIC); NON_EMPTY_GROUP for other groups with members.
 * - Topics and partitions that do not exist: UNKNOWN_TOPIC_OR_PARTITION; the rest is deleted.
 *
 * Gaps: none.
 *
 * @module
 */

import { until } from "../../io/task.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { OFFSET_DELETE } from "../../wire/generated/apis.ts";
import type { OffsetDeleteRequest } from "../../wire/generated/offset_delete_request.ts";
import {
  newOffsetDeleteResponse,
  newOffsetDeleteResponsePartition,
  newOffsetDeleteResponseTopic,
  type OffsetDeleteResponse,
  type OffsetDeleteResponsePartition,
} from "../../wire/generated/offset_delete_response.ts";
import { ON_GROUP_SHARD } from "../group_routes.ts";
import type { Handler } from "../handler.ts";

export const OFFSET_DELETE_HANDLER: Handler<OffsetDeleteRequest, OffsetDeleteResponse> = {
  api: OFFSET_DELETE,
  minVersion: 0,
  maxVersion: 0,
  route: ON_GROUP_SHARD,
  *handle(context, request) {
    const { groups, image } = context.services;
    const coordinator = groups.coordinatorFor(request.groupId);
    if (coordinator === null) {
      return newOffsetDeleteResponse({ errorCode: ErrorCode.NOT_COORDINATOR });
    }
    const exists = (name: string, partition: number): boolean =>
      image.topicByName(name)?.partitions[partition] !== undefined;
    const topics = request.topics.map((topic) => {
      const { name, partitions } = topic;
      return { ...topic, partitions: partitions.filter((p) => exists(name, p.partitionIndex)) };
    }).filter(({ partitions }) => partitions.length > 0);
    const deleted = yield* until<OffsetDeleteResponse>((respond) =>
      coordinator.offsetDelete(context, { ...request, topics }, respond)
    );
    if (deleted.errorCode !== ErrorCode.NONE) return deleted;
    // As in Kafka a topic has one entry where something does not exist, which comes first.
    const byName = new Map<string, OffsetDeleteResponsePartition[]>();
    const partitionsOf = (name: string): OffsetDeleteResponsePartition[] => {
      const known = byName.get(name);
      if (known !== undefined) return known;
      const made: OffsetDeleteResponsePartition[] = [];
      byName.set(name, made);
      return made;
    };
    const errorCode = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    for (const { name, partitions } of request.topics) {
      if (image.topicByName(name) === undefined) partitionsOf(name);
      for (const { partitionIndex } of partitions) {
        if (exists(name, partitionIndex)) continue;
        partitionsOf(name).push(newOffsetDeleteResponsePartition({ partitionIndex, errorCode }));
      }
    }
    if (byName.size === 0) return deleted;
    for (const { name, partitions } of deleted.topics) partitionsOf(name).push(...partitions);
    const answers = [...byName].map(([name, partitions]) =>
      newOffsetDeleteResponseTopic({ name, partitions })
    );
    return newOffsetDeleteResponse({ topics: answers });
  },
};
