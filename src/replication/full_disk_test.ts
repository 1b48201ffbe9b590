/** Disks without room, of one replica, of a majority, and of all, whose journals take no records: moving the log start frees them. */

import { strict as assert } from "node:assert";
import type { ReplicaCluster, ReplicaNode } from "../../tests/sim/replica_cluster.ts";
import { ENOSPC } from "../io/errno.ts";
import { LOG_BUSY, LOG_NO_SPACE, MetaKind } from "../storage/log.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS } from "../../tests/sim/storage_node.ts";
import type { Engine } from "../storage/engine.ts";
import { appendMany, assertEqualLogs, committed, GROUP, ledCluster } from "./test_logs.ts";

const VALUE_BYTES = 3_000;
/** A segment and a half: the first one can go, and the rest of the second one is reserved. */
const BATCHES = 500;
const FILLER = GROUP + 1;
/** A segment of this size has reserved twice as much for more, which is more than a journal holds. */
const FILLER_BYTES = 700 * 1024;
const STUCK_STEPS_MAX = 3_000;
/** Room for this much makes a disk good again. */
const ROOM_BYTES = 256 * 1024;

/** Disks that others have filled, until something on them is deleted. */
class FullDisks {
  readonly #cluster: ReplicaCluster;
  readonly #full = new Map<ReplicaNode, number>();

  constructor(cluster: ReplicaCluster) {
    this.#cluster = cluster;
  }

  fill(node: ReplicaNode): void {
    const { disk } = node.storage;
    const used = disk.usedBytes();
    this.#full.set(node, used);
    disk.resize(used);
    // As where the rows of many logs grow: no checkpoint makes room in the journal.
    disk.inject({
      operation: "allocate",
      nth: 1,
      count: Infinity,
      path: /checkpoint/,
      fault: { kind: "error", errno: ENOSPC },
    });
  }

  until(what: string, done: () => boolean): void {
    this.#cluster.until(what, () => {
      for (const [{ storage: { disk } }, used] of this.#full) {
        if (disk.usedBytes() <= used - ROOM_BYTES) disk.clearFaults();
      }
      return done();
    });
  }
}

function engineOf(node: ReplicaNode): Engine {
  return node.storage.engines[0]!;
}

/** No record of a client's fits into the journal, and no checkpoint changes that. */
function isStuck(node: ReplicaNode): boolean {
  const { journal, ringStuck } = engineOf(node);
  return ringStuck && !journal.hasRoom(0);
}

function startOf(cluster: ReplicaCluster, node: ReplicaNode): number {
  return cluster.replica(node, GROUP).log.startOffset;
}

/** Another log of a node, which nobody else has, with much room in its segment. */
function openFiller(cluster: ReplicaCluster, node: ReplicaNode): void {
  const log = engineOf(node).createLog({
    groupId: FILLER,
    incarnation: 1,
    name: "filler",
    segmentLimits: { ...TEST_LIMITS, segmentBytes: 16 * 1024 * 1024 },
    listener: null,
  });
  cluster.until("the filler", () => log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0)) >= 0);
  cluster.until("records", () => {
    appendFiller(node);
    return log.sizeBytes > FILLER_BYTES;
  });
}

/** Large records as long as there is room, then small ones. */
function appendFiller({ storage }: ReplicaNode): void {
  const { engines: [engine], memory, crc32c, nowMs } = storage;
  for (const valueBytes of [VALUE_BYTES, 1]) {
    const batch = { recordCount: 1, valueBytes, fill: 1, timestampMs: nowMs };
    const size = writeSampleBatch(memory, crc32c, 0, batch);
    if (engine!.logs.get(FILLER)!.append(0, size, 1, nowMs) >= 0) return;
  }
}

/** Appends on the leader and to the fillers until these nodes are stuck. */
function appendUntilStuck(
  cluster: ReplicaCluster,
  leader: ReplicaNode,
  nodes: readonly ReplicaNode[],
): void {
  cluster.until("stuck journals", () => {
    cluster.append(leader, GROUP, 1, VALUE_BYTES);
    for (const node of nodes) appendFiller(node);
    return nodes.every(isStuck);
  }, STUCK_STEPS_MAX);
}

/** Three replicas with a segment and a half, and a filler each. */
function filledCluster(seed: number): { cluster: ReplicaCluster; leader: ReplicaNode } {
  const { cluster, leader } = ledCluster(3, seed);
  for (const node of cluster.nodes) openFiller(cluster, node);
  committed(cluster, cluster.nodes, appendMany(cluster, leader, BATCHES, () => VALUE_BYTES));
  return { cluster, leader };
}

/** Moves the log start behind the first segment; the new start. */
function trimFirstSegment(cluster: ReplicaCluster, leader: ReplicaNode): number {
  const replica = cluster.replica(leader, GROUP);
  const [first] = replica.log.segments();
  const trimAt = first!.endOffset;
  assert.ok(trimAt <= replica.commitOffset);
  assert.ok(replica.proposeTrim(trimAt) > 0);
  return trimAt;
}

/** All have the same start, and go on. */
function assertFreed(cluster: ReplicaCluster, full: FullDisks, trimAt: number): void {
  const nodes = cluster.nodes.filter(({ alive }) => alive);
  full.until("the trim", () => nodes.every((node) => startOf(cluster, node) >= trimAt));
  full.until(
    "room in the journals",
    () => nodes.every((node) => !engineOf(node).ringStuck && engineOf(node).journal.hasRoom(3_000)),
  );
  full.until("a leader", () => cluster.leaderOf(GROUP) !== null);
  const leader = cluster.leaderOf(GROUP)!;
  let end = LOG_BUSY as number;
  full.until("an append", () => (end = cluster.append(leader, GROUP, 1, 100)) >= 0);
  committed(cluster, nodes, end);
  for (const node of cluster.nodes) {
    node.storage.disk.resize();
    if (!node.alive) cluster.start(node);
  }
  committed(cluster, cluster.nodes, end);
  cluster.until(
    "equal starts",
    () => cluster.nodes.every((node) => startOf(cluster, node) >= trimAt),
  );
  assertEqualLogs(cluster, end);
  assert.deepEqual(cluster.wrong, []);
}

Deno.test("a leader whose disk is full, and its journal with it, moves its log start, and goes on", () => {
  const { cluster, leader } = filledCluster(41);
  const full = new FullDisks(cluster);
  full.fill(leader);
  appendUntilStuck(cluster, leader, [leader]);
  const { log } = cluster.replica(leader, GROUP);
  assert.equal(cluster.append(leader, GROUP, 1, VALUE_BYTES), LOG_NO_SPACE);
  const trimAt = trimFirstSegment(cluster, leader);
  // Retention asks again and again: one entry is enough.
  const { lastIndex } = log;
  for (let i = 0; i < 50; i++) cluster.replica(leader, GROUP).proposeTrim(trimAt);
  assert.equal(log.lastIndex, lastIndex);
  assertFreed(cluster, full, trimAt);
});

Deno.test("a follower whose disk is full is not in sync, and is freed by the leader's log start, whatever it lacks", () => {
  const { cluster, leader } = filledCluster(42);
  const follower = cluster.nodes.find((node) => node !== leader)!;
  const full = new FullDisks(cluster);
  full.fill(follower);
  appendUntilStuck(cluster, leader, [follower]);
  cluster.until("the news", () => cluster.replica(leader, GROUP).inSyncOffset(follower.id) < 0);
  assert.equal(cluster.replica(leader, GROUP).inSyncCount, 2);
  for (let i = 0; i < 200; i++) {
    cluster.pass(10);
    assert.equal(cluster.replica(leader, GROUP).inSyncCount, 2, "its disk is full all the time");
  }
  const trimAt = trimFirstSegment(cluster, leader);
  assertFreed(cluster, full, trimAt);
  cluster.until("in sync", () => cluster.replica(leader, GROUP).inSyncCount === 3);
});

Deno.test("a follower whose disk is full, and that lacks what is before the log start, begins anew", () => {
  const { cluster, leader } = filledCluster(43);
  const [follower, other] = cluster.nodes.filter((node) => node !== leader);
  const full = new FullDisks(cluster);
  full.fill(follower!);
  appendUntilStuck(cluster, leader, [follower!]);
  const end = appendMany(cluster, leader, BATCHES, () => VALUE_BYTES);
  committed(cluster, [leader, other!], end);
  assert.ok(isStuck(follower!));
  assert.ok(cluster.replica(leader, GROUP).proposeTrim(end - 10) > 0);
  assertFreed(cluster, full, end - 10);
});

Deno.test("a majority of full disks, behind records that nobody can commit, is freed by a log start that is asked for", () => {
  const { cluster, leader } = filledCluster(44);
  const full = new FullDisks(cluster);
  const followers = cluster.nodes.filter((node) => node !== leader);
  for (const node of followers) full.fill(node);
  appendUntilStuck(cluster, leader, followers);
  const { log, commitOffset } = cluster.replica(leader, GROUP);
  cluster.pass(2_000);
  assert.equal(cluster.replica(leader, GROUP).commitOffset, commitOffset);
  assert.ok(log.endOffset > commitOffset, "records wait that nobody else has");
  assert.equal(cluster.replica(leader, GROUP).inSyncCount, 1);
  assertFreed(cluster, full, trimFirstSegment(cluster, leader));
});

Deno.test("all disks are full, and the leader dies: the next one opens its term, and frees them", () => {
  const { cluster, leader: first } = filledCluster(45);
  const full = new FullDisks(cluster);
  for (const node of cluster.nodes) full.fill(node);
  appendUntilStuck(cluster, first, cluster.nodes);
  cluster.kill(first);
  assert.ok(cluster.nodes.every((node) => node === first || isStuck(node)));
  full.until("a leader", () => cluster.leaderOf(GROUP) !== null);
  assertFreed(cluster, full, trimFirstSegment(cluster, cluster.leaderOf(GROUP)!));
});

Deno.test("full disks of a majority that took different amounts, and the leader dies: the next one frees them", () => {
  const { cluster, leader } = filledCluster(47);
  const full = new FullDisks(cluster);
  const [short, long] = cluster.nodes.filter((node) => node !== leader);
  full.fill(short!);
  appendUntilStuck(cluster, leader, [short!]);
  full.fill(long!);
  appendUntilStuck(cluster, leader, [long!]);
  assert.ok(
    cluster.replica(short!, GROUP).log.lastIndex < cluster.replica(long!, GROUP).log.lastIndex,
  );
  cluster.kill(leader);
  // The other one has no room for what comes before its no-op.
  cluster.until("an election", () => cluster.replica(long!, GROUP).opening);
  assertFreed(cluster, full, trimFirstSegment(cluster, long!));
});

Deno.test("a log start that only full disks have moved to is shown by nobody before it is committed, and never goes back", () => {
  const { cluster, leader } = filledCluster(46);
  const full = new FullDisks(cluster);
  const followers = cluster.nodes.filter((node) => node !== leader);
  for (const node of followers) full.fill(node);
  appendUntilStuck(cluster, leader, followers);
  const trimAt = trimFirstSegment(cluster, leader);
  // Before there is room for the entry that says so.
  cluster.until("a start", () => followers.some((node) => startOf(cluster, node) === trimAt));
  assert.ok(startOf(cluster, leader) < trimAt);
  cluster.kill(leader);
  full.until("another leader", () => cluster.leaderOf(GROUP) !== null);
  const second = cluster.leaderOf(GROUP)!;
  const isSaid = (node: ReplicaNode): boolean => {
    const { log, commitIndex } = cluster.replica(node, GROUP);
    return log.startOffset === 0 || log.lastMeta(MetaKind.PREFIX, commitIndex) !== null;
  };
  assert.ok(isSaid(second));
  const shown = startOf(cluster, second);
  cluster.start(leader);
  full.until("its return", () => startOf(cluster, leader) >= shown);
  cluster.kill(second);
  full.until("a third leader", () => (cluster.leaderOf(GROUP) ?? second) !== second);
  assert.ok(startOf(cluster, cluster.leaderOf(GROUP)!) >= shown);
});
