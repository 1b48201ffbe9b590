/**
 * DescribeTopicPartitions (key 75), version 0: partitions of topics, in pages.
 *
 * - Topics come in the order of their names; no topics in the request means all of them.
 * - A page has at most `responsePartitionLimit` partitions, and never more than
 *   {@linkcode PARTITIONS_PER_PAGE_MAX}. When there are more, `nextCursor` names the first one left out;
 *   sent as `cursor` the list continues there, also when that topic has been deleted.
 *
 * Gaps: eligible leaders and the last known ones (KIP-966) are empty: a Raft group needs neither.
 *
 * @module
 */

import { topicNameProblem } from "../../cluster/topic_names.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { DESCRIBE_TOPIC_PARTITIONS } from "../../wire/generated/apis.ts";
import type { DescribeTopicPartitionsRequest } from "../../wire/generated/describe_topic_partitions_request.ts";
import {
  type DescribeTopicPartitionsResponse,
  type DescribeTopicPartitionsResponseCursor,
  type DescribeTopicPartitionsResponseTopic,
  newDescribeTopicPartitionsResponse,
  newDescribeTopicPartitionsResponseTopic,
} from "../../wire/generated/describe_topic_partitions_response.ts";
import { type Handler, LOCAL } from "../handler.ts";
import { TOPIC_OPERATIONS, viewPartition } from "../topic_views.ts";

/** Most partitions in one answer (Kafka's `max.request.partition.size.limit`). */
export const PARTITIONS_PER_PAGE_MAX = 2000;

export const DESCRIBE_TOPIC_PARTITIONS_HANDLER: Handler<
  DescribeTopicPartitionsRequest,
  DescribeTopicPartitionsResponse
> = {
  api: DESCRIBE_TOPIC_PARTITIONS,
  minVersion: 0,
  maxVersion: 0,
  route: LOCAL,
  // deno-lint-ignore require-yield -- answered from the image.
  *handle({ services }, request) {
    const { image } = services;
    const { cursor } = request;
    const names = request.topics.length === 0
      ? [...image.topics.keys()]
      : [...new Set(request.topics.map((topic) => topic.name))];
    const wanted = names.filter((name) => cursor === null || name >= cursor.topicName).sort();
    let room = Math.max(1, Math.min(request.responsePartitionLimit, PARTITIONS_PER_PAGE_MAX));
    const topics: DescribeTopicPartitionsResponseTopic[] = [];
    let nextCursor: DescribeTopicPartitionsResponseCursor | null = null;
    for (const name of wanted) {
      const first = cursor?.topicName === name ? Math.max(0, cursor.partitionIndex) : 0;
      if (room === 0) {
        nextCursor = { topicName: name, partitionIndex: first };
        break;
      }
      const topic = image.topicByName(name);
      if (topic === undefined) {
        const errorCode = topicNameProblem(name) === null
          ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
          : ErrorCode.INVALID_TOPIC_EXCEPTION;
        topics.push(newDescribeTopicPartitionsResponseTopic({
          errorCode,
          name,
          topicAuthorizedOperations: TOPIC_OPERATIONS,
        }));
        continue;
      }
      const page = topic.partitions.slice(first, first + room);
      room -= page.length;
      topics.push(newDescribeTopicPartitionsResponseTopic({
        name,
        topicId: topic.id,
        isInternal: topic.internal,
        partitions: page.map((partition) => ({
          ...viewPartition(services, partition),
          eligibleLeaderReplicas: [],
          lastKnownElr: [],
        })),
        topicAuthorizedOperations: TOPIC_OPERATIONS,
      }));
      if (first + page.length < topic.partitions.length) {
        nextCursor = { topicName: name, partitionIndex: first + page.length };
        break;
      }
    }
    return newDescribeTopicPartitionsResponse({ topics, nextCursor });
  },
};
