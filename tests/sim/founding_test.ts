/**
 * Simulated nodes found a cluster from seeds, and any of them answers for all: metadata, requests that only the
 * controller can carry out, and who leads what.
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  DESCRIBE_CLUSTER,
  FIND_COORDINATOR,
  INIT_PRODUCER_ID,
  PRODUCE,
} from "../../src/wire/generated/apis.ts";
import { newDescribeClusterRequest } from "../../src/wire/generated/describe_cluster_request.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import { newInitProducerIdRequest } from "../../src/wire/generated/init_producer_id_request.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { produceRequest, SMALL_BATCH } from "./sim_requests.ts";

function controllerOf(bench: ClusterBench, nodeId: number): number {
  return bench.metadata(nodeId).controllerId;
}

Deno.test("three nodes found one cluster, whatever their shards, and all name the same controller", () => {
  const bench = new ClusterBench(1);
  bench.start(1, 2, 1);
  const answers = [0, 1, 2].map((nodeId) => bench.metadata(nodeId));
  assert.equal(new Set(answers.map(({ clusterId }) => clusterId)).size, 1);
  bench.until(() => [0, 1, 2].every((nodeId) => bench.metadata(nodeId).brokers.length === 3));
  const controllers = new Set([0, 1, 2].map((nodeId) => controllerOf(bench, nodeId)));
  assert.equal(controllers.size, 1);
  assert(controllers.values().next().value! >= 0);
  for (const nodeId of [0, 1, 2]) {
    const request = newDescribeClusterRequest();
    const { brokers, controllerId } = bench.ask(nodeId, DESCRIBE_CLUSTER, 1, request);
    assert.deepEqual(brokers.map(({ brokerId }) => brokerId), [0, 1, 2]);
    assert(controllers.has(controllerId));
  }
});

Deno.test("any node takes requests for the controller, and every node knows the leaders", () => {
  const bench = new ClusterBench(2);
  bench.start(2, 1, 2);
  bench.until(() => bench.metadata(2).brokers.length === 3);
  for (const nodeId of [0, 1, 2]) {
    const made = bench.create(nodeId, `by-${nodeId}`);
    assert.equal(made.errorCode, 0, made.errorMessage ?? "");
    const { partitions } = bench.settled(`by-${nodeId}`, [0, 1, 2]);
    assert.deepEqual(partitions.map(({ isrNodes }) => isrNodes.toSorted()), [
      [0, 1, 2],
      [0, 1, 2],
      [0, 1, 2],
    ]);
  }
  const ids = [0, 1, 2, 0].map((nodeId) => {
    const request = newInitProducerIdRequest({ transactionalId: null });
    const answer = bench.ask(nodeId, INIT_PRODUCER_ID, 4, request);
    assert.equal(answer.errorCode, 0);
    return answer.producerId;
  });
  assert.equal(new Set(ids).size, 4);
  const again = bench.create(1, "by-0");
  assert.equal(again.errorCode, ErrorCode.TOPIC_ALREADY_EXISTS);
  const tooMany = bench.create(0, "wide", 4);
  assert.equal(tooMany.errorCode, ErrorCode.INVALID_REPLICATION_FACTOR);
});

Deno.test("a topic that a client only names is created, through any node", () => {
  const settings = { "auto.create.topics.enable": "true", "default.replication.factor": "2" };
  const bench = new ClusterBench(3, 3, settings);
  bench.start(1, 1, 1);
  bench.until(() => bench.metadata(0).brokers.length === 3);
  for (const nodeId of [0, 1, 2]) {
    bench.metadata(nodeId, `named-${nodeId}`);
    const { partitions } = bench.settled(`named-${nodeId}`, [0, 1, 2]);
    assert.equal(partitions[0]!.replicaNodes.length, 2);
  }
});

Deno.test("every node names the same coordinator, and the offsets topic is on all nodes", () => {
  const bench = new ClusterBench(4);
  bench.start(1, 2, 1);
  bench.until(() => bench.metadata(0).brokers.length === 3);
  const coordinatorOf = (nodeId: number): number => {
    const request = newFindCoordinatorRequest({ keyType: 0, coordinatorKeys: ["g"] });
    const [coordinator] = bench.ask(nodeId, FIND_COORDINATOR, 4, request).coordinators;
    return coordinator!.errorCode === ErrorCode.NONE ? coordinator!.nodeId : -1;
  };
  bench.until(() => coordinatorOf(2) >= 0);
  const { partitions } = bench.settled("__consumer_offsets", [0, 1, 2]);
  assert(partitions.every(({ replicaNodes }) => replicaNodes.length === 3));
  assert.equal(new Set([0, 1, 2].map(coordinatorOf)).size, 1);
});

Deno.test("when the controller dies, the others have a new one, and it is not in sync any more", () => {
  const bench = new ClusterBench(5);
  bench.start(1, 1, 1);
  bench.until(() => bench.metadata(0).brokers.length === 3);
  assert.equal(bench.create(0, "t").errorCode, 0);
  bench.settled("t", [0, 1, 2]);
  const dead = controllerOf(bench, 0);
  const alive = [0, 1, 2].filter((nodeId) => nodeId !== dead);
  bench.cluster.nodes[dead]!.crash();
  bench.until(() =>
    alive.every((nodeId) => {
      const { brokers, controllerId } = bench.metadata(nodeId);
      return alive.includes(controllerId) && brokers.length === 2;
    }), "a new controller");
  bench.cluster.rest(100);
  const { partitions } = bench.settled("t", alive);
  for (const { leaderId, isrNodes, offlineReplicas } of partitions) {
    assert(alive.includes(leaderId));
    assert.deepEqual(isrNodes.toSorted(), alive);
    assert.deepEqual(offlineReplicas, [dead]);
  }
  assert.equal(bench.create(alive[1]!, "after", 2).errorCode, 0);
  const [first] = bench.settled("after", alive).partitions;
  const produced = bench.ask(first!.leaderId, PRODUCE, 9, produceRequest("after", 0, SMALL_BATCH));
  assert.equal(produced.responses[0]!.partitionResponses[0]!.errorCode, 0);

  bench.cluster.nodes[dead]!.begin(2);
  bench.until(() => bench.cluster.nodes[dead]!.accepting, "the node that died");
  const view = bench.settled("t", [0, 1, 2]);
  assert.deepEqual(view.partitions.map(({ offlineReplicas }) => offlineReplicas), [[], [], []]);
  assert.equal(new Set([0, 1, 2].map((nodeId) => bench.metadata(nodeId).clusterId)).size, 1);
});
