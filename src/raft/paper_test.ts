/**
 * A test for each rule of figure 2 of the Raft paper ("In Search of an Understandable Consensus Algorithm", extended
 * version), and for its sections on safety, as far as one node shows it. The properties of figure 3 are checked at
 * every step of the simulation (`test_checker.ts`).
 */

import { strict as assert } from "node:assert";
import { FLIGHT_BEATS_MAX } from "./limits.ts";
import { MessageKind, Outcome } from "./message.ts";
import { Role } from "./raft_group.ts";
import { encodeConfiguration } from "./configuration.ts";
import { RaftMeta } from "./raft_log.ts";
import { members, simple } from "./test_cluster.ts";
import { messageOf, Solo } from "./test_solo.ts";

const { VOTE_REQUEST, VOTE_REPLY, HEARTBEAT, HEARTBEAT_REPLY, APPEND_REPLY, TIMEOUT_NOW } =
  MessageKind;

function voteRequest(solo: Solo, from: number, term: number, index: number, indexTerm: number) {
  return solo.step(from, VOTE_REQUEST, { term, index, indexTerm });
}

// Persistent state: "updated on stable storage before responding to RPCs".

Deno.test("5.2: a vote is answered only when it is durable", () => {
  const solo = new Solo();
  assert.deepEqual(voteRequest(solo, 2, 5, 0, 0), ["hard 5 2", "following 5 -1"]);
  assert.deepEqual(solo.flush(), [">2 vote_reply t5 yes"]);
});

Deno.test("a vote that the log has no room for is answered when it has", () => {
  const solo = new Solo();
  solo.isBusy = true;
  assert.deepEqual(voteRequest(solo, 2, 5, 0, 0), ["following 5 -1"]);
  solo.isBusy = false;
  solo.group.writable(0);
  assert.deepEqual(solo.take(), ["hard 5 2"]);
  assert.deepEqual(solo.flush(), [">2 vote_reply t5 yes"]);
});

Deno.test("votes are asked for while the own one is written, which is counted when it is durable", () => {
  const solo = new Solo();
  solo.pass(1_000);
  const lines = solo.step(2, VOTE_REPLY, { term: 1, granted: true, pre: true });
  assert.deepEqual(lines, [
    "hard 1 1",
    ">2 vote_request t1 last 0/0",
    ">3 vote_request t1 last 0/0",
    "following 1 -1",
  ]);
  assert.deepEqual(solo.step(2, VOTE_REPLY, { term: 1, granted: true }), []);
  assert.equal(solo.group.role, Role.CANDIDATE);
  solo.flush();
  assert.equal(solo.group.role, Role.LEADER);
});

Deno.test("votes are asked for only when the log is durable: without its end, the candidate might ask again in that term", () => {
  const solo = new Solo();
  solo.append(2, { term: 1 }, [1]);
  solo.flush();
  solo.append(2, { term: 1, index: 1, indexTerm: 1 }, [1]);
  const lines = solo.step(2, TIMEOUT_NOW, { term: 1 });
  assert.deepEqual(lines, ["hard 2 1", "following 2 -1"]);
  assert.deepEqual(solo.flush(), [
    ">2 vote_request t2 transfer last 2/1",
    ">3 vote_request t2 transfer last 2/1",
  ]);
});

Deno.test("an append is acknowledged only as far as it is durable", () => {
  const solo = new Solo();
  assert.deepEqual(solo.append(2, { term: 1 }, [1, 1]), [
    "hard 1 -1",
    ">2 append_reply t1 match 0 accepted 2",
    "following 1 2",
  ]);
  assert.deepEqual(solo.flush(), [">2 append_reply t1 match 2"]);
});

Deno.test("entries that are durable from before are acknowledged when the term is durable, too", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1]);
  const lines = solo.append(2, { term: 4, index: 2, indexTerm: 1 }, []);
  assert.deepEqual(lines.filter((line) => line.startsWith(">2")), [
    ">2 append_reply t4 match 0 accepted 2",
  ]);
  assert.deepEqual(solo.flush(), [">2 append_reply t4 match 2"]);
});

// All servers.

Deno.test("a later term in any message makes a follower of whoever gets it", () => {
  const inputs: [MessageKind, object][] = [
    [HEARTBEAT, {}],
    [APPEND_REPLY, { outcome: 3 }],
    [VOTE_REPLY, {}],
    [MessageKind.HEARTBEAT_REPLY, {}],
  ];
  for (const [kind, fields] of inputs) {
    const solo = new Solo();
    solo.lead(2);
    assert.equal(solo.group.role, Role.LEADER);
    solo.step(3, kind, { term: 9, ...fields });
    assert.equal(solo.group.term, 9);
    assert.notEqual(solo.group.role, Role.LEADER);
    assert.equal(solo.log.hardTerm >= 9, true);
  }
});

// AppendEntries.

Deno.test("AppendEntries 1: refuses a term that is over, and says which one is not", () => {
  const solo = new Solo(simple(1, 2, 3), [3]);
  assert.deepEqual(solo.append(2, { term: 2, index: 1, indexTerm: 2 }, [2]), [
    ">2 append_reply t3 stale match 0",
  ]);
  assert.deepEqual(solo.step(2, HEARTBEAT, { term: 2 }), [">2 append_reply t3 stale match 0"]);
  assert.equal(solo.log.lastIndex, 1);
});

Deno.test("AppendEntries 2: refuses entries that do not follow one of its own", () => {
  const missing = new Solo(simple(1, 2, 3), [1, 2]);
  assert.ok(
    missing.append(2, { term: 3, index: 5, indexTerm: 2 }, [3]).includes(
      ">2 append_reply t3 conflict match 0 refused 5 hint 2/2",
    ),
  );
  const other = new Solo(simple(1, 2, 3), [1, 2, 2, 2]);
  assert.ok(
    other.append(2, { term: 3, index: 3, indexTerm: 1 }, [3]).includes(
      ">2 append_reply t3 conflict match 0 refused 3 hint 1/1",
    ),
  );
  assert.equal(other.log.lastIndex, 4);
});

Deno.test("AppendEntries 3: cuts an entry of another term, and all after it", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1, 2, 2]);
  const lines = solo.append(2, { term: 3, index: 1, indexTerm: 1 }, [1, 3]);
  assert.ok(lines.includes("cut 2"), lines.join());
  // Until that is durable, it takes nothing and acknowledges nothing more.
  assert.ok(
    solo.append(2, { term: 3, index: 2, indexTerm: 1 }, [3]).every((line) => line.includes("busy")),
  );
  assert.deepEqual(solo.finishCut(2), [
    ">2 append_reply t3 busy match 2",
    ">2 append_reply t3 match 2",
  ]);
  solo.append(2, { term: 3, index: 2, indexTerm: 1 }, [3]);
  assert.deepEqual([solo.log.lastIndex, solo.log.lastTerm], [3, 3]);
});

Deno.test("AppendEntries 3: a late append of this leader cuts nothing", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1, 1]);
  const lines = solo.append(2, { term: 1, index: 0, indexTerm: 0 }, [1]);
  assert.ok(!lines.some((line) => line.startsWith("cut")));
  assert.equal(solo.log.lastIndex, 3);
});

Deno.test("AppendEntries 4: appends what it does not have, and only that", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1]);
  solo.append(2, { term: 1, index: 1, indexTerm: 1 }, [1, 1, 1]);
  assert.equal(solo.log.lastIndex, 4);
  solo.append(2, { term: 1, index: 1, indexTerm: 1 }, [1, 1, 1]);
  assert.equal(solo.log.lastIndex, 4);
});

Deno.test("AppendEntries 5: commits what the leader has, at most up to the last new entry", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1, 1, 1]);
  // Entries 3 and 4 are not known to be the leader's.
  const lines = solo.append(2, { term: 2, index: 1, indexTerm: 1, commit: 4 }, [1]);
  assert.ok(lines.includes("commit 2"));
  assert.equal(solo.group.commitIndex, 2);
});

Deno.test("AppendEntries 5: what was equal to one leader's log is not so to the next one's", () => {
  const solo = new Solo(simple(1, 2, 3), [1]);
  solo.append(2, { term: 2, index: 1, indexTerm: 1 }, [2, 2]);
  solo.flush();
  const lines = solo.append(3, { term: 3, index: 1, indexTerm: 1, commit: 3 }, []);
  assert.ok(lines.includes("commit 1"), lines.join());
  assert.equal(solo.group.commitIndex, 1);
});

Deno.test("a heartbeat commits nothing beyond what it says", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1, 1]);
  solo.step(2, HEARTBEAT, { term: 2, commit: 2 });
  assert.equal(solo.group.commitIndex, 2);
  solo.step(2, HEARTBEAT, { term: 2, commit: 1 });
  assert.equal(solo.group.commitIndex, 2);
});

Deno.test("of a log that may have lost entries a heartbeat commits nothing, whatever was acknowledged before", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1, 1], (log) => log.suspect = true);
  const lines = solo.step(2, HEARTBEAT, { term: 2, commit: 2 });
  assert.ok(lines.some((line) => line.includes("match 0")), lines.join());
  assert.equal(solo.group.commitIndex, 0);
});

Deno.test("a cut that fails leaves the replica silent until the log works; then it is cut again", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1, 2, 2]);
  const append = () => solo.append(2, { term: 3, index: 1, indexTerm: 1 }, [1, 3]);
  assert.ok(append().includes("cut 2"));
  solo.log.isClosed = false;
  solo.group.failed(0);
  solo.flush();
  assert.ok(append().every((line) => line.includes("busy")));
  assert.deepEqual(voteRequest(solo, 3, 9, 9, 9), []);
  solo.group.writable(0);
  // The leader goes on with a heartbeat, not at once: the failure may come again.
  assert.deepEqual(solo.take(), []);
  const [reply] = solo.step(2, HEARTBEAT, { term: 3 });
  assert.ok(!reply!.includes("busy"), reply);
  assert.ok(append().includes("cut 2"));
  solo.finishCut(2);
  append();
  assert.equal(solo.log.lastTerm, 3);
});

// RequestVote.

Deno.test("RequestVote 1: refuses a term that is over", () => {
  const solo = new Solo(simple(1, 2, 3), [3]);
  assert.deepEqual(voteRequest(solo, 2, 2, 9, 2), [">2 vote_reply t3 no"]);
});

Deno.test("RequestVote 2: one vote in a term, the same one again if asked again", () => {
  const solo = new Solo();
  voteRequest(solo, 2, 1, 0, 0);
  solo.flush();
  assert.deepEqual(voteRequest(solo, 3, 1, 0, 0), [">3 vote_reply t1 no"]);
  assert.deepEqual(voteRequest(solo, 2, 1, 0, 0), [">2 vote_reply t1 yes"]);
});

Deno.test("5.4.1: a vote goes only to a log that is at least as far", () => {
  const cases: [number, number, boolean][] = [
    [2, 2, true],
    [3, 2, true],
    [1, 2, false],
    [9, 1, false],
    [1, 3, true],
  ];
  for (const [index, indexTerm, isGranted] of cases) {
    const solo = new Solo(simple(1, 2, 3), [1, 2]);
    voteRequest(solo, 2, 5, index, indexTerm);
    const [line] = solo.flush().concat(solo.take());
    assert.equal(line === ">2 vote_reply t5 yes", isGranted, `${index}/${indexTerm}`);
    assert.equal(solo.group.term, 5);
  }
});

// Followers and candidates.

Deno.test("5.2: a follower that hears nothing campaigns, one that hears does not", () => {
  const solo = new Solo();
  for (let at = 0; at < 30; at++) {
    solo.step(2, HEARTBEAT, { term: 1 });
    assert.ok(!solo.pass(500).some((line) => line.includes("vote_request")));
  }
  assert.ok(solo.pass(1_200).some((line) => line.includes("vote_request t2 pre")));
});

Deno.test("5.2: a candidate that a majority votes for leads", () => {
  const solo = new Solo(simple(1, 2, 3, 4, 5));
  solo.pass(1_000);
  for (const node of [2, 3]) solo.step(node, VOTE_REPLY, { term: 1, granted: true, pre: true });
  assert.equal(solo.group.role, Role.CANDIDATE);
  solo.flush();
  solo.step(2, VOTE_REPLY, { term: 1, granted: true });
  solo.step(2, VOTE_REPLY, { term: 1, granted: true });
  solo.step(4, VOTE_REPLY, { term: 1, granted: false });
  assert.equal(solo.group.role, Role.CANDIDATE);
  const lines = solo.step(3, VOTE_REPLY, { term: 1, granted: true });
  assert.equal(solo.group.role, Role.LEADER);
  // It says so at once.
  assert.equal(lines.filter((line) => line.includes("heartbeat t1")).length, 4);
});

Deno.test("a vote of the node's other incarnation, or of a learner, does not count", () => {
  const solo = new Solo({ voters: members(1, 2, 3), outgoing: [], learners: members(4) });
  solo.pass(1_000);
  const asked = { term: 1, granted: true, pre: true };
  solo.step(2, VOTE_REPLY, { ...asked, incarnation: 1 });
  solo.step(4, VOTE_REPLY, asked);
  assert.equal(solo.group.role, Role.PRE_CANDIDATE);
  solo.step(2, VOTE_REPLY, asked);
  solo.flush();
  solo.step(2, VOTE_REPLY, { term: 1, granted: true, incarnation: 1 });
  solo.step(4, VOTE_REPLY, { term: 1, granted: true });
  assert.equal(solo.group.role, Role.CANDIDATE);
  solo.step(2, VOTE_REPLY, { term: 1, granted: true });
  assert.equal(solo.group.role, Role.LEADER);
});

Deno.test("5.2: a candidate follows the leader of its term", () => {
  const solo = new Solo();
  solo.pass(1_000);
  solo.step(2, VOTE_REPLY, { term: 1, granted: true, pre: true });
  assert.equal(solo.group.role, Role.CANDIDATE);
  solo.step(3, HEARTBEAT, { term: 1 });
  assert.equal(solo.group.role, Role.FOLLOWER);
  assert.equal(solo.group.leaderId, 3);
});

Deno.test("5.2: a candidate that nobody answers asks again, ever more rarely", () => {
  const solo = new Solo();
  const asked = (forMs: number): number =>
    solo.pass(forMs).filter((line) => line.includes(">2 vote_request")).length;
  assert.ok(asked(5_000) >= 3);
  asked(60_000);
  const late = asked(60_000);
  assert.ok(late >= 8 && late <= 14, `${late} in a minute`);
});

// Leaders.

Deno.test("a term opens with an entry of its own, and clients are served when that is committed", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1]);
  solo.lead(2);
  assert.equal(solo.log.lastIndex, 3);
  assert.equal(solo.group.isLeading, false);
  // What follows it is committed with it, and not sooner.
  assert.equal(solo.group.accepts, true);
  solo.propose(1);
  assert.equal(solo.group.isLeading, false);
  assert.deepEqual(solo.acknowledge(2, 3).filter((line) => !line.startsWith(">")), [
    "replicate 2 from 4",
    "commit 3",
    "leading 2",
  ]);
});

Deno.test("5.4.2: entries of earlier terms are not committed by counting them", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 2]);
  solo.lead(2);
  solo.acknowledge(2, 2);
  solo.acknowledge(3, 2);
  assert.equal(solo.group.commitIndex, 0);
  solo.acknowledge(2, 3);
  assert.equal(solo.group.commitIndex, 3);
});

Deno.test("5.3: an entry is committed when a majority has it", () => {
  const solo = new Solo(simple(1, 2, 3, 4, 5));
  solo.lead(2, 3);
  solo.propose(1);
  solo.flush();
  solo.acknowledge(2, 2);
  assert.equal(solo.group.commitIndex, 0);
  solo.acknowledge(3, 1);
  assert.equal(solo.group.commitIndex, 1);
  solo.acknowledge(4, 2);
  assert.equal(solo.group.commitIndex, 2);
});

Deno.test("a leader counts its own log only as far as it is durable", () => {
  const solo = new Solo();
  solo.lead(2);
  solo.acknowledge(2, 1);
  solo.propose(1);
  solo.acknowledge(2, 2);
  assert.equal(solo.group.commitIndex, 1);
  assert.ok(solo.flush().includes("commit 2"));
});

Deno.test("others may commit what the leader's own disk does not have yet", () => {
  const solo = new Solo();
  solo.lead(2);
  solo.acknowledge(2, 1);
  solo.propose(1);
  solo.acknowledge(2, 2);
  assert.ok(solo.acknowledge(3, 2).includes("commit 2"));
});

Deno.test("acknowledgements come late, twice and out of order, and nothing goes back", () => {
  const solo = new Solo();
  solo.lead(2);
  solo.propose(3);
  solo.flush();
  solo.acknowledge(2, 4);
  solo.acknowledge(2, 1);
  solo.acknowledge(2, 1);
  assert.equal(solo.group.commitIndex, 4);
  assert.equal(solo.group.peers[0]!.match, 4);
});

Deno.test("acknowledgements of another term do not count", () => {
  const solo = new Solo();
  solo.lead(2);
  solo.step(2, APPEND_REPLY, { term: 0, match: 1, accepted: 1 });
  assert.equal(solo.group.commitIndex, 0);
});

Deno.test("5.3: a leader sends entries ahead, without waiting for answers", () => {
  const solo = new Solo();
  solo.lead(2);
  solo.acknowledge(2, 1);
  assert.deepEqual(solo.propose(1), ["replicate 2 from 2"]);
  assert.deepEqual(solo.propose(2), ["replicate 2 from 3"]);
});

Deno.test("5.3: after a refusal the leader goes back to where the logs may be equal", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1, 1, 4, 4]);
  solo.lead(2);
  const { term } = solo.group;
  // The peer has entries of term 2 after the third one.
  const lines = solo.step(3, APPEND_REPLY, {
    term,
    outcome: 1,
    prevIndex: 5,
    index: 5,
    indexTerm: 2,
  });
  assert.deepEqual(lines, []);
  const refused = solo.step(3, APPEND_REPLY, {
    term,
    outcome: 1,
    prevIndex: 5,
    index: 4,
    indexTerm: 2,
  });
  assert.deepEqual(refused, ["replicate 3 from 4"]);
});

Deno.test("a probe that a follower dropped without a word is sent again, though the follower says that it takes entries", () => {
  const solo = new Solo();
  solo.lead(2);
  solo.acknowledge(2, 1);
  assert.equal(solo.group.commitIndex, 1);
  // It did not have the group when the entry came, and has it now.
  const { term } = solo.group;
  const again = solo.step(3, APPEND_REPLY, { term, match: 0, accepted: 0 });
  assert.deepEqual(again, [], "what is under way may arrive");
  for (let beat = 0; beat < 2 * FLIGHT_BEATS_MAX; beat++) {
    const lines = solo.pass(100);
    lines.push(...solo.step(2, HEARTBEAT_REPLY, { term, match: 1, accepted: 1 }));
    lines.push(...solo.step(3, HEARTBEAT_REPLY, { term, match: 0, accepted: 0 }));
    if (lines.includes("replicate 3 from 1")) return;
  }
  assert.fail("the entry is not sent again");
});

Deno.test("a leader that no majority answers stops leading", () => {
  const solo = new Solo();
  solo.lead(2);
  for (let at = 0; at < 10; at++) {
    solo.pass(300);
    solo.step(2, MessageKind.HEARTBEAT_REPLY, { term: solo.group.term });
  }
  assert.equal(solo.group.role, Role.LEADER);
  const lines = solo.pass(1_300);
  assert.ok(lines.some((line) => line.startsWith("following")), lines.join());
});

// Members: section 6.

Deno.test("6: a configuration is in force from the moment it is in the log, and while it is there", () => {
  const payload = encodeConfiguration(simple(1, 2, 3, 4, 5));
  const solo = new Solo(simple(1, 2, 3), [1], (log) => {
    log.appendMeta(RaftMeta.CONFIGURATION, 1, payload);
  });
  assert.equal(solo.group.configuration.voters.length, 5);
  solo.append(2, { term: 2, index: 1, indexTerm: 1 }, [2]);
  const lines = solo.finishCut(1);
  assert.ok(lines.includes("configuration 1 2 3//"), lines.join());
});

Deno.test("6: a voter that an uncommitted entry takes off may be the only one that can lead", () => {
  const payload = encodeConfiguration(simple(2));
  const solo = new Solo(simple(1, 2), [1], (log) => {
    log.appendMeta(RaftMeta.CONFIGURATION, 1, payload);
  });
  assert.ok(solo.pass(2_000).includes(">2 vote_request t2 pre last 2/1"));
  // When it is committed, it is a member no more.
  solo.step(2, HEARTBEAT, { term: 1, commit: 2 });
  assert.deepEqual(solo.pass(10_000), []);
});

Deno.test("6: a leader that a committed configuration takes off asks another one to lead", () => {
  const solo = new Solo(simple(1, 2, 3));
  solo.lead(2);
  solo.acknowledge(2, 1);
  solo.acknowledge(3, 1);
  assert.equal(solo.group.proposeConfiguration(members(2, 3), [], solo.nowMs), 2);
  solo.flush();
  assert.equal(solo.group.proposeConfiguration(members(2), [], solo.nowMs) < 0, true);
  solo.acknowledge(2, 2);
  solo.pass(300);
  assert.equal(solo.group.configuration.outgoing.length, 3, "a majority of each set is needed");
  const left = solo.acknowledge(3, 2);
  assert.ok(left.includes("configuration 2 3//"), left.join());
  solo.flush();
  solo.acknowledge(2, 3);
  const lines = solo.acknowledge(3, 3);
  assert.ok(lines.includes(">2 timeout_now t1"), lines.join());
  assert.equal(solo.group.role, Role.FOLLOWER);
});

// Snapshots: section 7.

Deno.test("7: a snapshot replaces a log that does not have its last entry, and no other", () => {
  const { SNAPSHOT } = MessageKind;
  const solo = new Solo(simple(1, 2, 3), [1, 1, 2, 2]);
  const isNeeded = (index: number, indexTerm: number): boolean => {
    const message = messageOf(2, SNAPSHOT, { term: 5, index, indexTerm });
    return solo.group.stepSnapshot(message, 0);
  };
  assert.equal(isNeeded(2, 1), false);
  assert.equal(solo.group.commitIndex, 2);
  solo.flush();
  assert.equal(isNeeded(1, 1), false, "what is committed is not replaced");
  assert.equal(isNeeded(4, 4), true, "the same index, another entry");
  assert.equal(isNeeded(9, 4), false, "one at a time");
  solo.log.reset({ index: 4, term: 4, chain: 0, configuration: null });
  solo.log.flush(100);
  solo.group.truncated(0);
  assert.equal(solo.group.commitIndex, 4);
  assert.ok(solo.take().includes(">2 append_reply t5 match 4"));
});

Deno.test("7: a leader sends a snapshot to a peer whose log ends before its own starts", () => {
  const solo = new Solo(simple(1, 2, 3), [1, 1, 1, 1], (log) => log.trim(log.pointAt(3)));
  solo.lead(2);
  const { term } = solo.group;
  const conflict = { term, outcome: Outcome.CONFLICT, prevIndex: 4, index: 1, indexTerm: 1 };
  assert.deepEqual(solo.step(3, APPEND_REPLY, conflict), ["snapshot 3"]);
  solo.group.snapshotSent(3, term, 3, solo.nowMs);
  assert.deepEqual(solo.take(), []);
  assert.deepEqual(solo.acknowledge(3, 3), ["replicate 3 from 4"]);
});

// Reads: section 8.

Deno.test("8: a read waits until a majority has confirmed, after it was asked for, who leads", () => {
  const solo = new Solo();
  solo.lead(2);
  assert.ok(solo.group.requestRead(solo.nowMs) < 0, "its own entry is not committed");
  solo.acknowledge(2, 1);
  const { term } = solo.group;
  const ticket = solo.group.requestRead(solo.nowMs);
  const later = solo.group.requestRead(solo.nowMs);
  solo.take();
  const answer = { term, match: 1, accepted: 1, index: 1 };
  assert.deepEqual(solo.step(2, HEARTBEAT_REPLY, { ...answer, token: ticket - 1 }), []);
  const lines = solo.step(2, HEARTBEAT_REPLY, { ...answer, token: ticket });
  assert.ok(lines.includes(`read ${ticket}`) && !lines.includes(`read ${later}`), lines.join());
  // The other one was asked for after that round had begun.
  assert.ok(lines.some((line) => line.includes(`token ${later}`)), lines.join());
  assert.ok(solo.step(3, HEARTBEAT_REPLY, { ...answer, token: later }).includes(`read ${later}`));
});

// A group of one.

Deno.test("a group of one leads by itself, with one flush", () => {
  const solo = new Solo(simple(1));
  assert.equal(solo.group.role, Role.LEADER);
  assert.equal(solo.group.isLeading, false);
  assert.deepEqual(solo.flush(), ["commit 1", "leading 1"]);
  solo.pass(5_000);
  assert.equal(solo.group.deadlineMs, Infinity);
  solo.propose(3);
  assert.deepEqual(solo.flush(), ["commit 4"]);
});
