/**
 * A simulated node that stands still, with its connections: clients are not sent to it any more, until it goes on.
 */

import { strict as assert } from "node:assert";
import { NODE_SILENT_MS } from "../../src/base/limits.ts";
import { CONTROLLER_GROUP_ID } from "../../src/cluster/records.ts";
import { DESCRIBE_CLUSTER } from "../../src/wire/generated/apis.ts";
import { newDescribeClusterRequest } from "../../src/wire/generated/describe_cluster_request.ts";
import { ClusterBench } from "./cluster_bench.ts";

Deno.test("a node that stands still is shown as gone after a while, and as there when it goes on", () => {
  const bench = new ClusterBench(21);
  bench.start(2, 1, 1);
  assert.equal(bench.create(0, "t", 3, 3).errorCode, 0);
  bench.settled("t", [0, 1, 2]);
  const shown = (nodeId: number): string => {
    const { brokers } = bench.metadata(nodeId);
    return brokers.map((broker) => broker.nodeId).join(" ");
  };
  const stopped = bench.cluster.nodes[2]!;
  stopped.pausedUntilMs = bench.cluster.nowMs + 20_000;
  bench.cluster.rest(NODE_SILENT_MS / 2);
  assert.equal(shown(0), "0 1 2", "a moment is nothing");
  const sinceMs = bench.cluster.nowMs;
  bench.until(() => [0, 1].every((nodeId) => shown(nodeId) === "0 1"), "that it is gone");
  assert(bench.cluster.nowMs - sinceMs < NODE_SILENT_MS);
  const request = newDescribeClusterRequest({ includeFencedBrokers: true });
  const { brokers } = bench.ask(1, DESCRIBE_CLUSTER, 2, request);
  assert.deepEqual(brokers.map(({ brokerId, isFenced }) => [brokerId, isFenced]), [
    [0, false],
    [1, false],
    [2, true],
  ]);
  for (const { offlineReplicas } of bench.settled("t", [0, 1]).partitions) {
    assert.deepEqual(offlineReplicas, [2]);
  }
  bench.until(() => bench.cluster.nowMs > stopped.pausedUntilMs, "it goes on");
  bench.until(() => [0, 1, 2].every((nodeId) => shown(nodeId) === "0 1 2"), "that it is back");
});

/** The sum of the terms of a topic's partitions and of the metadata: each election adds one at least. */
function termsOf(bench: ClusterBench, topic: string): number {
  const { cluster } = bench;
  const { topicId, partitions } = bench.settled(topic, [0, 1, 2]);
  const groups = partitions.map(({ partitionIndex }) => cluster.groupOf(topicId, partitionIndex));
  return [CONTROLLER_GROUP_ID, ...groups].reduce((sum, groupId) => sum + termOf(bench, groupId), 0);
}

function termOf({ cluster: { nodes } }: ClusterBench, groupId: number): number {
  const terms = nodes.map(({ shards }) =>
    shards[groupId % shards.length]!.steps.shard?.partitions.byGroup(groupId)?.replica.term ?? 0
  );
  return Math.max(...terms);
}

for (const sleepMs of [900, 1_200, 3_000, 20_000]) {
  Deno.test(`nobody is elected because the whole machine stood still for ${sleepMs} ms`, () => {
    const bench = new ClusterBench(22);
    bench.start(1, 2, 1);
    assert.equal(bench.create(0, "t", 3, 3).errorCode, 0);
    const { cluster } = bench;
    cluster.rest(1_000);
    const before = termsOf(bench, "t");
    for (let times = 0; times < 3; times++) {
      // Heartbeats go, as they do while records are written.
      for (const id of [0, 1, 2]) assert.equal(bench.create(id, `t-${times}-${id}`).errorCode, 0);
      // Each goes on a little sooner or later than the others.
      for (const [at, node] of cluster.nodes.entries()) {
        node.pausedUntilMs = cluster.nowMs + sleepMs + 3 * ((at + times) % 3);
      }
      cluster.nowMs += sleepMs - 20;
      cluster.rest(1_500);
    }
    assert.equal(termsOf(bench, "t"), before);
  });
}
