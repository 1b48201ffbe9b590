/**
 * OffsetCommit (key 8), versions 1 to 10: a group's positions are kept.
 *
 * - Topics that do not exist: UNKNOWN_TOPIC_OR_PARTITION, or UNKNOWN_TOPIC_ID when named by id (v10);
 *   the rest is committed.
 * - v1: the time of the commit may be given. v2 to v4: a retention of the request's own is kept with the offset. v6: leader epoch. v7: static members.
 * - v9: GROUP_ID_NOT_FOUND for a group that does not exist (before: ILLEGAL_GENERATION).
 *
 * Gaps: partition indexes are not checked, as in Kafka.
 *
 * @module
 */

import { commitResponse } from "../../group/offset_commit.ts";
import { until } from "../../io/task.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { OFFSET_COMMIT } from "../../wire/generated/apis.ts";
import type { OffsetCommitRequest } from "../../wire/generated/offset_commit_request.ts";
import {
  newOffsetCommitResponse,
  type OffsetCommitResponse,
} from "../../wire/generated/offset_commit_response.ts";
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
    const found = request.topics.map((topic) => {
      const image = byId
        ? services.image.topicById(topic.topicId)
        : services.image.topicByName(topic.name);
      return image === undefined ? null : { ...topic, name: image.name };
    });
    const topics = found.filter((topic) => topic !== null);
    const committed = topics.length === 0
      ? newOffsetCommitResponse()
      : yield* until<OffsetCommitResponse>((respond) =>
        coordinator.offsetCommit(context, { ...request, topics }, respond)
      );
    if (topics.length === request.topics.length) return committed;
    const errorCode = byId ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    const refused = commitResponse(request, () => errorCode).topics;
    let next = 0;
    const merged = found.map((topic, at) =>
      topic === null ? refused[at]! : committed.topics[next++]!
    );
    return newOffsetCommitResponse({ topics: merged });
  },
};
