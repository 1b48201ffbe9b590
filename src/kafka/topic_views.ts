/**
 * The image as Metadata, DescribeTopicPartitions and DescribeCluster show it.
 *
 * @module
 */

import type { ClusterImage, PartitionImage } from "../cluster/image.ts";
import { CONTROLLER_GROUP_ID, type NodeRecord } from "../cluster/records.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { Services } from "./services.ts";

/** What everybody may do with a topic, as bits of Kafka's operations (there is no authorizer). */
export const TOPIC_OPERATIONS = bits(3, 4, 5, 6, 7, 8, 10, 11);
/** What everybody may do with the cluster. */
export const CLUSTER_OPERATIONS = bits(5, 7, 8, 9, 10, 11, 12);
/** The client did not ask for operations. */
export const OPERATIONS_NOT_ASKED = -2147483648;

/** Where clients find a node. */
export interface KafkaAddress {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
}

/** The nodes that serve clients, by id; of all that are registered, those that `isShown` picks. */
export function kafkaAddresses(
  image: ClusterImage,
  isShown: (nodeId: number) => boolean,
): KafkaAddress[] {
  const addresses: KafkaAddress[] = [];
  for (const node of image.nodes.values()) {
    const address = isShown(node.nodeId) ? kafkaAddressOf(node) : null;
    if (address !== null) addresses.push(address);
  }
  return addresses.sort((a, b) => a.nodeId - b.nodeId);
}

/** Where clients find one node; null: it serves none. */
export function kafkaAddressOf({ nodeId, endpoints, rack }: NodeRecord): KafkaAddress | null {
  const endpoint = endpoints.find(({ name }) => name === "kafka");
  return endpoint === undefined ? null : { nodeId, host: endpoint.host, port: endpoint.port, rack };
}

/** What all descriptions of a partition have in common. */
export interface PartitionView {
  readonly errorCode: number;
  readonly partitionIndex: number;
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly replicaNodes: number[];
  readonly isrNodes: number[];
  readonly offlineReplicas: number[];
}

/** The node that clients should ask about a partition; -1: nobody is known who leads it and can be reached. */
export function reachableLeader(
  { leaders, live, nodeId }: Pick<Services, "leaders" | "live" | "nodeId">,
  partition: PartitionImage,
): number {
  const leaderId = leaders.leaderOf(partition);
  return leaderId === nodeId || live.isAlive(leaderId) ? leaderId : -1;
}

/** The node that leads the metadata log; -1 while that is not known, or it cannot be reached. */
export function controllerIdOf(
  { leaders, live, nodeId }: Pick<Services, "leaders" | "live" | "nodeId">,
): number {
  const leader = leaders.knownLeaderOf(CONTROLLER_GROUP_ID);
  return leader === nodeId || live.isAlive(leader) ? leader : -1;
}

/** One partition. A leader that cannot be reached from here is none: it is dead, or will not lead for long. */
export function viewPartition(services: Services, partition: PartitionImage): PartitionView {
  const { leaders, live, trouble, nodeId } = services;
  const { groupId, index, replicas } = partition;
  const leaderId = reachableLeader(services, partition);
  const isAlive = (replica: number): boolean => replica === nodeId || live.isAlive(replica);
  // Kafka's word also for a replica whose disk does not give it.
  const isOffline = (replica: number): boolean =>
    !isAlive(replica) || (replica === nodeId && trouble.damagedGroups.has(groupId));
  const inSync = leaders.inSyncOf(partition);
  // A leader takes those that are gone out itself; where there is none any more, one is left at least, as in Kafka.
  const reachable = leaderId < 0 ? inSync.filter(isAlive) : inSync;
  return {
    errorCode: leaderId < 0 ? ErrorCode.LEADER_NOT_AVAILABLE : ErrorCode.NONE,
    partitionIndex: index,
    leaderId,
    leaderEpoch: leaders.epochOf(partition),
    replicaNodes: [...replicas],
    isrNodes: reachable.length > 0 ? reachable : inSync,
    offlineReplicas: replicas.filter(isOffline),
  };
}

function bits(...operations: number[]): number {
  return operations.reduce((mask, operation) => mask | (1 << operation), 0);
}
