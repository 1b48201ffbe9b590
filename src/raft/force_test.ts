/** A group that lost its majority for good: one replica goes on alone, because somebody decided so. */

import { strict as assert } from "node:assert";
import { FORCED_MARK, forcedTerm } from "./forced.ts";
import { FORCED_SLOTS, FORCED_TERMS, TERM_MAX } from "./limits.ts";
import { MessageKind } from "./message.ts";
import { Refusal } from "./refusal.ts";
import { RaftMeta } from "./raft_log.ts";
import { members, simple, TestCluster } from "./test_cluster.ts";
import { Solo } from "./test_solo.ts";

const { VOTE_REQUEST, HEARTBEAT } = MessageKind;

/** In which node 1 goes on by force after term 1. */
const FORCED = forcedTerm(1, 1);

Deno.test("a forced replica is elected by itself, opens its term, and writes down that it is alone", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1]);
  assert.equal(solo.group.force(0), 0);
  assert.deepEqual(solo.take(), [
    `hard ${FORCED} 1`,
    `meta 1 ${FORCED}`,
    `meta 2 ${FORCED}`,
    "configuration 1//",
  ]);
  // Nothing is served, and nothing is committed, before the disk has all of it.
  assert.equal(solo.group.isLeading, false);
  assert.deepEqual(solo.flush(), ["commit 4", `leading ${FORCED}`]);
  assert.deepEqual(solo.group.configuration, simple(1));
});

Deno.test("its term is above those in which the others may have led without its knowledge", () => {
  const solo = new Solo(simple(1, 2, 3), [4]);
  solo.isBusy = true;
  for (let asked = 0; asked < 3; asked++) solo.group.force(0);
  const { term } = solo.group;
  assert.ok(term > 4 + FORCED_TERMS);
  assert.ok(term < forcedTerm(4, 1) + 10, "it passes them by once");
});

Deno.test("no two nodes go on by force in the same term, wherever they were", () => {
  const last = TERM_MAX - FORCED_TERMS * (FORCED_SLOTS + 2);
  for (const term of [0, 1, 999, 1_000, 1_001, 123_456_789, last]) {
    const terms = Array.from({ length: FORCED_SLOTS }, (_, node) => forcedTerm(term, node));
    assert.equal(new Set(terms).size, FORCED_SLOTS);
    for (const each of terms) {
      assert.ok(each > term + FORCED_TERMS, `${each} after ${term}`);
      assert.ok(each <= term + FORCED_TERMS * (FORCED_SLOTS + 2));
    }
    assert.deepEqual(terms.map((each) => each / FORCED_TERMS % FORCED_SLOTS), [...terms.keys()]);
  }
});

Deno.test("a leader that is forced begins another term: the others may have left the one that it leads", () => {
  const solo = new Solo(simple(1, 2, 3), [1]);
  solo.lead(2);
  const { term } = solo.group;
  solo.acknowledge(2, solo.log.lastIndex);
  assert.equal(solo.group.isLeading, true);
  assert.equal(solo.group.force(0), 0);
  assert.ok(solo.take().includes(`following ${term} -1`));
  solo.flush();
  assert.deepEqual([solo.group.isLeading, solo.group.configuration], [true, simple(1)]);
  assert.equal(solo.group.term, forcedTerm(term, 1));
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

/** Node 1 follows node 3 of five voters, and knows that six entries are committed, of the first term. */
function ahead(): Solo {
  const solo = new Solo(simple(1, 2, 3, 4, 5), [1, 1, 1, 1, 1]);
  solo.append(3, { term: 1, index: 5, indexTerm: 1, commit: 5 }, [1]);
  solo.flush();
  solo.step(3, HEARTBEAT, { term: 1, commit: 6, index: 6 });
  assert.equal(solo.group.commitIndex, 6);
  return solo;
}

/** Node 2 had the first three of them, and goes on alone: 4 is its no-op, 5 its configuration. */
const WITHOUT = { term: forcedTerm(1, 2), forcedIndex: 4 };

Deno.test("a member with committed entries that the forced one lacks takes part in nothing, and acknowledges none of them", () => {
  const { term } = WITHOUT;
  const probes: [at: number, indexTerm: number, terms: number[]][] = [
    // The entry before the append differs; one in it; one behind equal ones; the last of ours.
    [5, term, [term]],
    [3, 1, [term, term, term]],
    [1, 1, [1, 1, term]],
    [6, term, [term]],
  ];
  for (const [index, indexTerm, terms] of probes) {
    const solo = ahead();
    // Before anything was compared, nothing is acknowledged; what is committed is where the leader may go on.
    const heartbeat = { term, commit: 0, index: 0 };
    const heard = [solo.step(2, HEARTBEAT, heartbeat), solo.flush()].flat();
    heard.push(...solo.step(2, HEARTBEAT, heartbeat));
    assert.ok(!heard.some((line) => /match [1-9]/.test(line)), heard.join());
    assert.ok(heard.some((line) => /match 0 accepted 6/.test(line)), heard.join());
    solo.append(2, { ...WITHOUT, index, indexTerm, commit: 3 }, terms);
    assert.equal(solo.group.isOverruled, true, `after ${index}`);
    const after = [
      ...solo.flush(),
      ...solo.step(2, HEARTBEAT, { term, commit: 0, index: 8 }),
      ...solo.append(2, { ...WITHOUT, index: 6, indexTerm: term, commit: 8 }, [term, term]),
      ...solo.step(4, VOTE_REQUEST, { term: term + 1, index: 20, indexTerm: term + 1 }),
      ...solo.pass(60_000),
    ];
    assert.ok(
      !after.some((line) => /match [1-9]| yes|vote_request t\d+ last|cut/.test(line)),
      after.join("\n"),
    );
    assert.deepEqual([solo.log.lastIndex, solo.log.termAt(6), solo.group.commitIndex], [6, 1, 6]);
    assert.equal(solo.group.force(solo.nowMs), Refusal.NOT_READY);
  }
});

Deno.test("a snapshot does not pass over committed entries that the leader lacks", () => {
  const solo = ahead();
  const message = { ...WITHOUT, index: 5, indexTerm: WITHOUT.term };
  assert.equal(solo.snapshot(2, message), false);
  assert.equal(solo.group.isOverruled, true);
});

Deno.test("entries that nobody committed here are cut for the forced one, as for any leader", () => {
  const { term } = WITHOUT;
  const solo = new Solo(simple(1, 2, 3, 4, 5), [1, 1, 1, 1, 1]);
  solo.append(3, { term: 1, index: 5, indexTerm: 1, commit: 3 }, [1]);
  solo.flush();
  assert.equal(solo.group.commitIndex, 3);
  const lines = solo.append(2, { ...WITHOUT, index: 3, indexTerm: 1, commit: 3 }, [term, term]);
  assert.deepEqual([lines.includes("cut 3"), solo.group.isOverruled], [true, false]);
});

Deno.test("what a former run may have acted upon is not cut for a forced one; what came later is, and for others all is", () => {
  const { term } = WITHOUT;
  const terms = [1, 1, 1, 1, 1];
  const restarted = (): Solo => new Solo(simple(1, 2, 3, 4, 5), terms, undefined, true);
  const forced = restarted();
  forced.append(2, { ...WITHOUT, index: 3, indexTerm: 1, commit: 3 }, [term, term]);
  assert.equal(forced.group.isOverruled, true);
  // Also where the logs had parted before: the forced one has two entries of a leader that nobody followed.
  const parted = restarted();
  parted.append(2, { ...WITHOUT, forcedIndex: 9, index: 3, indexTerm: 1, commit: 3 }, [2, 2]);
  assert.equal(parted.group.isOverruled, true);
  const elected = restarted();
  const lines = elected.append(2, { term: 7, index: 3, indexTerm: 1, commit: 3 }, [7]);
  assert.ok(lines.includes("cut 3"));
  // The conflict is behind the force: it is one of the usual kind.
  const later = restarted();
  assert.ok(
    later.append(2, { term: 2, forcedIndex: 2, index: 3, indexTerm: 1 }, [2]).includes("cut 3"),
  );
  const appended = restarted();
  appended.append(3, { term: 1, index: 5, indexTerm: 1, commit: 5 }, [1]);
  appended.flush();
  const tail = { ...WITHOUT, forcedIndex: 6, index: 5, indexTerm: 1, commit: 5 };
  assert.ok(appended.append(2, tail, [term, term]).includes("cut 5"));
});

Deno.test("whoever leads a log that went on by force says where, after a restart too", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1], (log) => {
    log.setHardState(FORCED, 1);
    log.appendMeta(RaftMeta.NO_OP, FORCED, FORCED_MARK);
    log.appendMeta(RaftMeta.NO_OP, FORCED, new Uint8Array(0));
  });
  solo.lead(2);
  assert.equal(solo.group.appendHeader(1).forcedIndex, 3);
  assert.equal(solo.group.snapshotHeader(1, 1).forcedIndex, 3);
  const alone = new Solo(simple(1, 2, 3), [1, 1]);
  alone.group.force(0);
  alone.flush();
  assert.equal(alone.group.appendHeader(1).forcedIndex, 3);
});

Deno.test("a member that is beyond the forced one is never counted, and comes back with another disk", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const cluster = new TestCluster(simple(1, 2, 3, 4, 5), { seed, nodes: [1, 2, 3, 4, 5] });
    cluster.start();
    assert.ok(cluster.runUntil(() => cluster.leader !== null, 5_000));
    cluster.leader!.propose([1, 2, 3]);
    cluster.run(1_000);
    cluster.isolate(4);
    cluster.run(3_000);
    for (let value = 0; value < 1 + seed % 7; value++) cluster.leader!.propose([value]);
    cluster.run(1_000);
    for (const lost of [1, 2, 3]) cluster.crash(lost);
    cluster.heal();
    cluster.run(1_000);
    const [forced, kept] = [cluster.node(4), cluster.node(5)];
    assert.ok(kept.group.commitIndex > forced.log.lastIndex);
    const isRestarted = seed % 3 === 0;
    if (isRestarted) {
      cluster.crash(5);
      cluster.restart(5);
      cluster.run(500);
    }
    cluster.checker.forced(forced.log.lastIndex);
    assert.equal(forced.group.force(cluster.queue.nowMs), 0);
    forced.after();
    assert.ok(cluster.runUntil(() => forced.group.isLeading, 1_000));
    const learns = (node: number, incarnation: number): void => {
      const { isConfigurationSettled } = forced.group;
      assert.ok(isConfigurationSettled);
      const index = forced.group.proposeConfiguration(
        members(4),
        [{ node, incarnation }],
        cluster.queue.nowMs,
      );
      forced.after();
      assert.ok(index > 0);
      assert.ok(cluster.runUntil(() => forced.group.isConfigurationSettled, 1_000));
    };
    learns(5, 0);
    for (let value = 0; value < 10; value++) forced.propose([100 + value]);
    cluster.run(5_000);
    const isAstray = !isRestarted;
    assert.equal(cluster.node(5).group.isOverruled, isAstray, `seed ${seed}`);
    assert.equal(forced.group.isCaughtUp(5), !isAstray);
    assert.equal(forced.group.peers[0]!.match > 0, !isAstray);
    if (isAstray) {
      cluster.crash(5);
      cluster.restart(5, true);
      forced.group.proposeConfiguration(members(4), [], cluster.queue.nowMs);
      forced.after();
      cluster.run(1_000);
      learns(5, 1);
      cluster.run(5_000);
    }
    assert.ok(forced.group.isCaughtUp(5));
    cluster.checker.checkEqual([forced, cluster.node(5)]);
  }
});
