/** Leadership that is handed over: what each node writes, says and holds back. */

import { strict as assert } from "node:assert";
import { RAFT_TIMING, TRANSFER_LINGER_MS } from "./limits.ts";
import { MessageKind } from "./message.ts";
import { Role } from "./raft_group.ts";
import { simple, TestCluster } from "./test_cluster.ts";
import { Solo } from "./test_solo.ts";

const { APPEND_REPLY, HEARTBEAT, HEARTBEAT_REPLY, TIMEOUT_NOW, VOTE_REQUEST, VOTE_REPLY } =
  MessageKind;

/** Node 1 follows node 3 in term 1, with one entry. */
function followerOf3(): Solo {
  const solo = new Solo();
  solo.append(3, { term: 1 }, [1]);
  solo.flush();
  return solo;
}

/** Node 3 says that it will hand over. */
function announce(solo: Solo, heir: number): string[] {
  return solo.step(3, HEARTBEAT, { term: 1, transfer: true, match: heir });
}

Deno.test("a vote is written ahead, which the leader hears when it is durable, and the term goes on", () => {
  const solo = followerOf3();
  assert.deepEqual(announce(solo, 2), ["hard 2 2", ">3 heartbeat_reply t1 match 1"]);
  assert.deepEqual(solo.flush(), [">3 heartbeat_reply t1 transfer match 1"]);
  assert.equal(solo.group.term, 1);
  const lines = solo.append(3, { term: 1, index: 1, indexTerm: 1 }, [1]);
  assert.deepEqual(lines, []);
  assert.deepEqual(solo.flush(), [">3 append_reply t1 match 2"]);
  assert.deepEqual(announce(solo, 2), [">3 heartbeat_reply t1 transfer match 2"]);
});

Deno.test("a vote that was written ahead is given without another write", () => {
  const solo = followerOf3();
  announce(solo, 2);
  solo.flush();
  const request = { term: 2, index: 1, indexTerm: 1, transfer: true };
  assert.deepEqual(solo.step(2, VOTE_REQUEST, request), [
    ">2 vote_reply t2 yes",
    "following 2 -1",
  ]);
});

Deno.test("a vote that was written ahead is not given before it is durable", () => {
  const solo = followerOf3();
  announce(solo, 2);
  const request = { term: 2, index: 1, indexTerm: 1, transfer: true };
  assert.deepEqual(solo.step(2, VOTE_REQUEST, request), ["following 2 -1"]);
  assert.deepEqual(solo.flush(), [">2 vote_reply t2 yes"]);
});

Deno.test("a vote that was written ahead is for a log that is not behind, as every vote", () => {
  const solo = followerOf3();
  announce(solo, 2);
  solo.flush();
  assert.deepEqual(solo.step(2, VOTE_REQUEST, { term: 2, transfer: true }), [
    ">2 vote_reply t2 no",
    "following 2 -1",
  ]);
});

Deno.test("nobody else gets the vote of a term that is written ahead, and the next term is free", () => {
  const solo = followerOf3();
  announce(solo, 2);
  solo.flush();
  assert.deepEqual(announce(solo, 1), [">3 heartbeat_reply t1 match 1"]);
  solo.group.peerDown(3, solo.nowMs);
  solo.take();
  // Of the term that goes on nothing is written any more.
  assert.deepEqual(solo.step(3, VOTE_REQUEST, { term: 1, index: 1, indexTerm: 1 }), [
    ">3 vote_reply t1 no",
  ]);
  assert.deepEqual(solo.step(3, VOTE_REQUEST, { term: 2, index: 1, indexTerm: 1 }), [
    ">3 vote_reply t2 no",
    "following 2 -1",
  ]);
  solo.step(3, VOTE_REQUEST, { term: 3, index: 1, indexTerm: 1 });
  assert.deepEqual(solo.flush(), [">3 vote_reply t3 yes"]);
});

Deno.test("who campaigns passes by a term in which its vote is another node's", () => {
  const solo = followerOf3();
  announce(solo, 2);
  solo.flush();
  solo.group.peerDown(3, solo.nowMs);
  solo.pass(300);
  const lines = solo.step(2, VOTE_REPLY, { term: 2, granted: true, pre: true });
  assert.ok(lines.includes("hard 3 1"), lines.join("\n"));
});

Deno.test("after a restart a vote that was written ahead counts as given", () => {
  const solo = new Solo(simple(1, 2, 3), [1], (log) => log.setHardState(2, 2));
  assert.equal(solo.group.term, 2);
  assert.deepEqual(solo.append(3, { term: 1, index: 1, indexTerm: 1 }, [1]), [
    ">3 append_reply t2 stale match 0",
  ]);
  const request = { term: 2, index: 1, indexTerm: 1, transfer: true };
  assert.deepEqual(solo.step(3, VOTE_REQUEST, request), [">3 vote_reply t2 no"]);
  assert.deepEqual(solo.step(2, VOTE_REQUEST, request), [">2 vote_reply t2 yes"]);
});

Deno.test("who is to lead asks for votes at once, though the end of its log is not durable yet", () => {
  const solo = followerOf3();
  announce(solo, 1);
  solo.flush();
  assert.ok(solo.group.isHeir);
  solo.append(3, { term: 1, index: 1, indexTerm: 1 }, [1]);
  assert.deepEqual(solo.step(3, TIMEOUT_NOW, { term: 1 }), [
    ">2 vote_request t2 transfer last 2/1",
    ">3 vote_request t2 transfer last 2/1",
    "following 2 -1",
  ]);
  assert.ok(!solo.group.isHeir);
  assert.deepEqual(solo.step(3, VOTE_REPLY, { term: 2, granted: true }), [
    "meta 1 2",
    "replicate 2 from 3",
    "replicate 3 from 3",
    ">2 heartbeat t2 commit 0 sent 3",
    ">3 heartbeat t2 commit 0 sent 3",
  ]);
  // Records follow in the same write, before the answers of the others.
  assert.ok(solo.group.accepts && !solo.group.isLeading);
  assert.deepEqual(solo.propose(1), ["replicate 2 from 4", "replicate 3 from 4"]);
});

/** Node 1 leads, and nothing is on its way. */
function leaderOf23(): Solo {
  const solo = new Solo();
  solo.lead(2, 3);
  solo.acknowledge(2, 1);
  solo.acknowledge(3, 1);
  return solo;
}

function writtenAhead(solo: Solo, node: number): string[] {
  const { term, commitIndex } = solo.group;
  const fields = { term, match: commitIndex, accepted: commitIndex, transfer: true };
  return solo.step(node, HEARTBEAT_REPLY, fields);
}

Deno.test("a leader has the votes written, and leaves in a moment in which nothing is on its way", () => {
  const solo = leaderOf23();
  solo.group.transfer(2, solo.nowMs);
  assert.deepEqual(solo.take(), [
    "hard 2 2",
    ">2 heartbeat t1 transfer commit 1 sent 1",
    ">3 heartbeat t1 transfer commit 1 sent 1",
  ]);
  writtenAhead(solo, 2);
  assert.ok(solo.group.accepts && solo.group.isLeading, "its own vote is not durable");
  assert.deepEqual(solo.flush(), [">2 timeout_now t1", "following 1 -1"]);
  assert.equal(solo.group.role, Role.FOLLOWER);
  assert.deepEqual([solo.group.heirId, solo.group.heirTerm], [2, 2]);
  assert.deepEqual(
    solo.step(2, VOTE_REQUEST, { term: 2, index: 1, indexTerm: 1, transfer: true }),
    [">2 vote_reply t2 yes", "following 2 -1"],
  );
  assert.equal(solo.group.heirId, 2);
  solo.step(2, HEARTBEAT, { term: 2 });
  assert.deepEqual([solo.group.heirId, solo.group.leaderId], [-1, 2]);
});

Deno.test("votes that are not written ahead are waited for no longer than a heartbeat takes", () => {
  const solo = leaderOf23();
  solo.group.transfer(2, solo.nowMs);
  solo.flush();
  solo.acknowledge(2, 1);
  assert.ok(!solo.pass(RAFT_TIMING.heartbeatMs - 1).includes(">2 timeout_now t1"));
  assert.ok(solo.pass(1).includes(">2 timeout_now t1"));
});

Deno.test("while records keep coming, appends are held back until the next leader has them", () => {
  const solo = leaderOf23();
  solo.propose(1);
  solo.group.transfer(2, solo.nowMs);
  solo.flush();
  writtenAhead(solo, 2);
  writtenAhead(solo, 3);
  solo.propose(1);
  solo.acknowledge(2, 2);
  assert.ok(solo.group.accepts);
  solo.pass(TRANSFER_LINGER_MS - 1);
  solo.propose(1);
  assert.ok(solo.group.accepts);
  solo.pass(1);
  assert.ok(!solo.group.accepts && solo.group.isLeading);
  const { term } = solo.group;
  solo.flush();
  assert.deepEqual(solo.step(2, APPEND_REPLY, { term, match: 3, accepted: 4 }), ["commit 3"]);
  assert.deepEqual(solo.acknowledge(2, 4), [">2 timeout_now t1", "commit 4", "following 1 -1"]);
});

Deno.test("the old leader does not lead again in its term, and campaigns when the next one is gone", () => {
  const solo = leaderOf23();
  solo.group.transfer(2, solo.nowMs);
  solo.flush();
  writtenAhead(solo, 2);
  assert.equal(solo.group.heirId, 2);
  assert.equal(solo.group.transfer(3, solo.nowMs) < 0, true);
  solo.group.peerDown(2, solo.nowMs);
  assert.equal(solo.group.heirId, -1);
  const lines = solo.pass(RAFT_TIMING.rankMs + RAFT_TIMING.spreadMs);
  assert.ok(lines.some((line) => line.startsWith(">3 vote_request t2 pre")), lines.join("\n"));
});

Deno.test("a planned transfer costs one flush of all disks, whoever leads next", () => {
  for (const target of [2, 3]) {
    const flushMs = 10;
    const cluster = new TestCluster(simple(1, 2, 3), { flush: [flushMs, flushMs] });
    cluster.start();
    assert.ok(cluster.runUntil(() => cluster.leader !== null, 5_000));
    cluster.run(500);
    const leader = cluster.leader!;
    leader.group.transfer(target, leader.now);
    leader.after();
    assert.ok(cluster.runUntil(() => leader.group.role === Role.FOLLOWER, 500));
    const { nowMs } = cluster.queue;
    assert.ok(cluster.runUntil(() => cluster.leader?.id === target, 500));
    const tookMs = cluster.queue.nowMs - nowMs;
    // Messages take 1 ms: TIMEOUT_NOW, request, vote, append, and its answer.
    assert.ok(tookMs <= flushMs + 5 + 1, `${tookMs} ms`);
  }
});

Deno.test("a follower whose node did not run does not take its leader for silent", () => {
  const solo = new Solo();
  solo.append(3, { term: 1 }, [1]);
  solo.flush();
  // The election is due in a moment, or has been for long.
  for (const late of [-10, 5, 5_000]) {
    solo.nowMs = solo.group.deadlineMs + late;
    solo.group.slept(solo.nowMs);
    solo.group.tick(solo.nowMs);
    assert.deepEqual(solo.pass(50), []);
    assert.equal(solo.group.leaderId, 3);
    // What had been said meanwhile is read.
    solo.step(3, HEARTBEAT, { term: 1 });
  }
  assert.deepEqual(solo.pass(RAFT_TIMING.electionMs - 1), []);
  const lines = solo.pass(300);
  assert.ok(lines.some((line) => line.startsWith(">2 vote_request t2 pre")), "it is silent now");
});

Deno.test("a follower that heard its leader before its own sleep was noticed waits as long as ever", () => {
  const solo = new Solo();
  solo.append(3, { term: 1 }, [1]);
  solo.flush();
  solo.nowMs += 300;
  // What waited in the sockets is read first in a turn.
  solo.step(3, HEARTBEAT, { term: 1 });
  solo.group.slept(solo.nowMs);
  assert.deepEqual(solo.pass(RAFT_TIMING.electionMs - 1), []);
});

Deno.test("a follower whose node sleeps again and again campaigns in the end", () => {
  const solo = new Solo();
  solo.append(3, { term: 1 }, [1]);
  solo.flush();
  for (let times = 0; times < 5 && solo.group.leaderId === 3; times++) {
    solo.nowMs = solo.group.deadlineMs + 1_000;
    solo.group.slept(solo.nowMs);
    solo.group.tick(solo.nowMs);
  }
  assert.equal(solo.group.role, Role.PRE_CANDIDATE);
});

Deno.test("a leader whose node did not run goes on if a majority answers then", () => {
  const solo = new Solo();
  solo.lead(2, 3);
  solo.pass(RAFT_TIMING.heartbeatMs);
  solo.nowMs += 3_000;
  solo.group.slept(solo.nowMs);
  solo.group.tick(solo.nowMs);
  assert.equal(solo.group.role, Role.LEADER);
  solo.step(2, HEARTBEAT_REPLY, { term: 1, match: 1, accepted: 1 });
  solo.pass(RAFT_TIMING.electionMs / 2);
  assert.equal(solo.group.role, Role.LEADER);
  solo.pass(2 * RAFT_TIMING.electionMs);
  assert.notEqual(solo.group.role, Role.LEADER, "nobody answers any more");
});

Deno.test("the preferred leader of a new group asks at once, and others wait for it", () => {
  const first = new Solo();
  const lines = first.pass(RAFT_TIMING.spreadMs);
  assert.ok(lines.some((line) => line.startsWith(">2 vote_request t1 pre")), lines.join("\n"));
  const second = new Solo(simple(2, 1, 3));
  assert.deepEqual(second.pass(RAFT_TIMING.electionMs), []);
  const old = new Solo(simple(1, 2, 3), [1]);
  assert.deepEqual(old.pass(RAFT_TIMING.electionMs - 1), []);
});
