/** A group that lost its majority for good: one replica goes on alone, because somebody decided so. */

import { strict as assert } from "node:assert";
import { FORCED_TERMS, TERM_MAX } from "./limits.ts";
import { MessageKind } from "./message.ts";
import { Refusal } from "./refusal.ts";
import { members, simple, TestCluster } from "./test_cluster.ts";
import { Solo } from "./test_solo.ts";

const { VOTE_REQUEST, HEARTBEAT } = MessageKind;

Deno.test("a forced replica is elected by itself, opens its term, and writes down that it is alone", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1]);
  assert.equal(solo.group.force(0), 0);
  assert.deepEqual(solo.take(), [
    "hard 1002 1",
    "meta 1 1002",
    "meta 2 1002",
    "configuration 1//",
  ]);
  // Nothing is served, and nothing is committed, before the disk has all of it.
  assert.equal(solo.group.isLeading, false);
  assert.deepEqual(solo.flush(), ["commit 4", "leading 1002"]);
  assert.deepEqual(solo.group.configuration, simple(1));
});

Deno.test("its term is above those in which the others may have led without its knowledge", () => {
  const solo = new Solo(simple(1, 2, 3), [4]);
  solo.isBusy = true;
  for (let asked = 0; asked < 3; asked++) solo.group.force(0);
  assert.ok(solo.group.term > 4 + FORCED_TERMS);
  assert.ok(solo.group.term < 4 + 2 * FORCED_TERMS, "it passes them by once");
});

Deno.test("a busy log delays it; another configuration before that is none of its own", () => {
  const solo = new Solo(simple(1, 2, 3), [1]);
  solo.isBusy = true;
  assert.equal(solo.group.force(0), 0);
  solo.isBusy = false;
  solo.group.writable(0);
  solo.flush();
  assert.deepEqual([solo.group.isLeading, solo.group.configuration], [true, simple(1)]);
});

Deno.test("a log that cannot be trusted is not forced, and neither is a member in a life that is over", () => {
  const solo = new Solo(simple(1, 2, 3), [1]);
  solo.group.stalled(true, 0);
  assert.equal(solo.group.force(0), Refusal.NOT_READY);
  const formerLife = [{ node: 1, incarnation: 5 }];
  for (const [voters, learners] of [[formerLife, []], [members(2), formerLife]] as const) {
    const wiped = new Solo({ voters, outgoing: [], learners }, [1]);
    assert.equal(wiped.group.force(0), Refusal.INVALID);
  }
});

Deno.test("a learner goes on alone where it is all that is left", () => {
  const learner = new Solo({ voters: members(2, 3), outgoing: [], learners: members(1) }, [1]);
  assert.equal(learner.group.force(0), 0);
  learner.flush();
  assert.deepEqual([learner.group.isLeading, learner.group.configuration], [true, simple(1)]);
});

Deno.test("those who were members before, and return, do not take it back", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1]);
  solo.group.force(0);
  solo.flush();
  const { term } = solo.group;
  // They elected one of them, by the configuration that they know.
  assert.deepEqual(
    solo.step(2, VOTE_REQUEST, { term: term + 5, index: 9, indexTerm: term + 4 }),
    [],
  );
  assert.deepEqual(solo.step(2, HEARTBEAT, { term: term + 5, commit: 0 }), []);
  assert.deepEqual(solo.append(2, { term: term + 5, index: 2, indexTerm: 1 }, [term + 5]), []);
  assert.deepEqual([solo.group.term, solo.group.isLeading], [term, true]);
});

Deno.test("it goes on after a restart, keeps what was committed, and takes in new members", () => {
  const cluster = new TestCluster(simple(1, 2, 3), { nodes: [1, 2, 3, 4] });
  cluster.start();
  assert.ok(cluster.runUntil(() => cluster.leader !== null, 5_000));
  cluster.leader!.propose([1, 2, 3]);
  cluster.run(1_000);
  const before = cluster.checker.committedIndex;
  cluster.crash(1);
  cluster.crash(2);
  cluster.run(5_000);
  const alone = cluster.node(3);
  assert.equal(alone.group.isLeading, false);
  assert.equal(alone.group.force(cluster.queue.nowMs), 0);
  alone.after();
  assert.ok(cluster.runUntil(() => alone.group.isLeading, 1_000));
  assert.ok(alone.propose([4]) > before);
  cluster.run(100);
  cluster.crash(3);
  cluster.restart(3);
  assert.ok(cluster.runUntil(() => cluster.node(3).group.isLeading, 1_000));
  const again = cluster.node(3);
  assert.deepEqual(again.group.configuration, simple(3));
  assert.ok(again.group.proposeConfiguration(members(3), members(4), cluster.queue.nowMs) > 0);
  again.after();
  assert.ok(cluster.runUntil(() => again.group.isCaughtUp(4), 5_000));
  assert.equal(cluster.node(4).log.lastIndex, again.log.lastIndex);
});

Deno.test("no term is later than the last one, and nobody campaigns behind it", () => {
  const solo = new Solo(simple(1, 2, 3), [TERM_MAX - 5]);
  assert.equal(solo.group.force(0), 0);
  solo.flush();
  assert.deepEqual([solo.group.term, solo.group.isLeading], [TERM_MAX, true]);
  const last = new Solo(simple(1), [TERM_MAX]);
  last.group.tick(60_000);
  assert.deepEqual([last.group.term, last.group.isLeading], [TERM_MAX, false]);
});
