/**
 * OffsetFetch (key 9), versions 1 to 10: what groups have committed.
 *
 * - A partition without a commit has offset -1 and no error; so has every partition of a group that
 *   does not exist.
 * - v2: all topics of the group for null; an error of the whole answer (v1: of every partition).
 * - v7: whoever asks for stable offsets gets UNSTABLE_OFFSET_COMMIT while a transaction has offsets of the partition.
 * - v8: many groups at once, each with an error of its own.
 * - v10: topics by id; UNKNOWN_TOPIC_ID for those that do not exist.
 * - v9: a member of a group of the new protocol is checked (UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH); classic groups check none.
 *
 * Gaps: none.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import { OFFSET_FETCH } from "../../wire/generated/apis.ts";
import {
  newOffsetFetchRequest,
  newOffsetFetchRequestGroup,
  newOffsetFetchRequestTopics,
  type OffsetFetchRequest,
  type OffsetFetchRequestGroup,
  type OffsetFetchRequestTopics,
} from "../../wire/generated/offset_fetch_request.ts";
import {
  newOffsetFetchResponse,
  newOffsetFetchResponseGroup,
  newOffsetFetchResponsePartition,
  newOffsetFetchResponsePartitions,
  newOffsetFetchResponseTopic,
  newOffsetFetchResponseTopics,
  type OffsetFetchResponse,
  type OffsetFetchResponseGroup,
  type OffsetFetchResponseTopics,
} from "../../wire/generated/offset_fetch_response.ts";
import { AnswerQueues } from "../answer_queues.ts";
import { Once } from "./once.ts";
import { splitByGroup } from "../group_routes.ts";
import type { Handler, RequestContext } from "../handler.ts";
import type { Services } from "../services.ts";

/** First version with many groups. */
const GROUPS_VERSION = 8;
/** First version with an error of its own for the whole answer. */
const TOP_ERROR_VERSION = 2;
/** First version that names topics by id. */
const TOPIC_ID_VERSION = 10;

export const OFFSET_FETCH_HANDLER: Handler<OffsetFetchRequest, OffsetFetchResponse> = {
  api: OFFSET_FETCH,
  minVersion: 1,
  maxVersion: 10,
  route: {
    kind: "split",
    split(request, services) {
      if (!isOfManyGroups(request)) {
        return new Map([[services.groups.shardOfGroup(request.groupId), request]]);
      }
      const { requireStable } = request;
      const parts = splitByGroup(services, request.groups, (group) => group.groupId);
      return new Map(
        [...parts].map(([shard, groups]) => [
          shard,
          newOffsetFetchRequest({ groups, requireStable }),
        ]),
      );
    },
    merge(request, responses) {
      if (!isOfManyGroups(request)) return responses[0]!;
      // A group may be asked for twice, about other topics: its answers come in the order of the questions.
      const answers = new AnswerQueues<OffsetFetchResponseGroup>();
      for (const { groups } of responses) {
        for (const group of groups) answers.add(group.groupId, group);
      }
      return newOffsetFetchResponse({
        groups: request.groups.map(({ groupId }) => answers.take(groupId)!),
      });
    },
  },
  // deno-lint-ignore require-yield -- what is committed is in memory.
  *handle(context, request) {
    const { requireStable } = request;
    if (context.version >= GROUPS_VERSION) {
      const whole = new Once<OffsetFetchResponseGroup>();
      const groups = request.groups.map((group) =>
        group.topics === null
          ? whole.of(group.groupId, () => fetchGroup(context, group, requireStable))
          : fetchGroup(context, group, requireStable)
      );
      return newOffsetFetchResponse({ groups });
    }
    const { groupId } = request;
    const topics = request.topics?.map((topic) => newOffsetFetchRequestTopics(topic)) ?? null;
    const group = fetchGroup(
      context,
      newOffsetFetchRequestGroup({ groupId, topics }),
      requireStable,
    );
    return singleResponse(context.version, request, group);
  },
};

/** A request of version 8 or later names its groups in a list, and nothing at the top. */
function isOfManyGroups(request: OffsetFetchRequest): boolean {
  return request.groups.length > 0;
}

function fetchGroup(
  context: RequestContext,
  group: OffsetFetchRequestGroup,
  requiresStable: boolean,
): OffsetFetchResponseGroup {
  const { services, version } = context;
  const { groupId } = group;
  const coordinator = services.groups.coordinatorFor(groupId);
  if (coordinator === null || !services.groups.isInTouch(groupId)) {
    return newOffsetFetchResponseGroup({ groupId, errorCode: ErrorCode.NOT_COORDINATOR });
  }
  if (version < TOPIC_ID_VERSION) {
    return coordinator.offsetFetch(context, group, requiresStable);
  }
  const named = group.topics?.map((topic) => nameTopic(services, topic)) ?? null;
  const topics = named?.filter((topic) => topic !== null) ?? null;
  const fetched = coordinator.offsetFetch(context, { ...group, topics }, requiresStable);
  if (fetched.errorCode !== ErrorCode.NONE) return fetched;
  if (named === null) {
    fetched.topics = fetched.topics.filter((topic) => {
      topic.topicId = services.image.topicByName(topic.name)?.id ?? "";
      return topic.topicId !== "";
    });
    return fetched;
  }
  let next = 0;
  fetched.topics = named.map((topic, at) =>
    topic === null ? unknownTopic(group.topics![at]!) : fetched.topics[next++]!
  );
  return fetched;
}

function nameTopic(
  services: Services,
  topic: OffsetFetchRequestTopics,
): OffsetFetchRequestTopics | null {
  const name = services.image.topicById(topic.topicId)?.name;
  return name === undefined ? null : { ...topic, name };
}

function unknownTopic(topic: OffsetFetchRequestTopics): OffsetFetchResponseTopics {
  const partitions = topic.partitionIndexes.map((partitionIndex) =>
    newOffsetFetchResponsePartitions({
      partitionIndex,
      committedOffset: -1,
      metadata: "",
      errorCode: ErrorCode.UNKNOWN_TOPIC_ID,
    })
  );
  return newOffsetFetchResponseTopics({ topicId: topic.topicId, partitions });
}

/** The answer in the shape of versions 1 to 7. */
function singleResponse(
  version: number,
  request: OffsetFetchRequest,
  group: OffsetFetchResponseGroup,
): OffsetFetchResponse {
  if (group.errorCode !== ErrorCode.NONE) {
    const { errorCode } = group;
    if (version >= TOP_ERROR_VERSION) return newOffsetFetchResponse({ errorCode });
    const topics = (request.topics ?? []).map(({ name, partitionIndexes }) => {
      const partitions = partitionIndexes.map((partitionIndex) =>
        newOffsetFetchResponsePartition({
          partitionIndex,
          committedOffset: -1,
          metadata: "",
          errorCode,
        })
      );
      return newOffsetFetchResponseTopic({ name, partitions });
    });
    return newOffsetFetchResponse({ topics });
  }
  const topics = group.topics.map(({ name, partitions }) =>
    newOffsetFetchResponseTopic({ name, partitions })
  );
  return newOffsetFetchResponse({ topics });
}
