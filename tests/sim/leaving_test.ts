/**
 * Simulated nodes that lose their disks, leave a cluster, or are spared work: what they had is elsewhere, and nothing is
 * believed that they have forgotten.
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  ALTER_NODE_STATE,
  DELETE_TOPICS,
  DESCRIBE_NODES,
  PRODUCE,
  UNREGISTER_BROKER,
} from "../../src/wire/generated/apis.ts";
import { newAlterNodeStateRequest } from "../../src/wire/generated/alter_node_state_request.ts";
import { newDeleteTopicsRequest } from "../../src/wire/generated/delete_topics_request.ts";
import { newDescribeNodesRequest } from "../../src/wire/generated/describe_nodes_request.ts";
import { newUnregisterBrokerRequest } from "../../src/wire/generated/unregister_broker_request.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { produceRequest, SMALL_BATCH } from "./sim_requests.ts";

const [ACTIVE, MAINTENANCE, DECOMMISSIONING] = [0, 1, 2];

function controllers(bench: ClusterBench): { voters: number[]; learners: number[] } {
  const leader = bench.cluster.nodes.find((node) => node.accepting && node.leads(0));
  const replica = leader?.shards[0]?.shard.replication.replicaOf(0);
  if (replica === undefined || !replica.raft.isConfigurationSettled) {
    return { voters: [], learners: [] };
  }
  const { voters, learners } = replica.raft.configuration;
  const ids = (members: typeof voters) => members.map(({ node }) => node).sort((a, b) => a - b);
  return { voters: ids(voters), learners: ids(learners) };
}

/** Writes one batch to each partition, to whoever leads it; returns the acknowledged end offsets. */
function write(bench: ClusterBench, asked: number, topic: string): number[] {
  const ends: number[] = [];
  const [view] = bench.metadata(asked, topic).topics;
  for (const { partitionIndex } of view!.partitions) {
    bench.until(() => {
      const { leaderId } = bench.metadata(asked, topic).topics[0]!.partitions[partitionIndex]!;
      if (leaderId < 0 || !bench.cluster.nodes[leaderId]!.accepting) return false;
      const request = produceRequest(topic, partitionIndex, SMALL_BATCH);
      const answer = bench.ask(leaderId, PRODUCE, 9, request);
      const { errorCode, baseOffset } = answer.responses[0]!.partitionResponses[0]!;
      if (errorCode !== ErrorCode.NONE) return false;
      ends[partitionIndex] = baseOffset + 3;
      return true;
    }, `a leader of ${topic}-${partitionIndex}`);
  }
  return ends;
}

function setState(bench: ClusterBench, asked: number, nodeId: number, state: number): void {
  bench.until(() => {
    const request = newAlterNodeStateRequest({ nodeId, state });
    const { errorCode } = bench.ask(asked, ALTER_NODE_STATE, 0, request);
    if (errorCode === ErrorCode.NONE) return true;
    assert.equal(errorCode, ErrorCode.NOT_CONTROLLER);
    bench.cluster.rest(20);
    return false;
  }, "a controller");
}

function described(bench: ClusterBench, asked: number, nodeId: number) {
  const { nodes } = bench.ask(asked, DESCRIBE_NODES, 0, newDescribeNodesRequest());
  return nodes.find((node) => node.nodeId === nodeId);
}

function begun(seed: number, nodes: number, topic: string): ClusterBench {
  const bench = new ClusterBench(seed, nodes);
  bench.start(...Array(nodes).fill(1));
  bench.until(() => bench.metadata(0).brokers.length === nodes);
  assert.equal(bench.create(0, topic, 3, 6).errorCode, ErrorCode.NONE);
  bench.settled(topic, Array.from({ length: nodes }, (_, id) => id));
  return bench;
}

for (const [seed, nodes] of [[1, 3], [2, 3], [3, 4]] as const) {
  Deno.test(`a node without its disk comes back under its id, and is filled (seed ${seed}, ${nodes} nodes)`, () => {
    const bench = begun(seed, nodes, "t");
    write(bench, 0, "t");
    for (const wiped of [1, 0]) {
      const node = bench.cluster.nodes[wiped]!;
      const others = [0, 1, 2].filter((id) => id !== wiped);
      node.crash();
      node.wipe();
      write(bench, others[0]!, "t");
      bench.join(wiped);
      const ends = write(bench, others[0]!, "t");
      bench.until(() => {
        const { partitions, topicId } = bench.metadata(wiped, "t").topics[0]!;
        return partitions.every(({ partitionIndex, replicaNodes, isrNodes }) => {
          if (isrNodes.length !== 3) return false;
          if (!replicaNodes.includes(wiped)) return true;
          const log = node.logOf(node.groupOf(topicId, partitionIndex));
          return log !== undefined && log.durableEndOffset === ends[partitionIndex];
        });
      }, "the logs of the node that was wiped");
      bench.until(() => controllers(bench).voters.length === 3, "three voters");
    }
    // What was written is there without those that never lost anything.
    bench.until(() =>
      bench.settled("t", [0, 1, 2]).partitions.every((one) => one.isrNodes.length === 3)
    );
    bench.cluster.nodes[2]!.crash();
    write(bench, 0, "t");
  });
}

Deno.test("a node that forgot its votes gives none: with it alone there is no majority", () => {
  const bench = begun(5, 3, "t");
  write(bench, 0, "t");
  const groups = bench.cluster.nodes[0]!.shards[0]!.shard.image.topicByName("t")!.partitions;
  for (const dead of [1, 2]) bench.cluster.nodes[dead]!.crash();
  bench.cluster.nodes[1]!.wipe();
  bench.cluster.nodes[1]!.begin(1);
  bench.cluster.rest(5_000);
  for (const { groupId } of groups) {
    for (const node of bench.cluster.nodes) assert(!node.leads(groupId), `${node.name} leads`);
  }
  assert(!bench.cluster.nodes[0]!.leads(0) && !bench.cluster.nodes[1]!.accepting);
  bench.join(2);
  write(bench, 0, "t");
  bench.until(() => bench.cluster.nodes[1]!.accepting, "the start of the node that was wiped");
});

Deno.test("a decommissioned node empties itself while it is written to, and is forgotten; taken back, it stays", () => {
  const bench = begun(6, 4, "t");
  write(bench, 0, "t");
  setState(bench, 3, 1, DECOMMISSIONING);
  bench.until(() => {
    write(bench, 3, "t");
    return described(bench, 3, 1)!.replicas === 0;
  }, "an empty node");
  const view = bench.settled("t", [0, 2, 3]);
  for (const { replicaNodes } of view.partitions) {
    assert.deepEqual(replicaNodes.toSorted(), [0, 2, 3]);
  }
  bench.until(() => !controllers(bench).voters.includes(1), "it does not vote");
  assert.equal(described(bench, 0, 1)!.state, DECOMMISSIONING);
  bench.cluster.nodes[1]!.crash();
  const request = newUnregisterBrokerRequest({ brokerId: 1 });
  bench.until(() => bench.ask(0, UNREGISTER_BROKER, 0, request).errorCode === ErrorCode.NONE);
  bench.until(() => described(bench, 3, 1) === undefined, "its end");
  bench.until(() => {
    const { voters, learners } = controllers(bench);
    return voters.length === 3 && ![...voters, ...learners].includes(1);
  }, "three voters without it");
  // Whoever starts again registers again.
  bench.join(1);
  bench.until(() => described(bench, 0, 1)?.state === ACTIVE, "a member again");
  setState(bench, 0, 1, DECOMMISSIONING);
  setState(bench, 0, 1, ACTIVE);
  assert.equal(bench.create(1, "later", 3, 4).errorCode, ErrorCode.NONE);
  const { partitions } = bench.settled("later", [0, 1, 2, 3]);
  assert(partitions.some(({ replicaNodes }) => replicaNodes.includes(1)));
});

Deno.test("a node that is taken out of the cluster while it runs ends, and is a member again when it starts", () => {
  const bench = new ClusterBench(8, 4);
  bench.start(1, 1, 1, 1);
  for (const nodeId of [3, 0]) {
    bench.until(() => bench.metadata(1).brokers.length === 4, "all nodes");
    const node = bench.cluster.nodes[nodeId]!;
    const request = newUnregisterBrokerRequest({ brokerId: nodeId });
    bench.until(() => {
      const { errorCode } = bench.ask(1, UNREGISTER_BROKER, 0, request);
      return errorCode === ErrorCode.NONE;
    }, "a controller");
    bench.until(() => node.fatals.length > 0, "its end");
    assert.match(node.fatals[0]!, /taken out of the cluster while it ran/);
    node.crash();
    node.fatals.length = 0;
    bench.join(nodeId);
  }
  bench.until(() => bench.metadata(0).brokers.length === 4, "all nodes again");
  assert.deepEqual(bench.cluster.nodes.flatMap(({ fatals }) => fatals), []);
});

Deno.test("the only node of a cluster stays in it", () => {
  const bench = new ClusterBench(9, 1);
  bench.start(1);
  const request = newUnregisterBrokerRequest({ brokerId: 0 });
  assert.equal(bench.ask(0, UNREGISTER_BROKER, 0, request).errorCode, ErrorCode.NONE);
  bench.until(() => bench.metadata(0).brokers.length === 1, "the node");
  bench.cluster.rest(1_000);
  assert.deepEqual(bench.cluster.nodes[0]!.fatals, []);
  assert.equal(bench.create(0, "t", 1, 1).errorCode, ErrorCode.NONE);
});

Deno.test("a node in maintenance leads nothing, and may again afterwards", () => {
  const bench = begun(7, 3, "t");
  const leads = (nodeId: number): number =>
    bench.settled("t", [0, 1, 2]).partitions.filter(({ leaderId }) => leaderId === nodeId).length;
  assert(leads(0) > 0);
  setState(bench, 1, 0, MAINTENANCE);
  bench.until(() => leads(0) === 0 && !bench.cluster.nodes[0]!.leads(0), "others lead");
  write(bench, 1, "t");
  bench.cluster.nodes[1]!.crash();
  write(bench, 2, "t");
  bench.join(1);
  bench.until(() => leads(0) === 0, "others lead again");
  setState(bench, 1, 0, ACTIVE);
});

Deno.test("a topic that was deleted while a node was down does not come back with it", () => {
  const bench = begun(8, 3, "t");
  write(bench, 0, "t");
  const { topicId } = bench.metadata(0, "t").topics[0]!;
  const groups = [0, 1, 2, 3, 4, 5].map((index) => bench.cluster.groupOf(topicId, index));
  const node = bench.cluster.nodes[2]!;
  node.crash();
  bench.until(() => {
    const request = newDeleteTopicsRequest({ topicNames: ["t"], timeoutMs: 5_000 });
    const { errorCode } = bench.ask(0, DELETE_TOPICS, 5, request).responses[0]!;
    return errorCode === ErrorCode.NONE;
  }, "the deletion");
  bench.join(2, 2);
  bench.until(() => groups.every((groupId) => node.logOf(groupId) === undefined), "no logs");
  bench.until(() => bench.metadata(2).topics.every(({ name }) => name !== "t"), "no topic");
  assert.equal(bench.create(2, "t", 3, 6).errorCode, ErrorCode.NONE);
  bench.settled("t", [0, 1, 2]);
  assert.deepEqual(write(bench, 2, "t"), [3, 3, 3, 3, 3, 3]);
});

Deno.test("a cluster that grew from one node has three replicas of what belongs to itself", () => {
  const bench = new ClusterBench(9, 3, {}, 1);
  bench.start(1);
  assert.equal(bench.create(0, "__consumer_offsets", -1, -1).errorCode, ErrorCode.NONE);
  assert.equal(bench.create(0, "t", 1, 2).errorCode, ErrorCode.NONE);
  write(bench, 0, "t");
  bench.join(1);
  bench.join(2);
  bench.until(() => {
    const { partitions } = bench.metadata(2, "__consumer_offsets").topics[0]!;
    return partitions.length > 0 && partitions.every(({ isrNodes }) => isrNodes.length === 3);
  }, "three replicas");
  assert(
    bench.metadata(0, "t").topics[0]!.partitions.every((one) => one.replicaNodes.length === 1),
  );
  bench.until(() => controllers(bench).voters.length === 3, "three voters");
  const { partitions } = bench.metadata(1, "__consumer_offsets").topics[0]!;
  bench.cluster.nodes[0]!.crash();
  bench.until(
    () =>
      bench.metadata(1, "__consumer_offsets").topics[0]!.partitions
        .every(({ leaderId }) => leaderId > 0),
    `leaders of ${partitions.length} partitions`,
  );
});
