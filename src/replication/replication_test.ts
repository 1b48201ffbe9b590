import { strict as assert } from "node:assert";
import { ReplicaCluster, type ReplicaNode } from "../../tests/sim/replica_cluster.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { ENOSPC } from "../io/errno.ts";
import { FRAME_HEADER_SIZE } from "../rpc/frame.ts";
import { LOG_BUSY, LOG_NO_SPACE } from "../storage/log.ts";
import { AppendPatience } from "./append_patience.ts";
import type { PartitionLog } from "../storage/partition_log.ts";
import { ProducerCheck } from "../storage/producer_table.ts";
import { appendMany, assertEqualLogs, committed, GROUP, ledCluster } from "./test_logs.ts";

Deno.test("a group of one leads and commits by its own disk", () => {
  const { cluster, leader } = ledCluster(1, 1);
  const end = appendMany(cluster, leader, 50, () => 300);
  committed(cluster, [leader], end);
  assert.deepEqual(leader.told.get(GROUP)!.lines.slice(-1), ["leading 1"]);
});

Deno.test("three replicas elect the preferred one, and have equal logs", () => {
  const { cluster, leader } = ledCluster(3, 2);
  assert.equal(leader.id, 0);
  const end = appendMany(cluster, leader, 1000, (i) => 40 + (i * 37) % 2000);
  committed(cluster, cluster.nodes, end);
  assertEqualLogs(cluster, end);
  assert.deepEqual(cluster.wrong, []);
});

Deno.test("large batches, which bypass the journal, are replicated", () => {
  const { cluster, leader } = ledCluster(3, 3);
  const end = appendMany(cluster, leader, 30, (i) => i % 3 === 0 ? 60_000 : 500);
  committed(cluster, cluster.nodes, end);
  assertEqualLogs(cluster, end);
});

Deno.test("a leader sends no frame that a node would not take, however much its window allows", () => {
  const { cluster, leader } = ledCluster(3, 12);
  const late = cluster.nodes.find((node) => node !== leader)!;
  for (const { id } of cluster.nodes) cluster.frameMaxOf.set(id, 60_000);
  cluster.kill(late);
  const end = appendMany(cluster, leader, 300, () => 2_000);
  cluster.start(late);
  committed(cluster, cluster.nodes, end);
  assertEqualLogs(cluster, end);
  assert.deepEqual(cluster.wrong, []);
});

Deno.test("a batch that one of the replicas would not take is not for the leader to append", () => {
  const { cluster, leader } = ledCluster(3, 13);
  const small = cluster.nodes.find((node) => node !== leader)!;
  assert.ok(cluster.replica(leader, GROUP).batchBytesMax > 100_000);
  cluster.kill(small);
  cluster.frameMaxOf.set(small.id, 60_000);
  cluster.start(small);
  const { batchBytesMax } = cluster.replica(leader, GROUP);
  assert.ok(batchBytesMax < 60_000 && batchBytesMax > 55_000, `${batchBytesMax}`);
  // Appended before that was known: the others go on, and the node that cannot follow is named.
  const end = appendMany(cluster, leader, 3, (i) => i === 1 ? 70_000 : 100);
  const others = cluster.nodes.filter((node) => node !== small);
  committed(cluster, others, end);
  cluster.pass(500);
  assert.ok(cluster.remarks.length > 0 && cluster.remarks.length <= 30);
  assert.match(cluster.remarks.at(-1)!, new RegExp(`"node":${small.id}.*"takes":60000`));
});

Deno.test("a batch that fills the largest block of a node's memory is too large for it: its log takes whole disk blocks", () => {
  const { cluster, leader } = ledCluster(3, 13);
  const small = cluster.nodes.find((node) => node !== leader)!;
  const { appendBytesMax } = cluster.replica(small, GROUP).log;
  // A frame, with its header, takes a block of memory.
  const blockSizeMax = appendBytesMax + BLOCK_SIZE;
  cluster.frameMaxOf.set(small.id, blockSizeMax - FRAME_HEADER_SIZE);
  assert.ok(leader.replication.batchBytesMaxOf(small.id) <= appendBytesMax);
});

Deno.test("the leader is killed: another one continues, the old one is cut and catches up", () => {
  const { cluster, leader } = ledCluster(3, 4);
  const end = appendMany(cluster, leader, 200, () => 400);
  committed(cluster, [leader], end);
  // What nobody else gets: both links are cut before it appends.
  for (const node of cluster.nodes) if (node !== leader) cluster.cut(leader.id, node.id);
  const lost = appendMany(cluster, leader, 5, () => 100);
  cluster.pass(20);
  assert.ok(cluster.replica(leader, GROUP).commitOffset < lost);
  cluster.kill(leader);
  const beganMs = cluster.nowMs;
  cluster.until("another leader", () => cluster.leaderOf(GROUP) !== null);
  assert.ok(cluster.nowMs - beganMs < 400, `a new leader after ${cluster.nowMs - beganMs} ms`);
  const second = cluster.leaderOf(GROUP)!;
  assert.ok(cluster.replica(second, GROUP).commitOffset >= end, "what was acknowledged is there");
  const newEnd = appendMany(cluster, second, 200, () => 250);
  const living = cluster.nodes.filter(({ alive }) => alive);
  committed(cluster, living, newEnd);
  for (const node of cluster.nodes) if (node !== leader) cluster.mend(leader.id, node.id);
  cluster.start(leader);
  committed(cluster, cluster.nodes, newEnd);
  assertEqualLogs(cluster, newEnd);
  assert.deepEqual(cluster.wrong, []);
});

Deno.test("a follower whose log ends before the leader's start gets a snapshot", () => {
  const { cluster, leader } = ledCluster(3, 6);
  const late = cluster.nodes.find((node) => node !== leader)!;
  committed(cluster, cluster.nodes, appendMany(cluster, leader, 20, () => 100));
  cluster.kill(late);
  const others = cluster.nodes.filter(({ alive }) => alive);
  const end = appendMany(cluster, leader, 400, () => 900);
  committed(cluster, others, end);
  const trimAt = end - 100;
  const index = cluster.replica(leader, GROUP).proposeTrim(trimAt);
  assert.ok(index > 0);
  cluster.until(
    "the trim",
    () => others.every((node) => cluster.replica(node, GROUP).log.startOffset === trimAt),
  );
  cluster.start(late);
  committed(cluster, cluster.nodes, end);
  assert.equal(cluster.replica(late, GROUP).log.startOffset, trimAt);
  assertEqualLogs(cluster, end);
});

/** Stops a follower, and has the others trim the log to `offset`; the follower. */
function lateAfterTrim(
  cluster: ReplicaCluster,
  leader: ReplicaNode,
  fill: () => number,
): { late: ReplicaNode; trimAt: number } {
  const late = cluster.nodes.find((node) => node !== leader)!;
  committed(cluster, cluster.nodes, appendMany(cluster, leader, 20, () => 100));
  cluster.kill(late);
  const trimAt = fill();
  const others = cluster.nodes.filter(({ alive }) => alive);
  committed(cluster, others, trimAt);
  assert.ok(cluster.replica(leader, GROUP).proposeTrim(trimAt) > 0);
  const startsThere = (node: ReplicaNode): boolean =>
    cluster.replica(node, GROUP).log.startOffset === trimAt;
  cluster.until("the trim", () => others.every(startsThere));
  return { late, trimAt };
}

Deno.test("a log that starts within a batch is sent from that batch on, and trimmed again", () => {
  const { cluster, leader } = ledCluster(3, 14);
  const { late, trimAt } = lateAfterTrim(cluster, leader, () => {
    appendMany(cluster, leader, 200, () => 900);
    const before = cluster.append(leader, GROUP, 7, 100);
    assert.ok(before > 0);
    return before - 3;
  });
  const end = appendMany(cluster, leader, 10, () => 100);
  cluster.start(late);
  committed(cluster, cluster.nodes, end);
  const isTrimmed = (node: ReplicaNode): boolean =>
    cluster.replica(node, GROUP).log.startOffset === trimAt;
  cluster.until("the trim everywhere", () => cluster.nodes.every(isTrimmed));
  assertEqualLogs(cluster, end);
  assert.deepEqual(cluster.wrong, []);
});

Deno.test("a follower with all but the batch in which the log starts gets that one", () => {
  const { cluster, leader } = ledCluster(3, 15);
  let end = 0;
  const { late, trimAt } = lateAfterTrim(cluster, leader, () => {
    end = cluster.append(leader, GROUP, 7, 100);
    return end - 3;
  });
  cluster.start(late);
  committed(cluster, cluster.nodes, end);
  cluster.until("the trim", () => cluster.replica(late, GROUP).log.startOffset === trimAt);
  assertEqualLogs(cluster, end);
});

Deno.test("entries that are not committed are not before the log start: they can still be cut off", () => {
  const { cluster, leader } = ledCluster(3, 16);
  const end = appendMany(cluster, leader, 20, () => 100);
  committed(cluster, cluster.nodes, end);
  const others = cluster.nodes.filter((node) => node !== leader);
  const replica = cluster.replica(leader, GROUP);
  // To its end, and then again: the second entry is not committed when the first one takes effect.
  assert.ok(replica.proposeTrim(end) > 0);
  cluster.step();
  const second = replica.proposeTrim(end);
  assert.ok(second > 0);
  cluster.until("the trim", () => replica.log.startOffset === end);
  assert.ok(replica.log.startIndex <= replica.commitIndex);
  for (const node of others) {
    cluster.cut(leader.id, node.id);
    cluster.cut(node.id, leader.id);
  }
  replica.proposeTrim(end);
  cluster.until("another leader", () => {
    const next = cluster.leaderOf(GROUP);
    return next !== null && next !== leader;
  });
  const newEnd = appendMany(cluster, cluster.leaderOf(GROUP)!, 5, () => 100);
  for (const node of others) {
    cluster.mend(leader.id, node.id);
    cluster.mend(node.id, leader.id);
  }
  committed(cluster, cluster.nodes, newEnd);
  assertEqualLogs(cluster, newEnd);
});

Deno.test("who got a snapshot and then leads knows the batches of idempotent producers from before it", () => {
  const { cluster, leader } = ledCluster(3, 17);
  const PRODUCERS = 40;
  const sent: { readonly id: number; readonly sequence: number; readonly offset: number }[] = [];
  const send = (id: number, sequence: number): void => {
    const producer = { producerId: id, producerEpoch: 2, baseSequence: sequence };
    let result = LOG_BUSY;
    cluster.until(
      "room",
      () => (result = cluster.append(leader, GROUP, 3, 200, producer)) >= 0,
    );
    sent.push({ id, sequence, offset: result - 3 });
  };
  let end = 0;
  const { late } = lateAfterTrim(cluster, leader, () => {
    for (let round = 0; round < 8; round++) {
      for (let id = 0; id < PRODUCERS; id++) send(id, round * 3);
    }
    const last = cluster.replica(leader, GROUP).log.endOffset;
    // Within the batches of the last but one round: some of what producers are known for is before the log start.
    const trimAt = last - 3 * PRODUCERS - 50;
    return trimAt;
  });
  end = cluster.replica(leader, GROUP).log.endOffset;
  cluster.start(late);
  committed(cluster, cluster.nodes, end);
  const third = cluster.nodes.find((node) => node !== leader && node !== late)!;
  cluster.kill(third);
  cluster.until("a commit", () => cluster.append(leader, GROUP, 1, 10) >= 0);
  cluster.pass(200);
  cluster.kill(leader);
  cluster.start(third);
  cluster.until("the late one leads", () => cluster.leaderOf(GROUP) === late);
  const { producers } = cluster.replica(late, GROUP).log;
  for (const { id, sequence, offset } of sent.slice(-5 * PRODUCERS)) {
    const verdict = producers.check(id, 2, sequence, sequence + 2, cluster.nowMs);
    assert.equal(verdict, ProducerCheck.DUPLICATE, `producer ${id}, sequence ${sequence}`);
    assert.equal(producers.duplicateOffset, offset);
  }
  for (let id = 0; id < PRODUCERS; id++) {
    assert.equal(producers.check(id, 2, 24, 26, cluster.nowMs), ProducerCheck.NEW);
    assert.equal(producers.check(id, 2, 27, 29, cluster.nowMs), ProducerCheck.OUT_OF_ORDER);
    assert.equal(producers.check(id, 1, 24, 26, cluster.nowMs), ProducerCheck.INVALID_EPOCH);
  }
});

Deno.test("a leader that is cut off stops leading; nothing that it had alone is committed", () => {
  const { cluster, leader } = ledCluster(3, 7);
  const end = appendMany(cluster, leader, 20, () => 100);
  committed(cluster, cluster.nodes, end);
  for (const node of cluster.nodes) {
    if (node === leader) continue;
    cluster.cut(leader.id, node.id);
    cluster.cut(node.id, leader.id);
  }
  appendMany(cluster, leader, 3, () => 100);
  cluster.until("a step down", () => !cluster.replica(leader, GROUP).leading);
  cluster.until("another leader", () => cluster.leaderOf(GROUP) !== null);
  const second = cluster.leaderOf(GROUP)!;
  assert.notEqual(second, leader);
  const newEnd = appendMany(cluster, second, 10, () => 150);
  for (const node of cluster.nodes) {
    if (node === leader) continue;
    cluster.mend(leader.id, node.id);
    cluster.mend(node.id, leader.id);
  }
  committed(cluster, cluster.nodes, newEnd);
  assertEqualLogs(cluster, newEnd);
  const lines = leader.told.get(GROUP)!.lines;
  assert.ok(lines.some((line) => line.startsWith("cut after ")), lines.join("\n"));
});

Deno.test("a replica that is opened after its node can be reached, while its leader appends without pause, catches up", () => {
  const { cluster, leader } = ledCluster(3, 8);
  const late = cluster.nodes.find((node) => node !== leader)!;
  let end = 0;
  const append = (times: number): void => {
    for (let i = 0; i < times; i++) {
      end = Math.max(end, cluster.append(leader, GROUP, 1, 200));
      cluster.step();
    }
  };
  append(100);
  cluster.kill(late);
  append(100);
  // It knows the term, so it never says that it is busy; what reaches it before it has the group is dropped.
  cluster.start(late, false);
  append(500);
  cluster.open(late, GROUP);
  append(3_000);
  assert.ok(cluster.replica(late, GROUP).log.endOffset > end / 2, cluster.describe());
  committed(cluster, cluster.nodes, end);
  assertEqualLogs(cluster, end);
});

Deno.test("an append that waits on a full link while the log start passes it: the follower gets a snapshot", () => {
  const { cluster, leader } = ledCluster(3, 9);
  committed(cluster, cluster.nodes, appendMany(cluster, leader, 10, () => 100));
  const slow = cluster.nodes.find((node) => node !== leader)!;
  cluster.clogged.add(leader.id * 100 + slow.id);
  const others = cluster.nodes.filter((node) => node !== slow);
  const trimAt = appendMany(cluster, leader, 590, () => 500);
  const end = appendMany(cluster, leader, 10, () => 500);
  committed(cluster, others, end);
  assert.ok(cluster.replica(leader, GROUP).proposeTrim(trimAt) > 0);
  cluster.until("the trim", () => cluster.replica(leader, GROUP).log.startOffset === trimAt);
  cluster.clogged.clear();
  // Sooner than the leader would find out by itself that an append is lost.
  const isThere = (): boolean => cluster.replica(slow, GROUP).commitOffset >= end;
  cluster.until("the commit there", isThere, 1_000);
  cluster.until(
    "the trim everywhere",
    () => cluster.nodes.every((node) => cluster.replica(node, GROUP).log.startOffset === trimAt),
  );
  assertEqualLogs(cluster, end);
  assert.deepEqual(cluster.wrong, []);
});

Deno.test("a leader whose disk hangs hands over within 2 s, and follows when it works again", () => {
  const { cluster, leader } = ledCluster(3, 18);
  const end = appendMany(cluster, leader, 20, () => 100);
  committed(cluster, cluster.nodes, end);
  cluster.frozen.add(leader);
  const beganMs = cluster.nowMs;
  assert.ok(cluster.append(leader, GROUP, 1, 100) > 0);
  cluster.until("another leader", () => (cluster.leaderOf(GROUP) ?? leader) !== leader);
  const tookMs = cluster.nowMs - beganMs;
  assert.ok(tookMs < 2_000, `${tookMs} ms`);
  assert.ok(!cluster.replica(leader, GROUP).leading);
  const next = cluster.leaderOf(GROUP)!;
  const living = cluster.nodes.filter((node) => node !== leader);
  const newEnd = appendMany(cluster, next, 20, () => 100);
  committed(cluster, living, newEnd);
  // It gives no sign of life, so nobody counts on it; and it votes for nobody.
  const peer = cluster.replica(next, GROUP).raft.peers.find(({ node }) => node === leader.id)!;
  cluster.until("its silence", () => !peer.isUp, 1_500);
  const third = living.find((node) => node !== next)!;
  cluster.kill(next);
  cluster.pass(3_000);
  assert.ok(!cluster.replica(third, GROUP).leading, "elected by a node that cannot write its vote");
  cluster.frozen.clear();
  cluster.until("a leader", () => cluster.leaderOf(GROUP) !== null);
  cluster.start(next);
  committed(cluster, cluster.nodes, newEnd);
  assertEqualLogs(cluster, newEnd);
});

Deno.test("a group of one whose disk hangs stays led", () => {
  const { cluster, leader } = ledCluster(1, 19);
  appendMany(cluster, leader, 5, () => 100);
  cluster.frozen.add(leader);
  appendMany(cluster, leader, 1, () => 100);
  cluster.pass(4_000);
  assert.ok(cluster.replica(leader, GROUP).leading);
  cluster.frozen.clear();
  committed(cluster, [leader], cluster.replica(leader, GROUP).log.endOffset);
});

Deno.test("a follower whose disk is full is waited for without haste, shown by the leader, and goes on when there is room", () => {
  const { cluster, leader } = ledCluster(3, 23);
  committed(cluster, cluster.nodes, appendMany(cluster, leader, 20, () => 100));
  const full = cluster.nodes.find((node) => node !== leader)!;
  full.storage.disk.inject({
    operation: "allocate",
    nth: 1,
    count: Infinity,
    fault: { kind: "error", errno: ENOSPC },
  });
  const others = cluster.nodes.filter((node) => node !== full);
  const behind = (): boolean =>
    cluster.replica(full, GROUP).log.endOffset < cluster.replica(leader, GROUP).commitOffset;
  let end = 0;
  for (let i = 0; i < 60 || !behind(); i++) {
    end = appendMany(cluster, leader, 20, () => 2_000);
    cluster.pass(5);
  }
  committed(cluster, others, end);
  const peer = cluster.replica(leader, GROUP).raft.peers.find(({ node }) => node === full.id)!;
  cluster.until("the news at the leader", () => peer.isFull);
  const { members } = cluster.replica(leader, GROUP).status();
  assert.equal(members.find(({ node }) => node === full.id)!.state, "full");
  assert.match(cluster.remarks.join(), /disk of its node is full/);
  const before = cluster.framesDelivered;
  const beganMs = cluster.nowMs;
  cluster.pass(5_000);
  const rate = (cluster.framesDelivered - before) / (cluster.nowMs - beganMs) * 1000;
  // Signs of life and heartbeats are 100; an append and its answer at most every half second come on top.
  assert.ok(rate < 115, `${rate} frames a second`);
  assert.ok(cluster.replica(leader, GROUP).leading);
  full.storage.disk.clearFaults();
  cluster.until("its return", () => cluster.replica(full, GROUP).commitOffset >= end, 5_000);
  assert.equal(peer.isFull, false);
  assertEqualLogs(cluster, end);
});

Deno.test("a log that refuses is asked again ever later, and at once when it took something", () => {
  const patience = new AppendPatience();
  patience.note(LOG_BUSY, false, 1_000);
  assert.ok(patience.untilMs < 1_000);
  const waits = Array.from({ length: 10 }, () => {
    patience.note(LOG_BUSY, false, 1_000);
    return patience.untilMs - 1_000;
  });
  assert.deepEqual(waits, [20, 40, 80, 160, 320, 500, 500, 500, 500, 500]);
  patience.note(LOG_BUSY, true, 1_000);
  assert.ok(patience.untilMs < 1_000);
  patience.note(LOG_NO_SPACE, true, 1_000);
  assert.equal(patience.untilMs, 1_500);
  assert.ok(patience.isFull);
  patience.note(0, true, 1_000);
  assert.ok(!patience.isFull && patience.untilMs < 1_000);
});

const GROUPS = 60;

/** Groups that are led, and have had nothing to say for a while. */
function quietCluster(seed: number): ReplicaCluster {
  const cluster = new ReplicaCluster(3, seed);
  for (let groupId = 1; groupId <= GROUPS; groupId++) cluster.openAll(groupId);
  const isLed = (groupId: number): boolean => cluster.leaderOf(groupId) !== null;
  cluster.until(
    "leaders",
    () => Array.from({ length: GROUPS }, (_, i) => 1 + i).every(isLed),
  );
  cluster.pass(8_000);
  return cluster;
}

Deno.test("groups without work cost nothing but their nodes' signs of life", () => {
  const cluster = quietCluster(20);
  const before = cluster.framesDelivered;
  cluster.pass(5_000);
  const frames = cluster.framesDelivered - before;
  // Six directions, ten a second.
  assert.ok(frames >= 290 && frames <= 310, `${frames} frames`);
  for (const node of cluster.nodes) {
    for (let groupId = 1; groupId <= GROUPS; groupId++) {
      assert.equal(cluster.replica(node, groupId).raft.deadlineMs, Infinity);
    }
  }
});

Deno.test("a replica that has everything is not shown as one that is probed, once its connection was made again", () => {
  const cluster = quietCluster(23);
  const leader = cluster.leaderOf(1)!;
  const other = cluster.nodes.find((node) => node !== leader)!;
  const stateOf = (): string | undefined =>
    cluster.replica(leader, 1).status().members.find(({ node }) => node === other.id)?.state;
  for (const [from, to] of [[leader, other], [other, leader]]) cluster.cut(from!.id, to!.id);
  cluster.pass(20);
  assert.equal(stateOf(), "probing", "who knows where its log ends now?");
  for (const [from, to] of [[leader, other], [other, leader]]) cluster.mend(from!.id, to!.id);
  cluster.pass(5_000);
  assert.equal(stateOf(), "following");
  (cluster.replica(other, 1).log as PartitionLog).markSuspect();
  cluster.until("an append", () => cluster.append(leader, 1, 1, 10) >= 0);
  cluster.pass(2_000);
  assert.equal(stateOf(), "probing", "its log is damaged");
});

Deno.test("a node that falls silent while it is connected is replaced as leader of its quiet groups", () => {
  const cluster = quietCluster(21);
  const silent = cluster.nodes[0]!;
  const led = Array.from({ length: GROUPS }, (_, i) => 1 + i)
    .filter((groupId) => cluster.leaderOf(groupId) === silent);
  assert.ok(led.length > GROUPS / 2);
  for (const { id } of cluster.nodes) {
    cluster.mute.add(silent.id * 100 + id);
    cluster.mute.add(id * 100 + silent.id);
  }
  const beganMs = cluster.nowMs;
  const replaced = (groupId: number): boolean =>
    cluster.nodes.some((node) => node !== silent && cluster.replica(node, groupId).leading);
  cluster.until("other leaders", () => led.every(replaced), 1_500);
  assert.ok(cluster.nowMs - beganMs > 500);
  assert.match(cluster.remarks.join(), /no sign of life/);
  cluster.mute.clear();
  cluster.until("its return", () =>
    led.every((groupId) => {
      const { leaderId, leading, raft } = cluster.replica(silent, groupId);
      return leaderId > 0 && !leading &&
        raft.term === cluster.replica(cluster.nodes[1]!, groupId).term;
    }));
  const terms = led.map((groupId) => cluster.replica(silent, groupId).term);
  cluster.pass(6_000);
  assert.deepEqual(led.map((groupId) => cluster.replica(silent, groupId).term), terms, "no storm");
  assert.match(cluster.remarks.join(), /signs of life again/);
});

Deno.test("a node whose process stood still does not take the others for dead", () => {
  const cluster = quietCluster(22);
  const terms = (): number[] => cluster.nodes.map((node) => cluster.replica(node, 1).term);
  const before = terms();
  // All of them slept at the same time: a suspended machine.
  cluster.nowMs += 20_000;
  cluster.pass(3_000);
  assert.deepEqual(terms(), before);
  assert.deepEqual(cluster.remarks, []);
});

Deno.test("a leader whose log turns out to be damaged hands leadership over", () => {
  const { cluster, leader } = ledCluster(3, 10);
  const end = appendMany(cluster, leader, 20, () => 100);
  committed(cluster, cluster.nodes, end);
  (cluster.replica(leader, GROUP).log as PartitionLog).markSuspect();
  cluster.until("another leader", () => {
    const next = cluster.leaderOf(GROUP);
    return next !== null && next !== leader;
  });
  const next = cluster.leaderOf(GROUP)!;
  committed(cluster, [next], appendMany(cluster, next, 20, () => 100));
});

Deno.test("a damaged follower is not made whole by a snapshot: it would vote without what it acknowledged", () => {
  const { cluster, leader } = ledCluster(3, 24);
  const damaged = cluster.nodes.find((node) => node !== leader)!;
  const third = cluster.nodes.find((node) => node !== leader && node !== damaged)!;
  committed(cluster, cluster.nodes, appendMany(cluster, leader, 20, () => 100));
  cluster.kill(third);
  const trimAt = appendMany(cluster, leader, 200, () => 900);
  committed(cluster, [leader, damaged], trimAt);
  const log = cluster.replica(damaged, GROUP).log as PartitionLog;
  log.markSuspect();
  cluster.start(third);
  committed(cluster, [leader, third], trimAt);
  assert.ok(cluster.replica(leader, GROUP).proposeTrim(trimAt) > 0);
  cluster.until("the trim", () => cluster.replica(leader, GROUP).log.startOffset === trimAt);
  // When the connection is made again, the leader knows nothing of where that log ends.
  cluster.cut(leader.id, damaged.id);
  cluster.mend(leader.id, damaged.id);
  cluster.pass(2_000);
  assert.ok(log.suspect);
  cluster.kill(leader);
  cluster.pass(4_000);
  assert.equal(cluster.leaderOf(GROUP), null, "elected by a node that has forgotten");
});

Deno.test("a leader whose transfer fails leads on, and says nothing", () => {
  const { cluster, leader } = ledCluster(3, 21);
  committed(cluster, cluster.nodes, appendMany(cluster, leader, 5, () => 100));
  const [heir, other] = cluster.nodes.filter((node) => node !== leader);
  const said = leader.told.get(GROUP)!.lines.slice();
  // It hears that it shall lead, and nobody hears it.
  cluster.cut(heir!.id, leader.id);
  cluster.cut(heir!.id, other!.id);
  const replica = cluster.replica(leader, GROUP);
  assert.equal(replica.transfer(heir!.id), 0);
  assert(replica.transferring);
  cluster.until("the end of the transfer", () => {
    assert(!replica.handingOver, "appends are held back");
    return !replica.transferring;
  });
  cluster.pass(20);
  assert.deepEqual(leader.told.get(GROUP)!.lines, said);
  const end = cluster.append(leader, GROUP, 1, 100);
  committed(cluster, [leader, other!], end);
});

Deno.test("a group that is made while a member's node is gone takes it for gone, until it is back", () => {
  for (const how of ["dead", "silent"] as const) {
    const { cluster } = ledCluster(3, 31);
    const [one, two, gone] = cluster.nodes as [ReplicaNode, ReplicaNode, ReplicaNode];
    if (how === "dead") cluster.kill(gone);
    else for (const { id } of [one, two]) cluster.mute.add(gone.id * 100 + id);
    cluster.pass(2_000);
    const OTHER = GROUP + 1;
    for (const node of [one, two]) cluster.open(node, OTHER);
    cluster.pass(500);
    const sees = (node: ReplicaNode): boolean | undefined =>
      cluster.replica(node, OTHER).status().members.find((one) => one.node === gone.id)?.isUp;
    assert.deepEqual([sees(one), sees(two)], [false, false], how);
    if (how === "dead") cluster.start(gone);
    else cluster.mute.clear();
    cluster.open(gone, OTHER);
    cluster.until("its return", () => sees(one) === true && sees(two) === true);
  }
});
