/**
 * A simulated node that stands still, with its connections: clients are not sent to it any more, until it goes on.
 */

import { strict as assert } from "node:assert";
import { NODE_SILENT_MS } from "../../src/base/limits.ts";
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
