/**
 * DescribeReplicas (key 20001, Gregor's own): how the replicas on this node are, and what a leader knows of the others.
 *
 * - A partition without a replica here: NOT_LEADER_OR_FOLLOWER; one that does not exist: UNKNOWN_TOPIC_OR_PARTITION.
 * - `__cluster_metadata` is the cluster's metadata: partition 0, on the nodes that keep it.
 *
 * @module
 */

import { CONTROLLER_GROUP_ID } from "../../cluster/records.ts";
import { METADATA_TOPIC } from "../../cluster/topic_names.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { DESCRIBE_REPLICAS } from "../../wire/generated/apis.ts";
import type { DescribeReplicasRequest } from "../../wire/generated/describe_replicas_request.ts";
import {
  type DescribedReplica,
  type DescribeReplicasResponse,
  newDescribedReplica,
  newDescribeReplicasResponse,
} from "../../wire/generated/describe_replicas_response.ts";
import { CONTROLLER_SHARD, type Handler } from "../handler.ts";
import type { Partition } from "../partition.ts";
import { mergeTopics, splitTopics } from "../partition_requests.ts";
import type { Services } from "../services.ts";
import { Once } from "./once.ts";

export const DESCRIBE_REPLICAS_HANDLER: Handler<DescribeReplicasRequest, DescribeReplicasResponse> =
  {
    api: DESCRIBE_REPLICAS,
    minVersion: 0,
    maxVersion: 0,
    route: {
      kind: "split",
      split(request, services) {
        const parts = new Map<number, DescribeReplicasRequest>();
        const ofTopics = request.topics.filter(({ name }) => name !== METADATA_TOPIC);
        for (const [shard, topics] of splitTopics(services, ofTopics, (index) => index)) {
          parts.set(shard, { topics });
        }
        const metadata = request.topics.filter(({ name }) => name === METADATA_TOPIC);
        if (metadata.length > 0) {
          const topics = [...parts.get(CONTROLLER_SHARD)?.topics ?? [], ...metadata];
          parts.set(CONTROLLER_SHARD, { topics });
        }
        return parts;
      },
      merge(request, responses) {
        const topics = mergeTopics(request.topics, responses.flatMap((part) => part.topics), {
          of: (index) => index,
          in: ({ partitionIndex }) => partitionIndex,
        });
        return newDescribeReplicasResponse({ topics });
      },
    },
    // deno-lint-ignore require-yield -- answered from memory.
    *handle({ services }, request) {
      const described = new Once<DescribedReplica>();
      const topics = request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map((index) =>
          described.of(`${name}/${index}`, () => describe(services, name, index))
        ),
      }));
      return newDescribeReplicasResponse({ topics });
    },
  };

/** The Raft group of a partition; undefined: there is none. */
export function groupIdOf(
  { image }: Pick<Services, "image">,
  topic: string,
  index: number,
): number | undefined {
  if (topic === METADATA_TOPIC) return index === 0 ? CONTROLLER_GROUP_ID : undefined;
  return image.topicByName(topic)?.partitions[index]?.groupId;
}

function describe(services: Services, topic: string, partitionIndex: number): DescribedReplica {
  const groupId = groupIdOf(services, topic, partitionIndex);
  if (groupId === undefined) {
    const errorCode = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    return newDescribedReplica({ partitionIndex, errorCode });
  }
  const partition = services.partitions.byGroup(groupId);
  if (partition === undefined) {
    const errorCode = ErrorCode.NOT_LEADER_OR_FOLLOWER;
    return newDescribedReplica({ partitionIndex, errorCode });
  }
  return describeReplica(partition, partitionIndex);
}

function describeReplica(
  { replica, log, startOffset, highWatermark }: Partition,
  partitionIndex: number,
): DescribedReplica {
  const { role, isChanging, members } = replica.status();
  return newDescribedReplica({
    partitionIndex,
    role,
    term: replica.term,
    leaderId: replica.leaderId,
    startOffset,
    commitOffset: highWatermark,
    endOffset: log.endOffset,
    lastIndex: log.lastIndex,
    lastTerm: log.lastTerm,
    isChanging,
    members: members.map(({ node: nodeId, caughtUpMs: _, ...member }) => ({ nodeId, ...member })),
  });
}
