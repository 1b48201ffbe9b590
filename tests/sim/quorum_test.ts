/**
 * DescribeQuorum in a simulated cluster: every node says the same of the metadata log's replicas.
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import { DESCRIBE_QUORUM } from "../../src/wire/generated/apis.ts";
import { newDescribeQuorumRequest } from "../../src/wire/generated/describe_quorum_request.ts";
import type {
  DescribeQuorumResponse,
  PartitionData,
} from "../../src/wire/generated/describe_quorum_response.ts";
import { ClusterBench } from "./cluster_bench.ts";

const NODES = [0, 1, 2];
const METADATA = "__cluster_metadata";

function describe(bench: ClusterBench, node: number, version = 2): DescribeQuorumResponse {
  const topics = [{ topicName: METADATA, partitions: [{ partitionIndex: 0 }] }];
  return bench.ask(node, DESCRIBE_QUORUM, version, newDescribeQuorumRequest({ topics }));
}

function quorum(bench: ClusterBench, node: number, version = 2): PartitionData {
  const response = describe(bench, node, version);
  assert.equal(response.errorCode, ErrorCode.NONE);
  assert.equal(response.topics[0]!.topicName, METADATA);
  return response.topics[0]!.partitions[0]!;
}

/** Wall clock of a node (ms). */
function wallMs(bench: ClusterBench): number {
  return 1_700_000_000_000 + bench.cluster.nowMs;
}

Deno.test("every node describes the quorum as its leader sees it: offsets, and who keeps up since when", () => {
  const bench = new ClusterBench(1);
  bench.start(1, 2, 1);
  bench.until(() => bench.metadata(0).brokers.length === NODES.length);
  assert.equal(bench.create(1, "t").errorCode, ErrorCode.NONE);
  bench.cluster.rest(500);
  const leader = bench.metadata(0).controllerId;
  for (const node of NODES) {
    const { nodes } = describe(bench, node);
    assert.deepEqual(nodes.map(({ nodeId }) => nodeId).toSorted(), NODES);
    assert(nodes.every(({ listeners }) => listeners.some(({ name }) => name === "CONTROLLER")));
    const view = quorum(bench, node);
    assert.equal(view.errorCode, ErrorCode.NONE);
    assert.equal(view.leaderId, leader);
    assert(view.leaderEpoch > 0 && view.highWatermark > 0);
    assert.deepEqual(view.observers, []);
    assert.deepEqual(view.currentVoters.map(({ replicaId }) => replicaId).toSorted(), NODES);
    assert.equal(new Set(view.currentVoters.map((voter) => voter.replicaDirectoryId)).size, 3);
    for (const { logEndOffset, lastFetchTimestamp, lastCaughtUpTimestamp } of view.currentVoters) {
      assert.equal(logEndOffset, view.highWatermark);
      for (const time of [lastFetchTimestamp, lastCaughtUpTimestamp]) {
        assert(time > wallMs(bench) - 10_000 && time <= wallMs(bench), `${time}`);
      }
    }
    const old = quorum(bench, node, 0).currentVoters;
    assert(old.every(({ lastFetchTimestamp }) => lastFetchTimestamp === -1));
  }

  const lagging = NODES.find((node) => node !== leader)!;
  const alive = NODES.filter((node) => node !== lagging);
  const goneMs = wallMs(bench);
  bench.cluster.nodes[lagging]!.crash();
  bench.cluster.rest(1_000);
  assert.equal(bench.create(leader, "u").errorCode, ErrorCode.NONE);
  const before = quorum(bench, leader).highWatermark;
  for (const node of alive) {
    const { currentVoters } = quorum(bench, node);
    const lost = currentVoters.find(({ replicaId }) => replicaId === lagging)!;
    assert(lost.logEndOffset < before);
    assert(lost.lastFetchTimestamp <= goneMs);
    assert.equal(lost.lastCaughtUpTimestamp, -1, "it has to catch up first");
  }

  bench.cluster.nodes[leader]!.crash();
  const [last] = alive.filter((node) => node !== leader);
  bench.cluster.rest(2_000);
  assert.equal(describe(bench, last!).errorCode, ErrorCode.NOT_LEADER_OR_FOLLOWER);
});

Deno.test("DescribeQuorum of anything but the metadata log is refused partition by partition", () => {
  const bench = new ClusterBench(2, 1);
  bench.start(1);
  const ask = (topicName: string, ...partitions: number[]) => {
    const topics = [{
      topicName,
      partitions: partitions.map((partitionIndex) => ({ partitionIndex })),
    }];
    return bench.ask(0, DESCRIBE_QUORUM, 2, newDescribeQuorumRequest({ topics }));
  };
  for (const response of [ask("t", 0), ask(METADATA, 1), ask(METADATA, 0, 0)]) {
    assert.equal(response.errorCode, ErrorCode.NONE);
    for (const { errorCode } of response.topics[0]!.partitions) {
      assert.equal(errorCode, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
    }
  }
  const [partition] = ask(METADATA, 0).topics[0]!.partitions;
  assert.deepEqual(partition!.currentVoters.map(({ replicaId }) => replicaId), [0]);
});
