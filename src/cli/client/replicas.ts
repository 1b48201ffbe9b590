/**
 * How the replicas of a partition are, asked of each node that has one.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import { DESCRIBE_REPLICAS } from "../../wire/generated/apis.ts";
import { newDescribeReplicasRequest } from "../../wire/generated/describe_replicas_request.ts";
import type { DescribedReplica } from "../../wire/generated/describe_replicas_response.ts";
import { EXIT_USAGE } from "../exit_codes.ts";
import { Failure } from "../failure.ts";
import type { Api } from "../../wire/api.ts";
import type { Cluster, ClusterPlaces } from "./cluster.ts";
import { ConnectionFailure } from "./connection.ts";
import { brokerRefusal } from "./outcome.ts";

/** The cluster's metadata, as if it were a topic. */
export const METADATA_TOPIC = "__cluster_metadata";

/** A partition as it is written on a command line: `orders/3`. */
export interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

/** What one node says of its replica; null: it cannot be asked, or has none. */
export interface ReplicaReport {
  readonly node: number;
  readonly replica: DescribedReplica | null;
}

/** Reads `orders/3`. */
export function parsePartition(text: string): PartitionName {
  const [, topic, partition] = /^(.+)\/(\d+)$/.exec(text) ?? [];
  if (topic === undefined) {
    throw new Failure(
      EXIT_USAGE,
      `expected a partition such as orders/0, got ${JSON.stringify(text)}`,
    );
  }
  return { topic, partition: Number(partition) };
}

/**
 * Asks every node that has a replica of the partition, or should have one.
 *
 * @throws Failure where there is no such partition
 */
export async function reportsOf(
  cluster: Cluster,
  places: ClusterPlaces,
  name: PartitionName,
): Promise<ReplicaReport[]> {
  const reachable = places.brokers.map(({ nodeId }) => nodeId);
  const nodes = name.topic === METADATA_TOPIC ? reachable : replicasOf(places, name);
  return await Promise.all(nodes.map(async (node) => {
    if (!reachable.includes(node)) return { node, replica: null };
    return { node, replica: await describeReplica(cluster, node, name) };
  }));
}

function replicasOf(places: ClusterPlaces, { topic, partition }: PartitionName): number[] {
  const found = places.topics.find(({ name }) => name === topic)?.partitions
    .find((one) => one.partition === partition);
  if (found === undefined) {
    throw brokerRefusal(
      `find partition ${topic}/${partition}`,
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    );
  }
  return [...found.replicas];
}

/** What one node says of its replica; null: it cannot be asked, or has none. */
export async function describeReplica(
  cluster: Cluster,
  node: number,
  { topic, partition }: PartitionName,
): Promise<DescribedReplica | null> {
  const topics = [{ name: topic, partitions: [partition] }];
  const response = await askNode(
    cluster,
    node,
    DESCRIBE_REPLICAS,
    newDescribeReplicasRequest({ topics }),
  );
  const replica = response?.topics[0]?.partitions[0];
  return replica === undefined || replica.errorCode !== ErrorCode.NONE ? null : replica;
}

/** A node's answer; null: it has gone since the metadata was fetched, or cannot be reached from here. */
export async function askNode<Request, Response>(
  cluster: Cluster,
  node: number,
  api: Api<Request, Response>,
  request: Request,
): Promise<Response | null> {
  try {
    const connection = await cluster.node(node);
    return await connection.call(api, request, { timeoutMs: cluster.timeoutMs });
  } catch (error) {
    if (error instanceof Failure || error instanceof ConnectionFailure) return null;
    throw error;
  }
}
