/**
 * Simulated partitions that move between nodes while clients write: nothing is lost, and who is left keeps nothing.
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  ALTER_PARTITION_REASSIGNMENTS,
  LIST_PARTITION_REASSIGNMENTS,
  PRODUCE,
} from "../../src/wire/generated/apis.ts";
import { newAlterPartitionReassignmentsRequest } from "../../src/wire/generated/alter_partition_reassignments_request.ts";
import { newCreatableTopic } from "../../src/wire/generated/create_topics_request.ts";
import { CREATE_TOPICS } from "../../src/wire/generated/apis.ts";
import { newListPartitionReassignmentsRequest } from "../../src/wire/generated/list_partition_reassignments_request.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { produceRequest, SMALL_BATCH } from "./sim_requests.ts";

const TOPIC = "orders";
const BATCH_RECORDS = 3;

class MovingBench extends ClusterBench {
  acknowledged = 0;

  /** A topic with one partition on these nodes. */
  createOn(nodes: number[]): void {
    const topics = [newCreatableTopic({
      name: TOPIC,
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: 0, brokerIds: nodes }],
    })];
    const request = { topics, timeoutMs: 5_000, validateOnly: false };
    const [answer] = this.ask(nodes[0]!, CREATE_TOPICS, 7, request).topics;
    assert.equal(answer!.errorCode, ErrorCode.NONE, answer!.errorMessage ?? "");
  }

  /** Sends one batch to the leader that a node knows of; false when that one does not lead. */
  produce(asked: number): boolean {
    const [partition] = this.metadata(asked, TOPIC).topics[0]!.partitions;
    if (partition === undefined || partition.leaderId < 0) return false;
    if (!this.cluster.nodes[partition.leaderId]!.accepting) return false;
    const request = produceRequest(TOPIC, 0, SMALL_BATCH);
    const answer = this.ask(partition.leaderId, PRODUCE, 9, request);
    const { errorCode, baseOffset } = answer.responses[0]!.partitionResponses[0]!;
    if (errorCode !== ErrorCode.NONE) return false;
    assert(baseOffset >= this.acknowledged, `offset ${baseOffset} after ${this.acknowledged}`);
    this.acknowledged = baseOffset + BATCH_RECORDS;
    return true;
  }

  move(asked: number, replicas: number[] | null): number {
    const topics = [{ name: TOPIC, partitions: [{ partitionIndex: 0, replicas }] }];
    const request = newAlterPartitionReassignmentsRequest({ topics });
    const answer = this.ask(asked, ALTER_PARTITION_REASSIGNMENTS, 0, request);
    return answer.errorCode !== 0
      ? answer.errorCode
      : answer.responses[0]!.partitions[0]!.errorCode;
  }

  /** Asks until there is a controller. */
  moved(asked: number, replicas: number[]): void {
    this.until(() => {
      const errorCode = this.move(asked, replicas);
      if (errorCode === ErrorCode.NONE) return true;
      assert.equal(errorCode, ErrorCode.NOT_CONTROLLER);
      this.cluster.rest(20);
      return false;
    }, "a controller");
  }

  underWay(asked: number) {
    const request = newListPartitionReassignmentsRequest();
    return this.ask(asked, LIST_PARTITION_REASSIGNMENTS, 0, request).topics[0]?.partitions[0];
  }

  /** Writes on until the partition is on these nodes, and nothing is under way. */
  writeUntilOn(nodes: readonly number[], asked: number): void {
    this.until(() => {
      this.produce(asked);
      if (this.underWay(asked) !== undefined) return false;
      const [partition] = this.metadata(asked, TOPIC).topics[0]!.partitions;
      return JSON.stringify(partition!.replicaNodes) === JSON.stringify(nodes) &&
        nodes.includes(partition!.leaderId);
    }, `the partition on ${nodes}`);
  }

  /** The nodes have the whole log, and no other node has any of it. */
  checkLogs(nodes: readonly number[]): void {
    const groupId = this.cluster.groupOf(this.topicId, 0);
    const logOf = (nodeId: number) => this.cluster.nodes[nodeId]!.logOf(groupId);
    this.until(
      () =>
        this.cluster.nodes.every((node) => {
          const log = logOf(node.nodeId);
          return nodes.includes(node.nodeId)
            ? log !== undefined && log.durableEndOffset >= this.acknowledged
            : log === undefined;
        }),
      "logs where they belong",
    );
    const sizes = new Set(nodes.map((nodeId) => logOf(nodeId)!.sizeBytes));
    assert.equal(sizes.size, 1);
  }

  get topicId(): string {
    return this.metadata(1, TOPIC).topics[0]!.topicId;
  }
}

function begun(seed: number, nodes = 4): MovingBench {
  const bench = new MovingBench(seed, nodes);
  // A simulated node has memory for the links of a few shards.
  bench.start(...Array.from({ length: nodes }, (_, at) => nodes > 4 ? 1 : 1 + at % 2));
  bench.until(() => bench.metadata(0).brokers.length === nodes);
  bench.createOn([0, 1, 2]);
  bench.settled(TOPIC, [0, 1, 2]);
  for (let i = 0; i < 20; i++) assert(bench.produce(1));
  return bench;
}

for (const seed of [1, 2, 3]) {
  Deno.test(`a partition goes round all nodes while it is written to (seed ${seed})`, () => {
    const bench = begun(seed);
    for (const nodes of [[0, 1, 3], [3, 2, 1], [0, 2, 3], [1], [0, 1, 2]]) {
      assert.equal(bench.move(nodes[0]!, nodes), ErrorCode.NONE);
      bench.writeUntilOn(nodes, 1);
      bench.checkLogs(nodes);
    }
    assert(bench.acknowledged > 100);
  });
}

Deno.test("a partition moves away from all of its nodes at once, and its next log is another one", () => {
  const bench = begun(5, 6);
  assert.equal(bench.move(0, [3, 4, 5]), ErrorCode.NONE);
  bench.writeUntilOn([3, 4, 5], 0);
  bench.checkLogs([3, 4, 5]);
  assert.equal(bench.move(0, [0, 1, 2]), ErrorCode.NONE);
  bench.writeUntilOn([0, 1, 2], 0);
  bench.checkLogs([0, 1, 2]);
  for (const dead of [3, 4, 5]) bench.cluster.nodes[dead]!.crash();
  assert.equal(bench.settled(TOPIC, [0, 1, 2]).partitions[0]!.isrNodes.length, 3);
});

Deno.test("a move to a node that is not there waits, and is taken back", () => {
  const bench = begun(6);
  bench.cluster.nodes[3]!.crash();
  assert.equal(bench.move(0, [0, 1, 3]), ErrorCode.NONE);
  for (let i = 0; i < 10; i++) bench.produce(1);
  bench.until(() => bench.underWay(1) !== undefined, "the move");
  const view = bench.underWay(1)!;
  assert.deepEqual(
    [view.replicas, view.addingReplicas, view.removingReplicas],
    [[0, 1, 3, 2], [3], [2]],
  );
  assert.equal(bench.move(1, null), ErrorCode.NONE);
  bench.writeUntilOn([0, 1, 2], 1);
  assert.equal(bench.move(1, null), ErrorCode.NO_REASSIGNMENT_IN_PROGRESS);
  bench.join(3);
  bench.checkLogs([0, 1, 2]);
});

Deno.test("a node that was down while its replica moved away deletes it; one that moved back has all of it", () => {
  const bench = begun(7);
  bench.cluster.nodes[0]!.crash();
  bench.moved(1, [1, 2, 3]);
  bench.writeUntilOn([1, 2, 3], 1);
  bench.join(0, 2);
  bench.checkLogs([1, 2, 3]);

  bench.cluster.nodes[1]!.crash();
  bench.moved(2, [0, 2, 3]);
  bench.writeUntilOn([0, 2, 3], 2);
  bench.moved(2, [1, 2, 3]);
  for (let i = 0; i < 10; i++) bench.produce(2);
  bench.join(1, 1);
  bench.writeUntilOn([1, 2, 3], 2);
  bench.checkLogs([1, 2, 3]);
});

Deno.test("what cannot be is refused", () => {
  const bench = begun(8);
  assert.equal(bench.move(0, []), ErrorCode.INVALID_REPLICA_ASSIGNMENT);
  assert.equal(bench.move(0, [0, 0]), ErrorCode.INVALID_REPLICA_ASSIGNMENT);
  assert.equal(bench.move(0, [0, 9]), ErrorCode.INVALID_REPLICA_ASSIGNMENT);
  assert.equal(bench.move(0, null), ErrorCode.NO_REASSIGNMENT_IN_PROGRESS);
  assert.equal(bench.move(0, [0, 1, 2]), ErrorCode.NONE, "as it is");
  assert.equal(bench.underWay(0), undefined);
});
