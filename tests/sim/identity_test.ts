/**
 * Who a node is stays with its data directory, over restarts, crashes at any write, and other numbers of cores.
 */

import { strict as assert } from "node:assert";
import { runTask } from "../../src/io/task.ts";
import {
  identityOf,
  type Manifest,
  readManifest,
  writeManifest,
} from "../../src/storage/manifest.ts";
import { SimNode } from "./sim_node.ts";

function manifestOf(node: SimNode, change?: (manifest: Manifest) => Manifest): Manifest {
  const { arena } = node.shards[0]!;
  const bufferBytes = 64 * 1024;
  const bufferAddress = arena.allocate(bufferBytes);
  const place = { disk: node.disk, memory: node.memory, bufferAddress, bufferBytes };
  let found: Manifest | null = null;
  runTask(readManifest(place), (read) => {
    assert.equal(read.kind, "found");
    if (read.kind === "found") found = read.manifest;
  });
  assert(node.run(() => found !== null));
  if (change !== undefined) {
    let written = false;
    runTask(writeManifest(place, change(found!)), () => written = true);
    assert(node.run(() => written));
  }
  arena.release(bufferAddress);
  return found!;
}

Deno.test("a node keeps its incarnation and its cluster over restarts, whatever its cores", () => {
  const node = new SimNode({ seed: 3 });
  assert(node.mount(1));
  const first = identityOf(manifestOf(node));
  assert.match(first.incarnation, /^[0-9a-f]{32}$/);
  assert.deepEqual(first.founders, [
    { nodeId: 0, incarnation: first.incarnation, host: node.host, port: 33145 },
  ]);
  const imageOf = () => node.shards[0]!.shard.image;
  assert.equal(imageOf().clusterId, first.clusterId);
  assert.equal(imageOf().nodes.get(0)!.incarnation, first.incarnation);
  for (const cores of [2, 1, 3]) {
    node.crash();
    assert(node.mount(cores));
    assert.deepEqual(identityOf(manifestOf(node)), first);
    assert.equal(imageOf().clusterId, first.clusterId);
  }
});

Deno.test("a directory of a program that knew no other nodes keeps its cluster, and gets an identity", () => {
  const node = new SimNode({ seed: 4 });
  assert(node.mount(1));
  const { clusterId } = node.shards[0]!.shard.image;
  manifestOf(node, (manifest) => ({
    ...manifest,
    ...identityOf(null),
    formatVersion: 2,
  }));
  node.crash();
  assert(node.mount(2));
  const { incarnation, ...rest } = identityOf(manifestOf(node));
  assert.notEqual(incarnation, "");
  assert.equal(rest.clusterId, clusterId);
  assert.equal(node.shards[0]!.shard.image.clusterId, clusterId);
  assert.equal(node.shards[0]!.shard.image.nodes.get(0)!.incarnation, incarnation);
});

Deno.test("a first start that is cut anywhere is made up for by the next, in one cluster", () => {
  const options = { journalBytes: 256 * 1024, extentBytes: 64 * 1024 };
  let cuts = 0;
  for (let ops = 1;; ops += 3) {
    const node = new SimNode({ seed: ops, ...options });
    const serves = node.mount(1, (disk) => disk.crashAfterOps(ops));
    if (!serves) cuts++;
    node.crash();
    assert(node.mount(1), node.refusal ?? "");
    const { clusterId } = identityOf(manifestOf(node));
    assert.notEqual(clusterId, "");
    assert.equal(node.shards[0]!.shard.image.clusterId, clusterId);
    if (serves) break;
  }
  assert(cuts > 20, `only ${cuts} cuts`);
});
