/**
 * Simulated clusters that lost the majority of the nodes that vote on their metadata, and of which no node is left that runs:
 * one is started that goes on alone, whatever the cluster has been through before.
 */

import { strict as assert } from "node:assert";
import { type NamedLife, readLife } from "../../src/cluster/lives.ts";
import { memberIncarnation } from "../../src/cluster/members.ts";
import {
  encodeManifest,
  type Manifest,
  MANIFEST_COPY_PATH,
  MANIFEST_PATH,
} from "../../src/storage/manifest.ts";
import { BLOCK_SIZE } from "../../src/io/disk.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { RECOVER_METADATA } from "../../src/wire/generated/apis.ts";
import { newRecoverMetadataRequest } from "../../src/wire/generated/recover_metadata_request.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { manifestOn, takePicture } from "./disk_picture.ts";
import type { SimNode } from "./sim_node.ts";
import { simRpcAddress } from "./sim_world.ts";

/** Longer than a start with the flag waits for the others. */
const WAIT_MS = 14_000;

function nodeOf(bench: ClusterBench, nodeId: number): SimNode {
  return bench.cluster.nodes[nodeId]!;
}

function imageOf(bench: ClusterBench, nodeId: number) {
  return nodeOf(bench, nodeId).shards[0]!.shard.image;
}

function raftOf(bench: ClusterBench, nodeId: number) {
  return nodeOf(bench, nodeId).shards[0]!.shard.replication.replicaOf(0)!.raft;
}

function votersNow(bench: ClusterBench, nodeId: number): number[] {
  return raftOf(bench, nodeId).configuration.voters.map(({ node }) => node).sort((a, b) => a - b);
}

/** A cluster that the first nodes founded, and the others joined; all have been told of all. */
function begun(seed: number, nodes: number, founders = nodes): ClusterBench {
  const bench = new ClusterBench(seed, nodes, {}, founders);
  bench.start(...Array(founders).fill(1));
  for (let nodeId = founders; nodeId < nodes; nodeId++) bench.join(nodeId);
  bench.until(() => bench.metadata(0).brokers.length === nodes, "all nodes");
  bench.cluster.rest(2_000);
  return bench;
}

function leaderOf(bench: ClusterBench): number {
  return bench.cluster.nodes.findIndex((node) => node.accepting && node.leads(0));
}

function lives(text: string): NamedLife[] {
  return text.split(",").map((one) => readLife(one)!);
}

/** Starts a node alone with the flag, as a person wrote it. */
function startWith(bench: ClusterBench, nodeId: number, flag: string, acceptLoss = false): SimNode {
  const node = nodeOf(bench, nodeId);
  node.remarks.length = 0;
  node.recoversMetadata = lives(flag);
  node.begin(1, undefined, acceptLoss);
  node.recoversMetadata = [];
  return node;
}

/** The flag that a refusal names. */
function flagIn(node: SimNode): string {
  const found = /--recover-metadata ([0-9a-f:,]*:[0-9a-f:,]*)/.exec(node.refusal ?? "");
  assert(found !== null, `${node.refusal} ${node.remarks.join("; ")}`);
  return found[1]!;
}

/** What a person does: asks with the ids, reads, and starts it with the flag that was named. Returns that. */
function recoverAlone(bench: ClusterBench, nodeId: number, lost: readonly number[]): string {
  const asked = startWith(bench, nodeId, lost.join(","));
  bench.until(() => !asked.starting, "an answer");
  assert.match(asked.refusal ?? "", /^cluster: nothing was changed\. .*gone for good/);
  const flag = flagIn(asked);
  assert.deepEqual(lives(flag).map((one) => one.nodeId), [...lost].sort((a, b) => a - b));
  asked.crash();
  const node = startWith(bench, nodeId, flag);
  bench.until(() => node.accepting && node.leads(0), "a controller");
  assert(node.remarks.some((each) => /goes on with this node alone/.test(each)));
  assert.deepEqual(node.fatals, []);
  return flag;
}

/** Nodes come back with empty disks, and vote. */
function replace(bench: ClusterBench, ...nodes: readonly number[]): void {
  for (const nodeId of nodes) {
    const node = nodeOf(bench, nodeId);
    if (!node.disk.crashed) node.crash();
    node.wipe();
    node.fatals.length = 0;
    // Who founded the cluster alone would do so again.
    node.seeds = bench.cluster.nodes.map((each) => simRpcAddress(each.nodeId));
    bench.join(nodeId);
  }
  bench.until(() => {
    const leader = leaderOf(bench);
    if (leader < 0 || !raftOf(bench, leader).isConfigurationSettled) return false;
    const { voters } = raftOf(bench, leader).configuration;
    return nodes.every((nodeId) => {
      const now = imageOf(bench, leader).nodes.get(nodeId)?.incarnation;
      return now !== undefined &&
        voters.some(({ node, incarnation }) =>
          node === nodeId && incarnation === memberIncarnation(now)
        );
    });
  }, "their votes");
  bench.cluster.rest(1_000);
}

function crashAll(bench: ClusterBench): void {
  for (const node of bench.cluster.nodes) node.crash();
}

function assertEnds(bench: ClusterBench, nodeId: number): void {
  const node = nodeOf(bench, nodeId);
  node.begin(1);
  bench.until(() => node.fatals.length > 0, "an end");
  assert.match(node.fatals[0]!, /went on without this node/);
  // Nobody came to depend on it meanwhile.
  for (const other of bench.cluster.accepting) {
    const { voters } = raftOf(bench, other.nodeId).configuration;
    assert(voters.every((voter) => voter.node !== nodeId));
  }
  node.crash();
}

/** Changes the manifest of a node that does not run. */
function rewriteManifest(node: SimNode, change: (manifest: Manifest) => unknown): void {
  const bytes = encodeManifest(change(manifestOn(node.disk)!) as Manifest);
  for (const path of [MANIFEST_PATH, MANIFEST_COPY_PATH]) {
    for (let at = 0; at * BLOCK_SIZE < bytes.length; at++) {
      node.disk.replaceBlock(path, at, bytes.slice(at * BLOCK_SIZE, (at + 1) * BLOCK_SIZE));
    }
  }
}

Deno.test("a cluster that one node founded starts again as a whole after it grew", () => {
  const bench = begun(21, 3, 1);
  bench.until(() => votersNow(bench, 0).length === 3, "three voters");
  bench.cluster.rest(1_000);
  for (const order of [[0, 1, 2], [1, 2, 0], [0, 2, 1]]) {
    crashAll(bench);
    // At last with directories of a program that noted no addresses.
    if (order[1] === 2) {
      for (const node of bench.cluster.nodes) {
        rewriteManifest(node, ({ keepers = [], ...rest }) => ({
          ...rest,
          formatVersion: 5,
          keepers: keepers.map(({ nodeId }) => nodeId),
        }));
      }
    }
    for (const nodeId of order) nodeOf(bench, nodeId).begin(1);
    bench.until(() => bench.cluster.accepting.length === 3, "all nodes");
    bench.cluster.rest(1_000);
  }
  // Two that joined find each other without the founder.
  crashAll(bench);
  for (const nodeId of [1, 2]) nodeOf(bench, nodeId).begin(1);
  bench.until(() => bench.cluster.accepting.length === 2, "both nodes");
});

Deno.test("a cluster that grew, and one whose voter lost its disk, is recovered by the flag, again and again", () => {
  const bench = begun(22, 3, 1);
  bench.until(() => votersNow(bench, 0).length === 3, "three voters");
  bench.cluster.rest(1_000);
  // The founder is lost, and a node that joined.
  crashAll(bench);
  const first = recoverAlone(bench, 2, [0, 1]);
  assertEnds(bench, 1);
  replace(bench, 0, 1);
  assert.deepEqual(votersNow(bench, 2), [0, 1, 2]);
  // A voter's disk is replaced, and then the majority is lost once more, with another node left.
  replace(bench, 2);
  crashAll(bench);
  // A flag that was left there names lives that are given up already: it does nothing, and says so.
  const node = startWith(bench, 0, first);
  bench.cluster.rest(WAIT_MS);
  assert(!node.accepting && node.refusal === null, node.refusal ?? "");
  assert(
    node.remarks.some((each) => /does nothing.*were given up before.*node 1 .*node 2 /.test(each)),
    node.remarks.join("\n"),
  );
  node.crash();
  recoverAlone(bench, 0, [1, 2]);
  for (const nodeId of [1, 2]) assertEnds(bench, nodeId);
  replace(bench, 1, 2);
  // And a third time, on a node that was given up in two former lives.
  crashAll(bench);
  recoverAlone(bench, 1, [0, 2]);
  replace(bench, 0, 2);
  assert.deepEqual(bench.cluster.nodes.flatMap(({ fatals }) => fatals), []);
});

Deno.test("what the flag does not do is said: with a leader, with a majority, and on a node without a copy", () => {
  const bench = begun(23, 3);
  crashAll(bench);
  // All have it, and none of them needs it.
  for (const nodeId of [0, 1, 2]) {
    const others = [0, 1, 2].filter((other) => other !== nodeId);
    startWith(bench, nodeId, others.join(","));
  }
  bench.until(() => bench.cluster.accepting.length === 3, "all nodes");
  for (const { remarks } of bench.cluster.nodes) {
    assert(remarks.some((each) => /does nothing.*has a leader/.test(each)), remarks.join("\n"));
  }
  assert(manifestOn(nodeOf(bench, 0).disk)!.givenUp === undefined);
  crashAll(bench);
  nodeOf(bench, 0).wipe();
  nodeOf(bench, 1).begin(1);
  const wiped = startWith(bench, 0, "1,2");
  bench.until(() => !wiped.starting, "an answer");
  assert.match(wiped.refusal ?? "", /^cluster: this node has no copy of the cluster's metadata/);
  // A node that cannot even find a cluster says so before it waits for one.
  wiped.crash();
  nodeOf(bench, 1).crash();
  wiped.wipe();
  startWith(bench, 0, "1,2");
  bench.cluster.rest(2_000);
  assert(wiped.remarks.some((each) => /does nothing.*belongs to no cluster yet/.test(each)));
  // Only the lives that are lost are given up: a node that is there needs no mention, and one that is lost does.
  wiped.crash();
  nodeOf(bench, 1).crash();
  const node = startWith(bench, 2, "1");
  bench.until(() => !node.starting, "an answer");
  assert.deepEqual(lives(flagIn(node)).map(({ nodeId }) => nodeId), [0, 1]);
});

Deno.test("a start that waits for the majority says which nodes are missing, also where they founded nothing, and what to do", () => {
  const bench = begun(24, 3, 1);
  bench.until(() => votersNow(bench, 0).length === 3, "three voters");
  bench.cluster.rest(1_000);
  crashAll(bench);
  const node = nodeOf(bench, 1);
  node.remarks.length = 0;
  node.begin(1);
  bench.cluster.rest(4_000);
  const waits = (): string => node.remarks.filter((each) => /Waiting for/.test(each)).at(-1) ?? "";
  assert.match(waits(), /needs 2 of its 3 nodes, .*not reached: node 0 \(.*\), node 2 \(/);
  assert.doesNotMatch(waits(), /--recover-metadata/);
  bench.cluster.rest(WAIT_MS + 8_000);
  assert.match(waits(), /start this node with --recover-metadata 0,2, which says what would/);
});

Deno.test("a copy that does not vote goes on by the flag when no voter is left, and not before", () => {
  const bench = begun(25, 2, 1);
  bench.until(() => raftOf(bench, 1).isMember, "a learner");
  bench.cluster.rest(1_000);
  assert.deepEqual(votersNow(bench, 0), [0]);
  crashAll(bench);
  recoverAlone(bench, 1, [0]);
  assert.deepEqual(votersNow(bench, 1), [1]);
  assertEnds(bench, 0);
  const voter = nodeOf(bench, 0);
  voter.wipe();
  voter.fatals.length = 0;
  voter.seeds = [simRpcAddress(1)];
  bench.join(0);
  assert.deepEqual(voter.fatals, []);
});

Deno.test("a directory that an older program wrote is recovered at once, and its lost nodes hear of it", () => {
  const bench = begun(26, 3, 1);
  bench.until(() => votersNow(bench, 0).length === 3, "three voters");
  bench.cluster.rest(1_000);
  for (const keepers of [[0, 1], undefined]) {
    crashAll(bench);
    const node = nodeOf(bench, 2);
    rewriteManifest(node, ({ keepers: _, ...rest }) => ({ ...rest, formatVersion: 5, keepers }));
    recoverAlone(bench, 2, [0, 1]);
    // Their lives are known in full as soon as the metadata is.
    bench.until(
      () =>
        manifestOn(node.disk)!.givenUp!.slice(-2).every(({ incarnation, host }) =>
          host !== "" && !incarnation.endsWith("0".repeat(24))
        ),
      "whole lives",
    );
    for (const nodeId of [0, 1]) assertEnds(bench, nodeId);
    replace(bench, 0, 1);
  }
});

/** Has a node do something, and takes that from its logs: what is left may have been cut. */
function cutMetadata(bench: ClusterBench, nodeId: number): void {
  const node = nodeOf(bench, nodeId);
  const blocks = () => takePicture(node.disk).shards[0]!.blocks;
  const before = blocks().map(({ lsn }) => lsn);
  assert.equal(bench.create(nodeId, "lost", 1, 1).errorCode, ErrorCode.NONE);
  bench.cluster.rest(100);
  node.crash();
  const lost = blocks().filter(({ lsn }) => !before.includes(lsn));
  assert(lost.length > 0);
  for (const { path, block } of lost) node.disk.loseBlock(path, block);
}

Deno.test("a damaged metadata log whose other holders are lost goes on by the flags that the refusal names", () => {
  for (const isOld of [false, true]) {
    const bench = begun(27, 3);
    cutMetadata(bench, 0);
    crashAll(bench);
    const node = nodeOf(bench, 0);
    // An older program noted nobody.
    if (isOld) rewriteManifest(node, ({ keepers: _, ...rest }) => ({ ...rest, formatVersion: 4 }));
    node.begin(1, undefined, true);
    bench.until(() => !node.starting, "the end of a start");
    assert(node.report!.suspectGroups.includes(0));
    assert.match(node.refusal ?? "", /^elsewhere: .*nodes \(1, 2\) may have more of it/);
    const flag = flagIn(node);
    assert.match(node.refusal ?? "", new RegExp(`--recover-metadata ${flag} --accept-loss`));
    node.crash();
    // Without accepting the loss it is refused as before.
    const early = startWith(bench, 0, flag);
    bench.until(() => !early.starting, "the end of a start");
    assert.equal(flagIn(early), flag);
    early.crash();
    // Not while one of them can be reached.
    nodeOf(bench, 1).begin(1);
    const refused = startWith(bench, 0, flag, true);
    bench.until(() => !refused.starting, "the end of a start");
    assert.match(refused.refusal ?? "", /^cluster: .*node 1, which can be reached, may have more/);
    refused.crash();
    nodeOf(bench, 1).crash();
    startWith(bench, 0, flag, true);
    bench.until(() => node.accepting && node.leads(0), "a controller");
    assert(node.remarks.some((each) => /Accepted a damaged log/.test(each)), `${node.remarks}`);
    assert.equal(bench.create(0, "later", 1, 1).errorCode, ErrorCode.NONE);
    assertEnds(bench, 1);
    replace(bench, 1, 2);
    assert.deepEqual(votersNow(bench, 0), [0, 1, 2]);
  }
});

Deno.test("a recovery that accepts a loss and is cut is carried on by the next start that accepts it", () => {
  const bench = begun(28, 3);
  cutMetadata(bench, 0);
  crashAll(bench);
  const node = nodeOf(bench, 0);
  node.begin(1, undefined, true);
  bench.until(() => !node.starting, "the end of a start");
  const flag = flagIn(node);
  node.crash();
  startWith(bench, 0, flag, true);
  bench.until(() => manifestOn(node.disk)!.isRecovering === true, "the mark");
  node.crash();
  node.remarks.length = 0;
  node.begin(1, undefined, true);
  bench.until(() => node.accepting && node.leads(0), "a controller");
  assert(node.remarks.some((each) => /that had begun is carried on/.test(each)));
  replace(bench, 1, 2);
});

Deno.test("a node that is back without its disk is not given up in the life that it has, but in the one that voted", () => {
  const bench = begun(29, 3);
  bench.until(() => leaderOf(bench) >= 0, "a controller");
  const former = imageOf(bench, 0).nodes.get(1)!.incarnation;
  nodeOf(bench, 1).crash();
  nodeOf(bench, 1).wipe();
  nodeOf(bench, 1).begin(1);
  // Its new life is registered, and its former one still votes.
  bench.until(() => imageOf(bench, 0).nodes.get(1)!.incarnation !== former, "a new life");
  nodeOf(bench, 2).crash();
  const { shard } = nodeOf(bench, 0).shards[0]!;
  bench.until(
    () => !shard.live.isAlive(2) && shard.replication.replicaOf(0)!.leaderId < 0,
    "no leader",
  );
  const { configuration } = raftOf(bench, 0);
  const isFormer = ({ node, incarnation }: { node: number; incarnation: number }): boolean =>
    node === 1 && incarnation === memberIncarnation(former);
  assert([...configuration.voters, ...configuration.outgoing].some(isFormer));
  bench.cluster.rest(2_000);
  const request = newRecoverMetadataRequest({ nodeId: 0 });
  const { errorCode, errorMessage } = bench.ask(0, RECOVER_METADATA, 0, request);
  assert.equal(errorCode, ErrorCode.NONE, errorMessage ?? "");
  bench.until(() => votersNow(bench, 0).includes(1) && nodeOf(bench, 0).leads(0), "its vote");
  bench.cluster.rest(6_000);
  assert.deepEqual(nodeOf(bench, 1).fatals, []);
  const { givenUp = [] } = manifestOn(nodeOf(bench, 0).disk)!;
  assert(givenUp.some(({ incarnation }) => incarnation === former));
});
