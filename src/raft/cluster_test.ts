/** What several nodes do together: elections among them, transfers, members, silence. Times are simulated. */

import { strict as assert } from "node:assert";
import { KEEPS_UP_MS, RAFT_TIMING } from "./limits.ts";
import { MessageKind } from "./message.ts";
import { Role } from "./raft_group.ts";
import { CALM, type ClusterOptions, members, simple, TestCluster } from "./test_cluster.ts";
import type { TestNode } from "./test_node.ts";

/** A cluster whose leader serves. */
function led(voters: number, options: ClusterOptions = {}): TestCluster {
  const nodes = Array.from({ length: voters }, (_, at) => at + 1);
  const cluster = new TestCluster(simple(...nodes), options);
  cluster.start();
  assert.ok(cluster.runUntil(() => cluster.leader !== null, 5_000));
  return cluster;
}

function follower(cluster: TestCluster): TestNode {
  return [...cluster.nodes.values()].find((node) => node !== cluster.leader)!;
}

function isReplaced(cluster: TestCluster, leader: TestNode, forMs: number): boolean {
  return cluster.runUntil(() => (cluster.leader ?? leader) !== leader, forMs);
}

Deno.test("the first voter leads a new group", () => {
  for (let seed = 1; seed <= 20; seed++) {
    assert.equal(led(3, { seed }).leader!.id, 1);
  }
});

Deno.test("a broken connection is news: the next leader serves within 300 ms", () => {
  const times: number[] = [];
  for (let seed = 1; seed <= 50; seed++) {
    const cluster = led(3, { seed, flush: [2, 10] });
    cluster.run(1_000);
    const leader = cluster.leader!;
    const startMs = cluster.queue.nowMs;
    cluster.crash(leader.id);
    assert.ok(isReplaced(cluster, leader, 3_000));
    times.push(cluster.queue.nowMs - startMs);
  }
  times.sort((a, b) => a - b);
  assert.ok(times[25]! < 200, `median ${times[25]} ms`);
  assert.ok(times[49]! < 500, `worst ${times[49]} ms`);
});

Deno.test("two that campaign at once share no votes, or try again at once, however slow the nodes are", () => {
  const times: number[] = [];
  for (let seed = 1; seed <= 300; seed++) {
    // As on a machine with more to do than it can: whoever is asked answers late.
    const link = { ...CALM, delayMinMs: 5, delayMaxMs: 60 };
    const cluster = led(3, { seed, flush: [2, 40], link });
    cluster.run(1_000);
    assert.ok(cluster.runUntil(() => cluster.leader !== null, 2_000));
    const leader = cluster.leader!;
    const startMs = cluster.queue.nowMs;
    cluster.crash(leader.id);
    assert.ok(isReplaced(cluster, leader, 5_000));
    times.push(cluster.queue.nowMs - startMs);
  }
  times.sort((a, b) => a - b);
  assert.ok(times[270]! < 550, `nine of ten: ${times[270]} ms`);
  assert.ok(times.at(-1)! < 900, `worst ${times.slice(-8)} ms`);
});

Deno.test("a heartbeat that was on its way when its leader died makes nobody quiet", () => {
  const cluster = led(3);
  const leader = cluster.leader!;
  cluster.run(RAFT_TIMING.quietMs + 2_000);
  const node = follower(cluster);
  assert.ok(node.group.isQuiet);
  cluster.crash(leader.id, true);
  for (const { group, now } of cluster.nodes.values()) {
    if (group !== leader.group) group.peerDown(leader.id, now);
  }
  const late = leader.group.appendHeader(0);
  late.clear(MessageKind.HEARTBEAT);
  const { lastIndex } = node.log;
  Object.assign(late, { from: leader.id, term: leader.group.term, commit: lastIndex });
  Object.assign(late, { index: lastIndex, quiet: true });
  for (const other of cluster.nodes.values()) {
    if (other !== leader) other.group.step(late, other.now);
    other.after();
  }
  assert.equal(node.group.leaderId, leader.id);
  assert.equal(node.group.isQuiet, false);
  assert.ok(isReplaced(cluster, leader, 1_000));
});

Deno.test("a leader that falls silent is replaced within 1.5 s", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const cluster = led(3, { seed, flush: [2, 10] });
    cluster.run(1_000);
    const leader = cluster.leader!;
    cluster.crash(leader.id, true);
    assert.ok(isReplaced(cluster, leader, 1_500), `seed ${seed}`);
  }
});

Deno.test("a node that was cut off disturbs nobody when it is back", () => {
  const cluster = led(3);
  const { leader } = cluster;
  const { term } = leader!.group;
  const lost = follower(cluster);
  cluster.isolate(lost.id);
  cluster.run(20_000);
  assert.equal(lost.group.term, term, "it only asked whether it would be elected");
  cluster.heal();
  cluster.run(5_000);
  assert.equal(cluster.leader, leader);
  assert.equal(leader!.group.term, term);
  assert.equal(lost.group.leaderId, leader!.id);
});

Deno.test("a node that hears no leader, and is heard, disturbs nobody", () => {
  const cluster = led(3);
  const { leader } = cluster;
  const { term } = leader!.group;
  cluster.block(leader!.id, follower(cluster).id);
  // Even one that asks for real votes in a later term.
  const asker = follower(cluster);
  cluster.run(3_000);
  leader!.propose([1]);
  const other = [...cluster.nodes.values()].find((node) => node !== leader && node !== asker)!;
  const request = other.group.appendHeader(0);
  request.clear(MessageKind.VOTE_REQUEST);
  Object.assign(request, { from: asker.id, term: term + 5, index: 99, indexTerm: term + 4 });
  other.group.step(request, other.now);
  other.after();
  cluster.run(20_000);
  assert.equal(cluster.leader, leader);
  assert.equal(leader!.group.term, term);
});

Deno.test("a leader that is heard, and hears nobody, gives up; another one leads", () => {
  const cluster = led(3);
  const leader = cluster.leader!;
  for (const id of cluster.nodes.keys()) if (id !== leader.id) cluster.block(id, leader.id);
  assert.ok(cluster.runUntil(() => leader.group.role !== Role.LEADER, 2_000));
  assert.ok(isReplaced(cluster, leader, 4_000));
});

Deno.test("of five nodes of which all hear one only, there is a stable leader", () => {
  const cluster = led(5);
  // Nodes 1 and 2, 4 and 5 hear only each other and node 3.
  for (const a of [1, 2]) for (const b of [4, 5]) cluster.part(a, b);
  cluster.run(5_000);
  const { elections } = cluster.checker;
  const leader = cluster.leader!;
  assert.ok(leader.propose([7]) > 0);
  cluster.run(20_000);
  assert.ok(cluster.checker.elections <= elections + 1, "leadership does not settle");
  assert.ok(cluster.leader!.group.commitIndex >= 2);
});

Deno.test("a follower whose connection breaks and returns changes no leader", () => {
  const cluster = led(3);
  const { leader } = cluster;
  const node = follower(cluster);
  for (let at = 0; at < 20; at++) {
    node.group.peerDown(leader!.id, node.now);
    node.after();
    cluster.run(400);
    node.group.peerUp(leader!.id, node.now);
    node.after();
    cluster.run(400);
  }
  assert.equal(cluster.leader, leader);
  assert.equal(cluster.checker.elections, 1);
});

Deno.test("a transfer holds appends back for a few milliseconds, and moves the leader", () => {
  const cluster = led(3);
  const leader = cluster.leader!;
  cluster.run(100);
  for (let at = 0; at < 50; at++) leader.propose([at]);
  assert.equal(leader.group.transfer(2, leader.now), 0);
  assert.equal(leader.group.accepts, true, "node 2 has not got on with what there is");
  const takes = (): number => leader.propose([100]);
  assert.ok(cluster.runUntil(() => takes() === 0, 20), "appends are held back");
  const startMs = cluster.queue.nowMs;
  assert.ok(isReplaced(cluster, leader, 1_000));
  assert.ok(cluster.queue.nowMs - startMs < 20);
  assert.equal(cluster.leader!.id, 2);
  cluster.run(1_000);
  assert.ok(cluster.leader!.group.commitIndex >= 52);
});

Deno.test("a transfer to a node that does not answer is given up, and appends go on", () => {
  const cluster = led(3);
  const leader = cluster.leader!;
  cluster.drop = (_, to) => to === 2;
  leader.group.transfer(2, leader.now);
  cluster.run(600);
  leader.isLeading = false;
  cluster.run(1_000);
  assert.equal(cluster.leader, leader);
  assert.ok(leader.group.accepts);
  assert.ok(leader.propose([1]) > 0);
  cluster.run(100);
  assert.equal(leader.group.commitIndex, 2);
});

Deno.test("a transfer to a node whose disk hangs holds no append back", () => {
  const cluster = led(3);
  const leader = cluster.leader!;
  cluster.run(100);
  cluster.freeze(2);
  for (let at = 0; at < 5; at++) assert.ok(leader.propose([at]) > 0);
  leader.group.transfer(2, leader.now);
  for (let at = 0; at < 100; at++) {
    cluster.run(10);
    assert.ok(leader.propose([at]) > 0, `after ${10 * at} ms`);
  }
  assert.equal(leader.group.isTransferring, false);
  cluster.thaw(2);
  cluster.run(1_000);
  assert.equal(leader.group.commitIndex, leader.log.lastIndex);
});

Deno.test("whoever changes his mind about a transfer again and again does not hold appends back for longer", () => {
  const cluster = led(3);
  const leader = cluster.leader!;
  // Neither of the two hears that it should lead.
  cluster.drop = (_from, _to, { kind }) => kind === MessageKind.TIMEOUT_NOW;
  let waitedMs = 0;
  let longestMs = 0;
  for (let round = 0; round < 400; round++) {
    leader.group.transfer(2 + round % 2, leader.now);
    cluster.run(10);
    waitedMs = leader.group.accepts ? 0 : waitedMs + 10;
    longestMs = Math.max(longestMs, waitedMs);
  }
  assert.ok(longestMs > 100 && longestMs < 1_000, `${longestMs} ms`);
});

Deno.test("a leader whose disk stalls hands over at once", () => {
  const cluster = led(3);
  cluster.run(1_000);
  const leader = cluster.leader!;
  cluster.freeze(leader.id);
  leader.group.stalled(true, leader.now);
  leader.after();
  const startMs = cluster.queue.nowMs;
  assert.ok(isReplaced(cluster, leader, 1_000));
  assert.ok(cluster.queue.nowMs - startMs < 50);
  assert.equal(leader.group.role, Role.FOLLOWER);
});

Deno.test("quiet followers learn of a leader that stalled, even if its word is lost", () => {
  const cluster = led(3);
  cluster.run(RAFT_TIMING.quietMs + 1_000);
  const leader = cluster.leader!;
  assert.ok([...cluster.nodes.values()].every(({ group }) => group.isQuiet));
  cluster.drop = (_from, _to, { kind }) => kind === MessageKind.TIMEOUT_NOW;
  leader.group.stalled(true, leader.now);
  leader.after();
  assert.ok(isReplaced(cluster, leader, 5_000));
});

Deno.test("a group without work is silent, and wakes without a loss", () => {
  const cluster = led(3);
  cluster.run(RAFT_TIMING.quietMs + 1_000);
  const sent = cluster.network.sentCount;
  cluster.run(3_600_000);
  assert.equal(cluster.network.sentCount, sent, "an hour without a message");
  for (const { group } of cluster.nodes.values()) assert.equal(group.deadlineMs, Infinity);
  const leader = cluster.leader!;
  assert.ok(leader.propose([1, 2]) > 0);
  cluster.run(300);
  for (const { group } of cluster.nodes.values()) assert.equal(group.commitIndex, 3);
  assert.equal(cluster.checker.elections, 1);
});

Deno.test("a node that comes and goes does not wake the quiet ones", () => {
  const cluster = led(3);
  cluster.run(RAFT_TIMING.quietMs + 1_000);
  const { leader } = cluster;
  const node = follower(cluster);
  const other = [...cluster.nodes.values()].find((each) => each !== leader && each !== node)!;
  for (let at = 0; at < 5; at++) {
    cluster.crash(node.id);
    cluster.run(2_000);
    assert.ok(leader!.group.isQuiet && other.group.isQuiet);
    cluster.restart(node.id);
    const sent = cluster.network.sentCount;
    cluster.run(3_000);
    const messages = cluster.network.sentCount - sent;
    assert.ok(messages <= 8, `${messages} messages for a node that is back`);
    assert.ok(cluster.node(node.id).group.isQuiet);
  }
  assert.equal(cluster.checker.elections, 1);
});

Deno.test("a group of one with a dead majority is quiet on the wire, and recovers", () => {
  const cluster = led(3);
  cluster.crash(2);
  cluster.crash(3);
  cluster.run(60_000);
  const sent = cluster.network.sentCount;
  cluster.run(60_000);
  assert.ok(cluster.network.sentCount - sent < 40, "campaigns back off");
  cluster.restart(2);
  assert.ok(cluster.runUntil(() => cluster.leader !== null, 2_000));
});

Deno.test("a lagging follower catches up by a snapshot and the log after it", () => {
  const cluster = led(3);
  const leader = cluster.leader!;
  const node = follower(cluster);
  cluster.crash(node.id);
  for (let at = 0; at < 200; at++) leader.propose([at, at]);
  cluster.run(100);
  leader.log.trim(leader.log.pointAt(300));
  leader.after();
  cluster.restart(node.id);
  cluster.run(1_000);
  const { log, group } = cluster.node(node.id);
  assert.equal(log.startIndex, 299);
  assert.equal(group.commitIndex, 401);
  assert.equal(log.chainAt(401), leader.log.chainAt(401));
});

Deno.test("a follower that looked for another leader meanwhile still gets what it had accepted acknowledged", () => {
  const cluster = new TestCluster(simple(1, 2, 3), { lanes: true });
  cluster.freeze(3);
  cluster.start();
  assert.ok(cluster.runUntil(() => cluster.leader !== null, 5_000));
  const leader = cluster.leader!;
  const node = cluster.node(3);
  const peer = leader.group.peers.find((each) => each.node === node.id)!;
  cluster.run(300);
  assert.deepEqual([node.log.lastIndex, peer.match], [leader.log.lastIndex, 0]);
  // A pre-vote that nobody grants: it knows no leader then, and later the same one again.
  cluster.drop = (_from, to, { kind }) => kind === MessageKind.HEARTBEAT && to === node.id;
  assert.ok(cluster.runUntil(() => node.group.leaderId < 0, 5_000));
  cluster.drop = null;
  assert.ok(cluster.runUntil(() => node.group.leaderId === leader.id, 1_000));
  cluster.thaw(node.id);
  assert.ok(cluster.runUntil(() => peer.match === leader.log.lastIndex, 5_000));
  assert.equal(cluster.checker.elections, 1);
});

Deno.test("a follower far behind is caught up through a bounded window", () => {
  const cluster = led(3, { read: [5, 5] });
  const leader = cluster.leader!;
  const node = follower(cluster);
  cluster.crash(node.id);
  for (let at = 0; at < 3_000; at++) leader.propose([at, at, at]);
  cluster.run(100);
  cluster.restart(node.id);
  let most = 0;
  for (let at = 0; at < 300; at++) {
    cluster.run(10);
    const peer = leader.group.peers.find((each) => each.node === node.id)!;
    most = Math.max(most, peer.bytesInFlight);
  }
  assert.equal(cluster.node(node.id).group.commitIndex, 9_001);
  assert.ok(most <= 4 * 1024 * 1024);
});

Deno.test("members change: learner, voter, and off; each by what it may", () => {
  const cluster = led(3, { nodes: [1, 2, 3, 4] });
  const leader = cluster.leader!;
  const propose = (voters: number[], learners: number[]): number => {
    const index = leader.group.proposeConfiguration(
      members(...voters),
      members(...learners),
      leader.now,
    );
    leader.after();
    return index;
  };
  assert.ok(propose([1, 2, 3, 4], []) < 0, "it has not caught up");
  assert.ok(propose([1, 2, 3], [4]) > 0);
  assert.ok(propose([1, 2], []) < 0, "one change at a time");
  cluster.run(2_000);
  assert.ok(leader.group.isCaughtUp(4));
  assert.equal(cluster.node(4).group.leaderId, leader.id);
  // A learner does not count, and does not campaign.
  cluster.crash(2);
  cluster.crash(3);
  assert.ok(leader.propose([1]) > 0);
  cluster.run(500);
  assert.equal(leader.group.commitIndex, 2);
  cluster.restart(2);
  cluster.restart(3);
  assert.ok(cluster.runUntil(() => cluster.leader !== null, 5_000));
  cluster.run(2_000);
  const next = cluster.leader!;
  assert.ok(next.group.isCaughtUp(4));
  assert.ok(next.group.proposeConfiguration(members(1, 4), members(2), next.now) > 0);
  next.after();
  cluster.run(2_000);
  const { group } = cluster.leader!;
  assert.ok(group.isConfigurationSettled);
  assert.deepEqual(group.configuration, {
    voters: members(1, 4),
    outgoing: [],
    learners: members(2),
  });
});

Deno.test("a joint configuration that cannot commit is cancelled", () => {
  const cluster = led(3, { nodes: [1, 2, 3, 4, 5] });
  const leader = cluster.leader!;
  const { group } = leader;
  group.proposeConfiguration(members(1, 2, 3), members(4, 5), leader.now);
  leader.after();
  cluster.run(3_000);
  // The new majority is dead the moment that it is wanted.
  cluster.crash(4);
  cluster.crash(5);
  assert.ok(group.proposeConfiguration(members(1, 4, 5), [], leader.now) > 0);
  leader.after();
  cluster.run(300);
  assert.equal(group.isConfigurationSettled, false);
  cluster.restart(4);
  assert.ok(group.cancelConfiguration(leader.now) > 0);
  leader.after();
  cluster.run(2_000);
  const settled = cluster.leader!.group;
  assert.ok(settled.isConfigurationSettled);
  assert.deepEqual(settled.configuration.voters, members(1, 2, 3));
  assert.ok(settled.cancelConfiguration(leader.now) < 0, "there is nothing to cancel");
});

Deno.test("a joint configuration is left by whoever leads when it is committed", () => {
  const cluster = led(3, { nodes: [1, 2, 3, 4] });
  const leader = cluster.leader!;
  leader.group.proposeConfiguration(members(1, 2, 3), members(4), leader.now);
  leader.after();
  cluster.run(3_000);
  assert.ok(leader.group.proposeConfiguration(members(2, 3, 4), [], leader.now) > 0);
  // It reaches the others, and then the leader dies.
  cluster.run(1);
  cluster.crash(leader.id);
  assert.ok(isReplaced(cluster, leader, 3_000));
  cluster.run(3_000);
  const { group } = cluster.leader!;
  assert.ok(group.isConfigurationSettled);
  assert.deepEqual(group.configuration.voters, members(2, 3, 4));
});

Deno.test("a disk that is replaced is another member: its answers do not count", () => {
  const cluster = led(3);
  const leader = cluster.leader!;
  cluster.crash(2);
  cluster.crash(3);
  cluster.restart(2, true);
  assert.ok(leader.propose([1]) > 0);
  cluster.run(500);
  assert.equal(leader.group.commitIndex, 1);
  cluster.restart(3);
  assert.ok(cluster.runUntil(() => (cluster.leader?.group.commitIndex ?? 0) >= 2, 5_000));
  const next = cluster.leader!;
  const back = { node: 2, incarnation: 1 };
  assert.ok(next.group.proposeConfiguration(members(1, 3), [], next.now) > 0);
  next.after();
  cluster.run(1_000);
  assert.ok(next.group.proposeConfiguration(members(1, 3), [back], next.now) > 0);
  next.after();
  cluster.run(3_000);
  assert.ok(next.group.proposeConfiguration([...members(1, 3), back], [], next.now) > 0);
  next.after();
  cluster.run(1_000);
  assert.equal(cluster.node(2).group.commitIndex, next.group.commitIndex);
});

Deno.test("reads are confirmed while followers are quiet, and never by a leader that is cut off", () => {
  const cluster = led(3);
  cluster.run(RAFT_TIMING.quietMs + 1_000);
  const leader = cluster.leader!;
  leader.read();
  cluster.run(10);
  assert.equal(leader.confirmedReads, 1);
  assert.ok(leader.group.isQuiet);
  cluster.isolate(leader.id);
  leader.read();
  cluster.run(5_000);
  assert.equal(leader.confirmedReads, 1);
});

Deno.test("a voter that was away is spare while a majority keeps up without it", () => {
  const cluster = led(3);
  const leader = cluster.leader!;
  const [lost, other] = [...cluster.nodes.values()].filter((node) => node !== leader);
  const spare = (): boolean[] =>
    [lost!, other!].map(({ id }) => leader.group.isSpare(id, leader.now));
  cluster.run(500);
  assert.deepEqual(spare(), [false, false]);
  cluster.isolate(lost!.id);
  cluster.run(KEEPS_UP_MS + 500);
  leader.propose([1]);
  assert.deepEqual(spare(), [true, false]);
  leader.group.peerDown(other!.id, leader.now);
  assert.deepEqual(spare(), [false, false], "nothing commits without them");
  leader.group.peerUp(other!.id, leader.now);
  cluster.heal();
  cluster.run(2_000);
  assert.deepEqual(spare(), [false, false]);
});
