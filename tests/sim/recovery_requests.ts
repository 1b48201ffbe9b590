/**
 * What an operator's tool asks the nodes of a simulated cluster when a partition has lost its majority, and a client's batch.
 *
 * @module
 */

import { votersOf } from "../../src/cli/partition_recover.ts";
import type { ReplicaReport } from "../../src/cli/client/replicas.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { DESCRIBE_REPLICAS, PRODUCE, RECOVER_PARTITION } from "../../src/wire/generated/apis.ts";
import { newDescribeReplicasRequest } from "../../src/wire/generated/describe_replicas_request.ts";
import { newRecoverPartitionRequest } from "../../src/wire/generated/recover_partition_request.ts";
import type { RecoverPartitionResponse } from "../../src/wire/generated/recover_partition_response.ts";
import type { ClusterBench } from "./cluster_bench.ts";
import { produceRequest, SMALL_BATCH } from "./sim_requests.ts";

/** What a tool hears of a partition's replicas from those that answer. */
export function reportsOf(bench: ClusterBench, topic: string, index: number): ReplicaReport[] {
  return bench.cluster.accepting.map(({ nodeId }) => {
    const topics = [{ name: topic, partitions: [index] }];
    const request = newDescribeReplicasRequest({ topics });
    const replica = bench.ask(nodeId, DESCRIBE_REPLICAS, 0, request).topics[0]!.partitions[0]!;
    return { node: nodeId, replica: replica.errorCode === 0 ? replica : null };
  });
}

/** Asks node `asked` to have a partition go on with node `nodeId` alone. */
export function recoverPartition(
  bench: ClusterBench,
  asked: number,
  topic: string,
  index: number,
  nodeId: number,
): RecoverPartitionResponse {
  const voters = votersOf(reportsOf(bench, topic, index));
  const request = newRecoverPartitionRequest({ topic, partition: index, nodeId, voters });
  return bench.ask(asked, RECOVER_PARTITION, 0, request);
}

/** The offset of a batch that a node is given; -1: it took none. */
export function produce(
  bench: ClusterBench,
  nodeId: number,
  topic: string,
  index: number,
): number {
  const answer = bench.ask(nodeId, PRODUCE, 9, produceRequest(topic, index, SMALL_BATCH));
  const { errorCode, baseOffset } = answer.responses[0]!.partitionResponses[0]!;
  return errorCode === ErrorCode.NONE ? baseOffset : -1;
}
