/**
 * Deliberate bugs of the Raft core, each a small change of the sources below `src/raft`, which the core's simulation
 * must catch from few seeds, or a directed test must. A snippet is found in its file exactly once, or the list is
 * brought up to date.
 *
 * @module
 */

import type { DirectedTest, Edit } from "./mutations.ts";

export interface RaftMutation {
  /** What the bug does, in a few words. */
  readonly name: string;
  readonly edits: readonly Edit[];
  /** A seed that is known to meet it, tried first. */
  readonly seed?: number;
  /** Few seeds meet it: this test, which brings it about, is what catches it. */
  readonly test?: DirectedTest;
}

function edit(file: string, find: string, by = ""): Edit {
  return { file, find, by };
}

export const RAFT_MUTATIONS: readonly RaftMutation[] = [
  {
    name: "a vote is answered before it is durable",
    edits: [edit(
      "election.ts",
      "this.#voteOwedTo !== NO_NODE && ballot.isDurable",
      "this.#voteOwedTo !== NO_NODE",
    )],
  },
  {
    name: "votes are asked for with a log that is not durable",
    edits: [edit(
      "election.ts",
      "!ballot.isOwed && log.durableIndex >= log.lastIndex;",
      "!ballot.isOwed;",
    )],
  },
  {
    name: "a candidate counts its own vote before it is durable",
    edits: [
      edit(
        "election.ts",
        "return ballot.isDurable && membership.isElected;",
        "return this.#hasAsked && membership.isElected;",
      ),
      edit(
        "election.ts",
        "return ballot.isDurable && this.#hasAsked &&",
        "return this.#hasAsked &&",
      ),
    ],
  },
  {
    name: "the vote is forgotten by a restart",
    edits: [
      edit("ballot.ts", "this.#vote = isKnown ? log.hardVote : NO_NODE;", "this.#vote = NO_NODE;"),
    ],
  },
  {
    name: "a second vote is given in a term",
    edits: [
      edit("election.ts", "term > ballot.term || ballot.isFreeFor(from);", "true;"),
      edit(
        "ballot.ts",
        `    assert(this.#vote === NO_NODE || this.#vote === node, "one vote in a term");\n`,
      ),
    ],
  },
  {
    name: "a vote goes to a log that is behind",
    edits: [edit("election.ts", "isFree && this.#isUpToDate(request)", "isFree")],
    seed: 25,
  },
  {
    name: "a log that is longer wins over one of a later term",
    edits: [edit(
      "election.ts",
      "(request.indexTerm === lastTerm && request.index >= lastIndex)",
      "request.index >= lastIndex",
    )],
    test: { file: "src/raft/paper_test.ts", name: "5.4.1: a vote goes only" },
  },
  {
    name: "one set of a joint configuration elects",
    edits: [edit(
      "membership.ts",
      "(!this.isJoint || this.#isMajorityIn(true, counts, argument))",
      "true",
    )],
    test: { file: "src/raft/membership_test.ts", name: "isElected counts votes" },
  },
  {
    name: "one set of a joint configuration commits",
    edits: [edit(
      "membership.ts",
      "this.isJoint ? Math.min(index, this.#matchIn(true, own)) : index",
      "index",
    )],
  },
  {
    name: "half of the voters are a majority",
    edits: [edit("membership.ts", "yes > voters >>> 1", "yes >= voters / 2")],
  },
  {
    name: "learners are counted",
    edits: [
      edit(
        "membership.ts",
        "peer.isVoter = memberOf(voters, member.node) !== null;",
        "peer.isVoter = memberOf([...voters, ...learners], member.node) !== null;",
      ),
    ],
  },
  {
    name: "the answer of an old incarnation is counted",
    edits: [edit(
      "raft_group.ts",
      "peer === null || peer.incarnation !== message.incarnation",
      "peer === null",
    )],
    seed: 21,
  },
  {
    name: "the vote of an old incarnation is counted",
    edits: [edit(
      "election.ts",
      "peer === null || peer.incarnation !== reply.incarnation",
      "peer === null",
    )],
    test: { file: "src/raft/paper_test.ts", name: "a vote of the node's other incarnation" },
  },
  {
    name: "an append is acknowledged before it is durable",
    edits: [edit(
      "following.ts",
      "return Math.min(log.durableIndex, this.#matched);",
      "return this.#matched;",
    )],
  },
  {
    name: "an append is acknowledged in a term that is not durable",
    edits: [edit("following.ts", "!ballot.isDurable || !isSound", "!isSound")],
  },
  {
    name: "entries that are not the leader's are acknowledged",
    edits: [edit(
      "following.ts",
      "return Math.min(log.durableIndex, this.#matched);",
      "return log.durableIndex;",
    )],
  },
  {
    name: "the entry before an append is not checked",
    edits: [edit(
      "following.ts",
      "prevIndex >= log.startIndex && log.termAt(prevIndex) !== message.indexTerm",
      "prevIndex > log.lastIndex",
    )],
    seed: 42,
  },
  {
    name: "entries of another term are kept",
    edits: [edit(
      "following.ts",
      "if (equal < log.lastIndex && equal < runs.lastIndex) {",
      "if (equal > log.lastIndex) {",
    )],
  },
  {
    name: "a late append cuts what followed it",
    edits: [edit(
      "following.ts",
      "if (equal < log.lastIndex && equal < runs.lastIndex) {",
      "if (equal < log.lastIndex) {",
    )],
  },
  {
    name: "a cut takes everything that the append brings again, committed or not",
    edits: [
      edit("following.ts", "      this.#cut(equal);", "      this.#cut(prevIndex);"),
    ],
  },
  {
    name: "entries are taken while others are cut off",
    edits: [
      edit("following.ts", "return state.isCutting || !state.isSound", "return !state.isSound"),
    ],
    test: { file: "src/raft/paper_test.ts", name: "AppendEntries 3: cuts an entry" },
  },
  {
    name: "a follower commits entries that are not known to be the leader's",
    edits: [edit(
      "following.ts",
      "Math.min(this.#leaderCommit, this.#matched, state.log.durableIndex)",
      "Math.min(this.#leaderCommit, state.log.durableIndex)",
    )],
  },
  {
    name: "what was equal to one leader's log counts for the next one",
    edits: [edit(
      "following.ts",
      "    this.#matched = this.#state.log.startIndex;\n    this.#acknowledged = -1;",
      "    this.#acknowledged = -1;",
    )],
    test: { file: "src/raft/paper_test.ts", name: "AppendEntries 5: what was equal" },
  },
  {
    name: "a heartbeat tells the commit to a follower that is behind",
    edits: [edit(
      "leadership.ts",
      "heartbeat.commit = Math.min(state.commitIndex, peer.match);",
      "heartbeat.commit = state.commitIndex;",
    )],
  },
  {
    name: "entries of earlier terms are committed by counting them",
    edits: [edit(
      "leadership.ts",
      "if (index <= state.commitIndex || index < this.#noOpIndex) return;",
      "if (index <= state.commitIndex) return;",
    )],
  },
  {
    name: "a leader counts its own log before it is durable",
    edits: [edit(
      "leadership.ts",
      "state.ballot.isDurable ? state.log.durableIndex : 0",
      "state.log.lastIndex",
    )],
  },
  {
    name: "a leader counts what it has sent",
    edits: [
      edit(
        "leadership.ts",
        "this.pump(peer);\n  }\n\n  /** See `RaftGroup.unsent`. */",
        "peer.match = lastIndex;\n    this.pump(peer);\n  }\n\n  /** See `RaftGroup.unsent`. */",
      ),
    ],
  },
  {
    name: "a leader counts what was accepted",
    edits: [edit(
      "leadership.ts",
      "const isNews = peer.noteMatch(match);\n    " +
        "peer.noteHeard(match, lastIndex, reply.outcome === Outcome.BUSY, nowMs);\n" +
        "    peer.noteFull(reply.full, isNews);\n    this.transfer.noteHeard(peer.node);\n    if (reply.outcome",
      "const isNews = peer.noteMatch(accepted);\n    if (reply.outcome",
    )],
  },
  {
    name: "acknowledgements of earlier terms are counted",
    edits: [
      edit(
        "raft_group.ts",
        "} else if (term === state.term) {",
        "} else if (term <= state.term) {",
      ),
    ],
    test: { file: "src/raft/paper_test.ts", name: "acknowledgements of another term" },
  },
  {
    name: "a snapshot is believed to be there when its index is",
    edits: [edit(
      "following.ts",
      "if (index >= log.startIndex && log.termAt(index) !== indexTerm) {",
      "if (index > log.lastIndex) {",
    )],
    test: { file: "src/raft/paper_test.ts", name: "7: a snapshot replaces a log" },
  },
  {
    name: "a snapshot replaces a log that is ahead of it",
    edits: [edit(
      "following.ts",
      "if (index >= log.startIndex && log.termAt(index) !== indexTerm) {\n      if (index <= state.commitIndex) {",
      "if (index > 0) {\n      if (index < 0) {",
    )],
  },
  {
    name: "a joint configuration is left before it is committed",
    edits: [edit(
      "configuration_change.ts",
      "return membership.isJoint && membership.index <= commitIndex;",
      "return membership.isJoint && commitIndex >= 0;",
    )],
    test: { file: "src/raft/paper_test.ts", name: "6: a leader that a committed" },
  },
  {
    name: "a configuration is changed while another change is under way",
    edits: [
      edit("configuration_change.ts", "    if (this.isUnderWay) return Refusal.IN_PROGRESS;\n"),
    ],
  },
  {
    name: "a configuration that was cut off stays in force",
    edits: [
      edit(
        "raft_group.ts",
        "    state.isCutting = false;\n    state.loadConfiguration();",
        "    state.isCutting = false;",
      ),
    ],
    test: { file: "src/raft/paper_test.ts", name: "6: a configuration is in force" },
  },
  {
    name: "voters are replaced without a joint configuration",
    edits: [edit("configuration_change.ts", "outgoing: isSame ? [] : before", "outgoing: []")],
    test: { file: "src/raft/paper_test.ts", name: "6: a leader that a committed" },
  },
  {
    name: "who is taken off by an entry that only it has cannot lead",
    edits: [edit(
      "group_state.ts",
      "return membership.isVoter || (membership.wasVoter && membership.index > this.commitIndex);",
      "return membership.isVoter;",
    )],
    test: { file: "src/raft/paper_test.ts", name: "6: a voter that an uncommitted" },
  },
  {
    name: "a leader that is no voter any more goes on",
    edits: [edit("leadership.ts", "else if (this.#change.mustLeave) this.handOver(nowMs);")],
  },
  {
    name: "a read is confirmed by an earlier round",
    edits: [
      edit(
        "membership.ts",
        "return peer.readToken >= token;",
        "return peer.readToken >= token - 1;",
      ),
    ],
    test: { file: "src/raft/paper_test.ts", name: "8: a read waits" },
  },
  {
    name: "a read is confirmed by nobody",
    edits: [edit("membership.ts", "return peer.readToken >= token;", "return token > 0;")],
    test: { file: "src/raft/paper_test.ts", name: "8: a read waits" },
  },
  {
    name: "a new leader reads before an entry of its term is committed",
    edits: [edit(
      "raft_group.ts",
      "    if (!this.#leadership.isCommitted) return Refusal.NOT_READY;\n    const ticket",
      "    const ticket",
    )],
  },
  {
    name: "a peer that lacks entries becomes quiet",
    edits: [
      edit("leadership.ts", "state.commitIndex === lastIndex && peer.match === lastIndex &&", ""),
      edit(
        "following.ts",
        "isConnected && !isBusy && message.index === log.lastIndex &&\n      this.#durable === log.lastIndex && state.commitIndex === log.lastIndex",
        "isConnected",
      ),
    ],
  },
  {
    name: "a quiet follower does not miss its leader",
    edits: [edit(
      "raft_group.ts",
      "      state.scheduleElection(nowMs, delayMs);\n      state.setLeader(NO_NODE);",
      "      state.setLeader(NO_NODE);",
    )],
  },
  {
    // In either of the two ways in which a leader finds out.
    name: "a lost append is not sent again",
    edits: [
      edit(
        "leadership.ts",
        "if (accepted < lastSent && lastSent > peer.match) {",
        "if (accepted < 0) {",
      ),
      edit("leadership.ts", "if (peer.isStuck(accepted)) {", "if (accepted < 0) {"),
    ],
  },
  {
    name: "a follower that was busy is not spoken to again",
    edits: [
      edit(
        "leadership.ts",
        "peer.isBusy = reply.outcome === Outcome.BUSY;",
        "if (peer.isBusy) return;",
      ),
      edit(
        "following.ts",
        "    this.#owesGoOn = false;\n    this.#reply(Outcome.OK, 0, 0, 0);",
        "    this.#owesGoOn = false;",
      ),
    ],
  },
  {
    name: "a leader that no majority answers stays",
    edits: [edit(
      "leadership.ts",
      "if (!membership.isHeardSince(nowMs - timing.electionMs)) return this.resign(nowMs);",
    )],
    test: {
      file: "src/raft/paper_test.ts",
      name: "a leader that no majority answers stops leading",
    },
  },
  {
    name: "a campaign begins without asking first",
    edits: [
      edit("election.ts", "else this.#preCampaign(nowMs);", "else this.campaign(nowMs, false);"),
    ],
    test: { file: "src/raft/cluster_test.ts", name: "a node that was cut off disturbs nobody" },
  },
  {
    name: "votes are given while a leader is heard",
    edits: [edit("election.ts", "!request.transfer && state.isLeaderFresh(nowMs)", "false")],
    test: { file: "src/raft/cluster_test.ts", name: "a node that hears no leader" },
  },
  {
    name: "a late heartbeat of a leader that is gone makes its followers quiet",
    edits: [edit("following.ts", "message.quiet && isConnected &&", "message.quiet &&")],
    test: { file: "src/raft/cluster_test.ts", name: "a heartbeat that was on its way" },
  },
  {
    name: "a vote that is written ahead is given before it is durable",
    edits: [edit("ballot.ts", "if (isWritten) this.#version = this.#aheadVersion;")],
    test: { file: "src/raft/transfer_test.ts", name: "is not given before it is durable" },
  },
  {
    name: "a vote that is written ahead is for whoever asks first",
    edits: [
      edit(
        "ballot.ts",
        "this.#vote = isWritten ? this.#aheadVote : NO_NODE;",
        "this.#vote = NO_NODE;",
      ),
    ],
    test: { file: "src/raft/transfer_test.ts", name: "nobody else gets the vote" },
  },
  {
    name: "a leader goes on in its term after it has handed over",
    edits: [edit(
      "leadership.ts",
      "    this.resign(nowMs, state.timing.electionMs / 2);\n",
    )],
    test: { file: "src/raft/transfer_test.ts", name: "the old leader does not lead again" },
  },
  {
    name: "appends are not held back for a transfer",
    edits: [edit("transfer.ts", "if (isSent) this.#isClosing = true;")],
    test: { file: "src/raft/transfer_test.ts", name: "while records keep coming" },
  },
  {
    name: "a stalled leader stays",
    edits: [edit(
      "raft_group.ts",
      "    if (isStalled && this.#state.role === Role.LEADER) this.#leadership.handOver(nowMs);\n",
    )],
    test: { file: "src/raft/cluster_test.ts", name: "a leader whose disk stalls hands over" },
  },
  {
    name: "a replica that was made the only voter does not write that down",
    edits: [edit(
      "leadership.ts",
      "    this.isForced = !this.#change.force();",
      "    this.isForced = false;",
    )],
    test: { file: "src/raft/force_test.ts", name: "it goes on after a restart" },
  },
  {
    name: "members of before take a replica back that was made the only voter",
    edits: [edit(
      "group_state.ts",
      "return term > this.term && membership.isSole && membership.index <= commitIndex;",
      "return term > this.term && membership.isSole && membership.index > commitIndex;",
    )],
    test: { file: "src/raft/force_test.ts", name: "those who were members before" },
  },
  {
    name: "what is committed counts as equal to a leader's log that nobody compared it with",
    edits: [edit(
      "following.ts",
      "    this.#matched = this.#state.log.startIndex;\n    this.#acknowledged = -1;",
      "    this.#matched = this.#state.commitIndex;\n    this.#acknowledged = -1;",
    )],
    test: { file: "src/raft/force_test.ts", name: "a member with committed entries" },
  },
  {
    name: "entries that are committed here are not compared with those of an append",
    edits: [edit(
      "following.ts",
      "const first = Math.max(runs.firstOf(run), log.startIndex + 1);",
      "const first = Math.max(runs.firstOf(run), this.#state.commitIndex + 1);",
    )],
    test: { file: "src/raft/force_test.ts", name: "a member with committed entries" },
  },
  {
    name: "what a former run may have acted upon is cut for a leader that went on by force",
    edits: [
      edit("following.ts", "if (equal < commitIndex || isActedUpon)", "if (equal < commitIndex)"),
    ],
    test: { file: "src/raft/force_test.ts", name: "what a former run may" },
  },
  {
    name: "two nodes go on by force in the same term",
    edits: [edit("forced.ts", "(node % FORCED_SLOTS)", "(0 * node)")],
    test: { file: "src/raft/force_test.ts", name: "no two nodes go on" },
  },
];
