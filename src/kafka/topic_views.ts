/**
 * The image as Metadata, DescribeTopicPartitions and DescribeCluster show it.
 *
 * @module
 */

import type { ClusterImage, PartitionImage } from "../cluster/image.ts";
import type { NodeRecord } from "../cluster/records.ts";
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

/** The nodes that serve clients, by id. */
export function kafkaAddresses(image: ClusterImage): KafkaAddress[] {
  const addresses: KafkaAddress[] = [];
  for (const node of image.nodes.values()) {
    const address = kafkaAddressOf(node);
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

/** One partition; every replica counts as in sync, as its Raft group keeps it. */
export function viewPartition(services: Services, partition: PartitionImage): PartitionView {
  return {
    errorCode: 0,
    partitionIndex: partition.index,
    leaderId: services.leaders.leaderOf(partition),
    leaderEpoch: services.leaders.epochOf(partition),
    replicaNodes: [...partition.replicas],
    isrNodes: [...partition.replicas],
    // Kafka's word for a replica whose disk does not give it.
    offlineReplicas: services.trouble.damagedGroups.has(partition.groupId) ? [services.nodeId] : [],
  };
}

function bits(...operations: number[]): number {
  return operations.reduce((mask, operation) => mask | (1 << operation), 0);
}
