/**
 * Simulated clusters that are cut in two, each part of which has its metadata recovered without the other one, and that
 * meet again.
 */

import { strict as assert } from "node:assert";
import { encodeCommand } from "../../src/cluster/records.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { RECOVER_METADATA } from "../../src/wire/generated/apis.ts";
import { newRecoverMetadataRequest } from "../../src/wire/generated/recover_metadata_request.ts";
import { ClusterBench } from "./cluster_bench.ts";
import type { SimNode } from "./sim_node.ts";

function nodeOf(bench: ClusterBench, nodeId: number): SimNode {
  return bench.cluster.nodes[nodeId]!;
}

function shardOf(bench: ClusterBench, nodeId: number) {
  return nodeOf(bench, nodeId).shards[0]!.shard;
}

function imageText(bench: ClusterBench, nodeId: number): string {
  const records = [...shardOf(bench, nodeId).image.snapshotRecords()];
  return new TextDecoder("latin1").decode(encodeCommand(records));
}

/** Nothing goes from one part to the other (true), or does again. */
function cut(bench: ClusterBench, parts: readonly (readonly number[])[], isCut: boolean): void {
  const { network, nodes } = bench.cluster;
  const partOf = new Map(parts.flatMap((part, at) => part.map((id) => [nodes[id]!.name, at])));
  for (const from of nodes) {
    for (const to of nodes) {
      if (partOf.get(from.name) !== partOf.get(to.name)) {
        network.link(from.name, to.name).cut = isCut;
      }
    }
  }
  for (const connection of network.connections) {
    if (partOf.get(connection.from) !== partOf.get(connection.to)) connection.reset();
  }
}

function recover(bench: ClusterBench, nodeId: number): void {
  const { shard } = { shard: shardOf(bench, nodeId) };
  bench.until(() => shard.replication.replicaOf(0)!.leaderId < 0, "no leader");
  const request = newRecoverMetadataRequest({ nodeId });
  const { errorCode, errorMessage } = bench.ask(nodeId, RECOVER_METADATA, 0, request);
  assert.equal(errorCode, ErrorCode.NONE, errorMessage ?? "");
  bench.until(() => nodeOf(bench, nodeId).leads(0), "a controller");
}

for (
  const [what, nodes, founders, parts] of [
    ["two nodes", 3, 3, [[0], [1]]],
    ["two pairs that vote", 5, 5, [[0, 2], [1, 3]]],
    ["two nodes, each with one that does not vote", 5, 3, [[0, 3], [1, 4]]],
  ] as const
) {
  Deno.test(`${what} went on without each other: the lower id stays, the others end and say so, and nothing is mixed`, () => {
    const bench = new ClusterBench(41, nodes, {}, founders);
    bench.start(...Array(founders).fill(1));
    for (let nodeId = founders; nodeId < nodes; nodeId++) bench.join(nodeId);
    bench.until(() => bench.metadata(0).brokers.length === nodes, "all nodes");
    bench.cluster.rest(3_000);
    for (const { nodeId } of bench.cluster.nodes) {
      if (!parts.some((part) => (part as readonly number[]).includes(nodeId))) {
        nodeOf(bench, nodeId).crash();
      }
    }
    cut(bench, parts, true);
    bench.cluster.rest(8_000);
    for (const part of parts) {
      recover(bench, part[0]);
      assert.equal(bench.create(part[0], `of-${part[0]}`, 1, 1).errorCode, ErrorCode.NONE);
    }
    bench.cluster.rest(6_000);
    cut(bench, parts, false);
    const ending = parts[1].map((nodeId) => nodeOf(bench, nodeId));
    const haveEnded = (): boolean => {
      for (const node of ending) if (node.fatals.length > 0) node.crash();
      return ending.every(({ disk }) => disk.crashed);
    };
    bench.until(haveEnded, "the ends");
    for (const node of ending) {
      assert.match(node.fatals[0]!, /recovered twice, on node 1 and on node 0/);
      assert.match(node.fatals[0]!, /empty it, and start the node again/);
    }
    bench.cluster.rest(10_000);
    for (const nodeId of parts[0]) assert.deepEqual(nodeOf(bench, nodeId).fatals, []);
    for (const node of bench.cluster.nodes) {
      if ((parts[0] as readonly number[]).includes(node.nodeId)) continue;
      node.fatals.length = 0;
      node.wipe();
      bench.join(node.nodeId);
    }
    const isEqual = () =>
      bench.cluster.nodes.every(({ nodeId }) => imageText(bench, nodeId) === imageText(bench, 0));
    bench.until(isEqual, "equal metadata");
    const { image } = shardOf(bench, 0);
    assert(image.topicByName("of-0") !== undefined);
    assert.equal(image.topicByName("of-1"), undefined);
  });
}
