/**
 * OffsetCommit (key 8), versions 1 to 10: a group's positions are kept.
 *
 * - Topics and partitions that do not exist: UNKNOWN_TOPIC_OR_PARTITION, or UNKNOWN_TOPIC_ID for a topic that is
 *   named by id (v10); the rest is committed. When no partition is left, the group is not checked.
 * - v1: the time of the commit may be given. v2 to v4: the request's own retention is kept with
 *   the offset. v6: leader epoch. v7: static members.
 * - v9: member epochs of groups of the new protocol, whose members get UNSUPPORTED_VERSION before; GROUP_ID_NOT_FOUND for a group that does not exist (before: ILLEGAL_GENERATION).
 *
 * Gaps: none.
 *
 * @module
 */

import type { TopicImage } from "../../cluster/image.ts";
import { commitResponse } from "../../group/offset_commit.ts";
import { until } from "../../io/task.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { OFFSET_COMMIT } from "../../wire/generated/apis.ts";
import type {
  OffsetCommitRequest,
  OffsetCommitRequestTopic,
} from "../../wire/generated/offset_commit_request.ts";
import {
  newOffsetCommitResponse,
  type OffsetCommitResponse,
  type OffsetCommitResponseTopic,
} from "../../wire/generated/offset_commit_response.ts";
import { ZERO_UUID } from "../../wire/uuid.ts";
import { ON_GROUP_SHARD } from "../group_routes.ts";
import type { Handler } from "../handler.ts";

/** First version that names topics by id. */
const TOPIC_ID_VERSION = 10;

export const OFFSET_COMMIT_HANDLER: Handler<OffsetCommitRequest, OffsetCommitResponse> = {
  api: OFFSET_COMMIT,
  minVersion: 1,
  maxVersion: 10,
  route: ON_GROUP_SHARD,
  *handle(context, request) {
    const { services, version } = context;
    const coordinator = services.groups.coordinatorFor(request.groupId);
    if (coordinator === null) return commitResponse(request, () => ErrorCode.NOT_COORDINATOR);
    const byId = version >= TOPIC_ID_VERSION;
    const refused = new Map<string, OffsetCommitResponseTopic>();
    const topics: OffsetCommitRequestTopic[] = [];
    for (const topic of request.topics) {
      const image = byId
        ? services.image.topicById(topic.topicId)
        : services.image.topicByName(topic.name);
      const known = topic.partitions.filter((each) => hasPartition(image, each.partitionIndex));
      const unknown = topic.partitions.filter((each) => !hasPartition(image, each.partitionIndex));
      const errorCode = byId && image === undefined
        ? ErrorCode.UNKNOWN_TOPIC_ID
        : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
      if (known.length > 0) topics.push({ ...topic, name: image!.name, partitions: known });
      if (unknown.length > 0 || image === undefined) {
        const part = { ...request, topics: [{ ...topic, partitions: unknown }] };
        merge(refused, commitResponse(part, () => errorCode).topics);
      }
    }
    if (topics.length === 0) return newOffsetCommitResponse({ topics: [...refused.values()] });
    const committed = yield* until<OffsetCommitResponse>((respond) =>
      coordinator.offsetCommit(context, { ...request, topics }, respond)
    );
    if (refused.size === 0) return committed;
    merge(refused, committed.topics);
    return newOffsetCommitResponse({ topics: [...refused.values()] });
  },
};

function hasPartition(image: TopicImage | undefined, index: number): boolean {
  return image?.partitions[index] !== undefined;
}

/**
 * Adds to the answers so far; a topic has one entry, however often it is named. As in Kafka what was refused
 * comes first, and an answer without refusals is not merged.
 */
function merge(
  answers: Map<string, OffsetCommitResponseTopic>,
  more: readonly OffsetCommitResponseTopic[],
): void {
  for (const topic of more) {
    const key = keyOf(topic);
    const entry = answers.get(key);
    if (entry === undefined) answers.set(key, topic);
    else entry.partitions.push(...topic.partitions);
  }
}

/** A request names its topics by name, or all of them by id. */
function keyOf({ name, topicId }: OffsetCommitResponseTopic): string {
  return topicId === ZERO_UUID ? name : topicId;
}
