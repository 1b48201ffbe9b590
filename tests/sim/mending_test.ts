/**
 * A simulated cluster of three whose disks lose bits, in other places on each node: afterwards all logs are whole and equal,
 * those of the metadata and of the coordinators included, and nothing is lost.
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { BLOCK_SIZE } from "../../src/io/disk.ts";
import { runTask } from "../../src/io/task.ts";
import type { Engine } from "../../src/storage/engine.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { PRODUCE } from "../../src/wire/generated/apis.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { SNAPSHOTS_DIRECTORY } from "../../src/storage/state_snapshot.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { ClusterWatch } from "./cluster_watch.ts";
import { takePicture } from "./disk_picture.ts";
import { readToEnd } from "./read_to_end.ts";
import type { SimNode } from "./sim_node.ts";
import { SimClient } from "./sim_client.ts";
import { produceRequest, SMALL_BATCH } from "./sim_requests.ts";

const TOPIC = "orders";
const BATCHES = 60;
/** Blocks between places that are damaged on different nodes: no extent is as long. */
const REGION_BLOCKS = 32;

function largeBatch(fill: number): Uint8Array {
  const builder = new RecordBatchBuilder();
  const value = new Uint8Array(6_000).fill(fill);
  for (let i = 0; i < 3; i++) builder.add({ key: null, value, timestamp: 1_700_000_000_000 });
  return builder.build();
}

/** Stops a node, with all that it has in its files. */
function stop(bench: ClusterBench, node: SimNode): void {
  node.beginStop();
  bench.until(() => !node.stopping, "a stop");
  node.crash();
}

/** Everything of a log that can be read; null: not all of it can. */
function bytesOf(bench: ClusterBench, node: SimNode, groupId: number): Uint8Array | null {
  const parts: number[] = [];
  const log = node.logOf(groupId)!;
  let stuckAt: number | null = null;
  const take = (address: number, length: number): void => {
    for (const byte of node.memory.bytes.subarray(address, address + length)) parts.push(byte);
  };
  runTask(readToEnd(log, log.startOffset, take), (at) => stuckAt = at);
  bench.until(() => stuckAt !== null, "a read");
  return stuckAt === -1 ? Uint8Array.from(parts) : null;
}

/** A cluster with records in a partition of three replicas; what is in it. */
function withRecords(seed: number, ...shardCounts: readonly number[]) {
  const bench = new ClusterBench(seed);
  const { cluster } = bench;
  bench.start(...shardCounts);
  bench.until(() => bench.metadata(0).brokers.length === 3);
  assert.equal(bench.create(0, TOPIC, 3, 1).errorCode, ErrorCode.NONE);
  const { topicId, partitions } = bench.settled(TOPIC, [0, 1, 2]);
  const { leaderId } = partitions[0]!;
  produce(bench, leaderId, BATCHES);
  const groupId = cluster.nodes[0]!.groupOf(topicId, 0);
  bench.until(() => cluster.nodes.every((node) => node.logOf(groupId)!.endOffset === 3 * BATCHES));
  const before = bytesOf(bench, cluster.nodes[leaderId]!, groupId)!;
  return { bench, cluster, groupId, leaderId, before };
}

function produce(bench: ClusterBench, leaderId: number, batches: number): void {
  for (let i = 0; i < batches; i++) {
    const answer = bench.ask(leaderId, PRODUCE, 9, produceRequest(TOPIC, 0, largeBatch(i)));
    assert.equal(answer.responses[0]!.partitionResponses[0]!.errorCode, ErrorCode.NONE);
  }
}

for (const seed of [1, 2, 3]) {
  Deno.test(`bits that flip on all nodes, in different places, cost nothing (seed ${seed})`, () => {
    const random = new Xoshiro128(seed);
    const { bench, cluster, groupId, before } = withRecords(seed, 1, 2, 1);
    for (const node of cluster.nodes) stop(bench, node);

    const struck: string[] = [];
    for (const { disk, nodeId } of cluster.nodes) {
      for (const path of disk.paths().filter((each) => each.endsWith(".log"))) {
        const blocks = Math.ceil(disk.size(path) / BLOCK_SIZE);
        for (let block = 0; block < blocks; block++) {
          const region = Math.floor(block / REGION_BLOCKS);
          const isFirst = block % REGION_BLOCKS === 8 || block === 0;
          if (!isFirst || (region + path.length) % 3 !== nodeId || disk.size(path) === 0) continue;
          disk.flipBit(path, block * BLOCK_SIZE + 61 + random.nextBelow(60), random.nextBelow(8));
          struck.push(`node ${nodeId}: block ${block} of ${path}`);
        }
      }
    }
    assert(struck.some((what) => what.includes("metadata")), struck.join("\n"));
    assert(struck.filter((what) => what.includes(TOPIC)).length >= 6, struck.join("\n"));

    if (seed === 2) {
      // The states have to be loaded from the logs, the metadata before anybody leads it.
      for (const { disk } of cluster.nodes) {
        const snapshots = disk.paths().filter((path) => path.startsWith(SNAPSHOTS_DIRECTORY));
        assert(snapshots.length > 0);
        for (const path of snapshots) disk.loseFile(path);
      }
    }
    for (const node of cluster.nodes) node.begin(2);
    bench.until(() => cluster.accepting.length === 3, "a start");
    bench.settled(TOPIC, [0, 1, 2]);
    const isWhole = (): boolean =>
      cluster.nodes.every((node) => node.unreadable().length === 0) &&
      cluster.nodes.every((node) => bytesOf(bench, node, groupId) !== null);
    const lateMs = cluster.nowMs + 60_000;
    while (!isWhole()) {
      const said = (): string => cluster.nodes.map(({ remarks }) => remarks.join("\n")).join("\n");
      assert(cluster.nowMs < lateMs, said());
      cluster.rest(500);
    }
    for (const node of cluster.nodes) {
      const bytes = bytesOf(bench, node, groupId)!;
      assert(bytes.every((byte, at) => byte === before[at]) && bytes.length === before.length);
    }
    cluster.rest(2_000);
    new ClusterWatch(cluster).compare([]);
    const mended = cluster.nodes.flatMap(({ shards }) =>
      shards.map(({ shard }) => shard.mender.mended)
    );
    assert(mended.reduce((sum, count) => sum + count) >= 6, `${mended}`);
  });
}

/** All have the same again, and each of them votes. */
function assertFilled(bench: ClusterBench, groupId: number): void {
  const { cluster } = bench;
  const isFilled = (node: SimNode): boolean => {
    const log = node.logOf(groupId);
    const { shard } = node.shards[groupId % node.shards.length]!;
    const replica = shard.replication.replicaOf(groupId);
    return log?.suspect === false && replica?.voterCount === 3 &&
      replica.raft.configuration.learners.length === 0 &&
      shard.image.partitionByGroup(groupId)?.isChanging === false;
  };
  const end = (): number =>
    Math.max(...cluster.nodes.map((node) => node.logOf(groupId)?.endOffset ?? 0));
  bench.until(
    () => cluster.nodes.every((node) => isFilled(node) && node.logOf(groupId)!.endOffset === end()),
    "a log that is filled",
  );
  cluster.rest(2_000);
  new ClusterWatch(cluster).compare([]);
}

/** Whether a replica keeps up, as any other node shows its clients. */
function isShownInSync(bench: ClusterBench, groupId: number, lost: number): boolean {
  return bench.cluster.nodes.some(({ nodeId, shards }) => {
    const { shard } = shards[0]!;
    const partition = shard.image.partitionByGroup(groupId)!;
    return nodeId !== lost && shard.leaders.inSyncOf(partition).includes(lost);
  });
}

/** Nobody shows a replica as in sync from soon after its log was damaged until it votes again. */
function assertMissing(bench: ClusterBench, groupId: number, lost: number, voted: number): void {
  const { cluster } = bench;
  bench.until(() => !isShownInSync(bench, groupId, lost), "the news that a replica is of no use");
  const votes = (): boolean => {
    const { replication } = cluster.holderOf(groupId)!.shards[0]!.shard;
    const { raft } = replication.replicaOf(groupId)!;
    const member = raft.configuration.voters.find(({ node }) => node === lost);
    return member !== undefined && member.incarnation !== voted;
  };
  bench.until(() => {
    const isVoter = votes();
    if (!isVoter) assert(!isShownInSync(bench, groupId, lost), "it is shown, and is being filled");
    return isVoter;
  }, "its vote");
}

for (const who of ["follower", "leader"] as const) {
  Deno.test(`a ${who} whose log turns out to lack something is filled as another member`, () => {
    const { bench, cluster, groupId, leaderId, before } = withRecords(11, 1, 1, 1);
    const lost = who === "leader" ? leaderId : (leaderId + 1) % 3;
    const { incarnation } = cluster.nodes[lost]!.logOf(groupId)!;
    const { raft } = cluster.nodes[lost]!.shards[0]!.shard.replication.replicaOf(groupId)!;
    const voted = raft.configuration.voters.find(({ node }) => node === lost)!.incarnation;
    cluster.nodes[lost]!.logOf(groupId)!.markSuspect();
    assertMissing(bench, groupId, lost, voted);
    bench.until(
      () => (cluster.nodes[lost]!.logOf(groupId)?.incarnation ?? 0) > incarnation,
      "a new log",
    );
    assertFilled(bench, groupId);
    assert.deepEqual(bytesOf(bench, cluster.nodes[lost]!, groupId), before);
    produce(bench, bench.settled(TOPIC, [0, 1, 2]).partitions[0]!.leaderId, 3);
  });
}

Deno.test("a node that lost the checkpoints of a shard has its partitions filled again, and votes in none before", () => {
  const { bench, cluster, groupId } = withRecords(12, 2, 2, 2);
  const shard = groupId % 2;
  assert.equal(shard, 1, "the metadata is on the other one");
  const [first, hurt] = cluster.nodes;
  stop(bench, hurt!);
  for (const path of takePicture(hurt!.disk).shards[shard]!.manifest.checkpoints) {
    hurt!.disk.cutFile(path, 0);
  }
  hurt!.begin(2);
  bench.until(() => hurt!.accepting, "a start");
  assert(hurt!.logOf(groupId)!.suspect);
  // While another node is away there may be no leader, and nothing is given up.
  first!.crash();
  cluster.rest(15_000);
  const { incarnation } = hurt!.logOf(groupId)!;
  assert(hurt!.logOf(groupId)!.suspect);
  first!.begin(2);
  bench.until(() => first!.accepting, "the return of a node");
  bench.until(() => (hurt!.logOf(groupId)?.incarnation ?? 0) > incarnation, "a new log");
  assertFilled(bench, groupId);
});

Deno.test("a log that has to be cut where it is damaged is filled again", () => {
  const { bench, cluster, groupId, leaderId } = withRecords(13, 1, 1, 1);
  const leader = cluster.nodes[leaderId]!;
  const others = [0, 1, 2].filter((nodeId) => nodeId !== leaderId);
  for (const nodeId of others) {
    cluster.network.link(leader.name, `node-${nodeId}`).cut = true;
    cluster.network.link(`node-${nodeId}`, leader.name).cut = true;
  }
  const client = new SimClient(cluster.network.dial("client", leader.address));
  client.send(PRODUCE, 9, produceRequest(TOPIC, 0, SMALL_BATCH), () => {});
  bench.until(() => leader.logOf(groupId)!.endOffset > 3 * BATCHES, "what nobody else has");
  const engine = leader.shards[0]!.shard.storage as Engine;
  engine.checkpoint();
  bench.until(() => !engine.checkpointing, "a checkpoint");
  leader.crash();
  // The others do not hear of its end.
  cluster.rest(3_000);
  produce(bench, bench.settled(TOPIC, others).partitions[0]!.leaderId, 2);
  cluster.network.heal();
  const path = leader.disk.paths().find((each) => each.includes(TOPIC) && each.endsWith(".log"))!;
  const { sizeBytes } = cluster.nodes[others[0]!]!.logOf(groupId)!;
  // In the last batch that stays: its extent has the one that goes, too.
  const batchBytes = sizeBytes / (BATCHES + 2);
  leader.disk.flipBit(path, Math.floor(BATCHES * batchBytes) - 200, 3);
  leader.begin(1);
  bench.until(() => leader.accepting, "a start");
  bench.until(() => (leader.logOf(groupId)?.incarnation ?? 0) > 1, "a new log");
  assertFilled(bench, groupId);
});
