/**
 * DescribeQuorum (key 55), versions 0 to 2: the replicas of the cluster's metadata log, as its leader sees them.
 *
 * - Every node passes the request on to the leader. Where nobody is known to lead: NOT_LEADER_OR_FOLLOWER, which clients
 *   retry.
 * - Offsets count commands, as in any partition. Observers are the nodes that have the log and do not vote (learners).
 * - v1: when a replica answered last, and when it had everything; now, of the leader itself.
 * - v2: the directory of a replica is the life of its node's data directory; nodes with the listener for each other, under
 *   the name CONTROLLER (Kafka's clients take names in capitals only).
 * - Other topics and partitions: UNKNOWN_TOPIC_OR_PARTITION for each.
 *
 * @module
 */

import { CONTROLLER_GROUP_ID } from "../../cluster/records.ts";
import { METADATA_TOPIC } from "../../cluster/topic_names.ts";
import type { MemberStatus } from "../../replication/replica.ts";
import { ErrorCode, errorInfo } from "../../wire/errors.ts";
import { DESCRIBE_QUORUM } from "../../wire/generated/apis.ts";
import type { DescribeQuorumRequest } from "../../wire/generated/describe_quorum_request.ts";
import {
  type DescribeQuorumResponse,
  type Listener,
  newDescribeQuorumResponse,
  newPartitionData,
  newReplicaState,
  type ReplicaState,
} from "../../wire/generated/describe_quorum_response.ts";
import { ZERO_UUID } from "../../wire/uuid.ts";
import { type Handler, ON_CONTROLLER, type RequestContext } from "../handler.ts";
import type { Partition } from "../partition.ts";
import type { Services } from "../services.ts";

const TIMESTAMPS_SINCE = 1;
const DIRECTORIES_SINCE = 2;
const MESSAGES_SINCE = 2;

export const DESCRIBE_QUORUM_HANDLER: Handler<DescribeQuorumRequest, DescribeQuorumResponse> = {
  api: DESCRIBE_QUORUM,
  minVersion: 0,
  maxVersion: 2,
  route: ON_CONTROLLER,
  // deno-lint-ignore require-yield -- answered from memory.
  *handle(context, request) {
    const { services, version } = context;
    if (!asksForMetadata(request)) return unknown(request, version);
    const partition = services.partitions.byGroup(CONTROLLER_GROUP_ID);
    if (partition?.leading !== true) {
      const errorCode = ErrorCode.NOT_LEADER_OR_FOLLOWER;
      const errorMessage = version >= MESSAGES_SINCE ? errorInfo(errorCode).message : "";
      return newDescribeQuorumResponse({ errorCode, errorMessage });
    }
    const { members } = partition.replica.status();
    const stateOf = (member: MemberStatus): ReplicaState =>
      replicaState(context, partition, member);
    const voters = members.filter(({ part }) => part === "voter");
    const nodes = version < DIRECTORIES_SINCE ? [] : members.map(({ node: nodeId }) => ({
      nodeId,
      listeners: listenersOf(services, nodeId),
    }));
    return newDescribeQuorumResponse({
      topics: [{
        topicName: METADATA_TOPIC,
        partitions: [newPartitionData({
          partitionIndex: 0,
          leaderId: partition.replica.leaderId,
          leaderEpoch: partition.leaderEpoch,
          highWatermark: partition.highWatermark,
          currentVoters: voters.map(stateOf),
          observers: members.filter(({ part }) => part === "learner").map(stateOf),
        })],
      }],
      nodes,
    });
  },
};

function listenersOf({ image }: Services, nodeId: number): Listener[] {
  const endpoints = image.nodes.get(nodeId)?.endpoints ?? [];
  return endpoints.filter(({ name }) => name === "rpc")
    .map(({ host, port }) => ({ name: "CONTROLLER", host, port }));
}

function asksForMetadata({ topics }: DescribeQuorumRequest): boolean {
  const [topic] = topics;
  return topics.length === 1 && topic!.topicName === METADATA_TOPIC &&
    topic!.partitions.length === 1 && topic!.partitions[0]!.partitionIndex === 0;
}

function unknown({ topics }: DescribeQuorumRequest, version: number): DescribeQuorumResponse {
  const errorCode = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  const errorMessage = version >= MESSAGES_SINCE ? errorInfo(errorCode).message : "";
  return newDescribeQuorumResponse({
    topics: topics.map(({ topicName, partitions }) => ({
      topicName,
      partitions: partitions.map(({ partitionIndex }) =>
        newPartitionData({ partitionIndex, errorCode, errorMessage })
      ),
    })),
  });
}

function replicaState(
  { services, version, wallMs }: RequestContext,
  { log }: Partition,
  { node, state, matchOffset, heardMs, caughtUpMs }: MemberStatus,
): ReplicaState {
  const at = (agoMs: number): number => agoMs < 0 ? -1 : Math.round(wallMs - agoMs);
  const caughtUp = at(caughtUpMs);
  return newReplicaState({
    replicaId: node,
    logEndOffset: state === "leader" ? log.endOffset : matchOffset,
    ...(version >= TIMESTAMPS_SINCE
      ? { lastFetchTimestamp: Math.max(at(heardMs), caughtUp), lastCaughtUpTimestamp: caughtUp }
      : {}),
    ...(version >= DIRECTORIES_SINCE
      ? { replicaDirectoryId: services.image.nodes.get(node)?.incarnation ?? ZERO_UUID }
      : {}),
  });
}
