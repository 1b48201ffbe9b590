/**
 * A simulated cluster of three: records that were acknowledged outlive the leader, whichever node that is.
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import { PRODUCE } from "../../src/wire/generated/apis.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { produceRequest, SMALL_BATCH } from "./sim_requests.ts";

const TOPIC = "orders";
/** Records of {@linkcode SMALL_BATCH}. */
const BATCH_RECORDS = 3;

/** Sends one batch to whoever leads by then; its offset. */
function produce(bench: ClusterBench, alive: readonly number[]): number {
  const [partition] = bench.settled(TOPIC, alive).partitions;
  const request = produceRequest(TOPIC, 0, SMALL_BATCH);
  const answer = bench.ask(partition!.leaderId, PRODUCE, 9, request);
  const { errorCode, baseOffset } = answer.responses[0]!.partitionResponses[0]!;
  assert.equal(errorCode, ErrorCode.NONE);
  return baseOffset;
}

/** The whole log of the partition on a node, and where it ends. */
function logOf(bench: ClusterBench, nodeId: number, topicId: string) {
  const node = bench.cluster.nodes[nodeId]!;
  return node.logOf(node.groupOf(topicId, 0))!;
}

Deno.test("a node that returns with fewer shards is heard, leads, and disturbs nobody", () => {
  const bench = new ClusterBench(5);
  bench.start(2, 2, 2);
  bench.until(() => bench.metadata(0).brokers.length === 3);
  assert.equal(bench.create(0, TOPIC, 3, 4).errorCode, ErrorCode.NONE);
  bench.settled(TOPIC, [0, 1, 2]);
  bench.cluster.nodes[2]!.crash();
  bench.settled(TOPIC, [0, 1]);
  bench.cluster.nodes[2]!.begin(1);
  bench.until(() => bench.cluster.nodes[2]!.accepting, "the return of a node");
  bench.settled(TOPIC, [0, 1, 2]);
  bench.cluster.rest(5_000);
  const before = bench.settled(TOPIC, [0, 1, 2]);
  bench.cluster.rest(20_000);
  assert.deepEqual(bench.settled(TOPIC, [0, 1, 2]), before, "nobody campaigns without need");
  // Whoever follows gets its records from it, and it gets theirs.
  for (const { leaderId, partitionIndex } of before.partitions) {
    const request = produceRequest(TOPIC, partitionIndex, SMALL_BATCH);
    const answer = bench.ask(leaderId, PRODUCE, 9, request);
    assert.equal(answer.responses[0]!.partitionResponses[0]!.errorCode, ErrorCode.NONE);
    const endOn = (id: number): number => {
      const node = bench.cluster.nodes[id]!;
      return node.logOf(node.groupOf(before.topicId, partitionIndex))!.durableEndOffset;
    };
    const caughtUp = (): boolean => [0, 1, 2].every((id) => endOn(id) === BATCH_RECORDS);
    bench.until(caughtUp, `records on all nodes, of ${partitionIndex}`);
  }
});

for (const seed of [1, 2, 3, 4]) {
  Deno.test(`acknowledged records outlive the leader, and the one that returns catches up (seed ${seed})`, () => {
    const bench = new ClusterBench(seed);
    bench.start(1, 2, 1);
    bench.until(() => bench.metadata(0).brokers.length === 3);
    assert.equal(bench.create(0, TOPIC, 3, 1).errorCode, ErrorCode.NONE);
    let next = 0;
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 5; i++) {
        assert.equal(produce(bench, [0, 1, 2]), next);
        next += BATCH_RECORDS;
      }
      const { partitions, topicId } = bench.settled(TOPIC, [0, 1, 2]);
      const dead = partitions[0]!.leaderId;
      const alive = [0, 1, 2].filter((id) => id !== dead);
      bench.cluster.nodes[dead]!.crash();
      bench.until(() => {
        const [partition] = bench.metadata(alive[0]!, TOPIC).topics[0]!.partitions;
        return partition!.leaderId >= 0 && partition!.leaderId !== dead;
      }, "another leader");
      for (let i = 0; i < 5; i++) {
        assert.equal(produce(bench, alive), next);
        next += BATCH_RECORDS;
      }
      bench.cluster.nodes[dead]!.begin(1 + round % 2);
      bench.until(() => bench.cluster.nodes[dead]!.accepting, "the return of a node");
      bench.until(
        () => [0, 1, 2].every((id) => logOf(bench, id, topicId).durableEndOffset === next),
        "a follower that has caught up",
      );
      assert.deepEqual(
        [0, 1, 2].map((id) => logOf(bench, id, topicId).sizeBytes),
        Array(3).fill(logOf(bench, 0, topicId).sizeBytes),
      );
    }
  });
}
