/**
 * Deliberate bugs of the cluster, each a small change of the sources below `src`: of the Raft core, of what drives it, and of
 * what is built on it. Few seeds of the simulations that CI runs must catch each (`cluster_hunt.ts`). A snippet is found in its
 * file exactly once, or the list is brought up to date.
 *
 * @module
 */

import type { Mutation } from "./mutations.ts";

function edit(file: string, find: string, by = ""): { file: string; find: string; by: string } {
  return { file, find, by };
}

export const CLUSTER_MUTATIONS: readonly Mutation[] = [
  {
    name: "a vote is answered before it is durable",
    edits: [edit(
      "raft/election.ts",
      "this.#voteOwedTo !== NO_NODE && ballot.isDurable",
      "this.#voteOwedTo !== NO_NODE",
    )],
  },
  {
    name: "a vote is forgotten by a restart",
    edits: [edit(
      "raft/ballot.ts",
      "this.#vote = isKnown ? log.hardVote : NO_NODE;",
      "this.#vote = NO_NODE;",
    )],
  },
  {
    name: "a vote goes to a log that is behind",
    edits: [edit("raft/election.ts", "isFree && this.#isUpToDate(request)", "isFree")],
  },
  {
    name: "an append is acknowledged before it is durable",
    edits: [edit(
      "raft/following.ts",
      "return Math.min(log.durableIndex, this.#matched);",
      "return this.#matched;",
    )],
  },
  {
    name: "a leader counts its own log before it is durable",
    edits: [edit(
      "raft/leadership.ts",
      "state.ballot.isDurable ? state.log.durableIndex : 0",
      "state.log.lastIndex",
    )],
  },
  {
    name: "a leader counts what it has sent",
    edits: [edit(
      "raft/leadership.ts",
      "this.pump(peer);\n  }\n\n  /** See `RaftGroup.unsent`. */",
      "peer.match = lastIndex;\n    this.pump(peer);\n  }\n\n  /** See `RaftGroup.unsent`. */",
    )],
  },
  {
    name: "entries of earlier terms are committed by counting them",
    edits: [edit(
      "raft/leadership.ts",
      "if (index <= state.commitIndex || index < this.#noOpIndex) return;",
      "if (index <= state.commitIndex) return;",
    )],
  },
  {
    name: "the entry before an append is not checked",
    edits: [edit(
      "raft/following.ts",
      "prevIndex >= log.startIndex && log.termAt(prevIndex) !== message.indexTerm",
      "prevIndex > log.lastIndex",
    )],
  },
  {
    name: "entries of another term are kept",
    edits: [edit(
      "raft/following.ts",
      "if (equal < log.lastIndex && equal < runs.lastIndex) {",
      "if (equal > log.lastIndex) {",
    )],
  },
  {
    name: "a cut takes everything that the append brings again, committed or not",
    edits: [edit("raft/following.ts", "      this.#cut(equal);", "      this.#cut(prevIndex);")],
  },
  {
    name: "a follower commits entries that are not known to be the leader's",
    edits: [edit(
      "raft/following.ts",
      "Math.min(this.#leaderCommit, this.#matched, state.log.durableIndex)",
      "Math.min(this.#leaderCommit, state.log.durableIndex)",
    )],
  },
  {
    name: "half of the voters are a majority",
    edits: [edit("raft/membership.ts", "yes > voters >>> 1", "yes >= voters / 2")],
  },
  {
    name: "learners are counted",
    edits: [edit(
      "raft/membership.ts",
      "peer.isVoter = memberOf(voters, member.node) !== null;",
      "peer.isVoter = memberOf([...voters, ...learners], member.node) !== null;",
    )],
  },
  {
    name: "one set of a joint configuration commits",
    edits: [edit(
      "raft/membership.ts",
      "return this.isJoint ? Math.min(index, this.#matchIn(true, own)) : index;",
      "return index;",
    )],
  },
  {
    name: "the answer of an old incarnation is counted",
    edits: [edit(
      "raft/raft_group.ts",
      "peer === null || peer.incarnation !== message.incarnation",
      "peer === null",
    )],
  },
  {
    name: "a leader that no majority answers stays",
    edits: [edit(
      "raft/leadership.ts",
      "if (!membership.isHeardSince(nowMs - timing.electionMs)) return this.resign(nowMs);",
    )],
    // Nothing is lost by it: clients wait longer.
    test: {
      file: "src/raft/paper_test.ts",
      name: "a leader that no majority answers stops leading",
    },
  },
  {
    name: "the high watermark is what the leader's own disk has",
    edits: [edit(
      "kafka/partition.ts",
      "return Math.max(this.replica.commitOffset, this.log.startOffset);",
      "return Math.max(this.log.durableEndOffset, this.log.startOffset);",
    )],
  },
  {
    name: "acks=all waits for the leader's own disk alone",
    edits: [
      edit(
        "kafka/partition.ts",
        "if (acks !== ACKS_ALL) this.#durableWaits.add(",
        "if (acks >= ACKS_ALL) this.#durableWaits.add(",
      ),
    ],
  },
  {
    name: "what waits for a commit is answered by the next leader's record",
    edits: [edit(
      "kafka/partition.ts",
      "    this.#durableWaits.lose(Loss.NOT_LEADER);\n    this.#commitWaits.lose(Loss.NOT_LEADER);",
      "    this.#durableWaits.lose(Loss.NOT_LEADER);",
    )],
  },
  {
    name: "producers are forgotten when another node leads",
    edits: [edit(
      "kafka/partition.ts",
      "  onLeading(): void {\n",
      "  onLeading(): void {\n    this.log.producers.clear();\n",
    )],
  },
  {
    name: "a follower does not note who produced",
    edits: [edit(
      "storage/log_producers.ts",
      "  if (producerId < 0) return;\n",
      "  if (producerId < 0 || !(log.listener as unknown as { leading: boolean } | null)?.leading) return;\n",
    )],
  },
  {
    name: "clients are served before the no-op is committed",
    edits: [edit(
      "raft/leadership.ts",
      "    this.open(nowMs);\n    this.#sendHeartbeats(nowMs);",
      "    state.tellLeading();\n    this.open(nowMs);\n    this.#sendHeartbeats(nowMs);",
    )],
  },
  {
    name: "a deposed leader goes on serving",
    edits: [edit(
      "replication/group_replica.ts",
      "      this.#leading = false;\n      listener.onFollowing",
      "      listener.onFollowing",
    )],
  },
  {
    name: "a coordinator keeps its state while another node leads",
    edits: [edit(
      "shard/group_runtime.ts",
      "    this.coordinator?.unload();\n    this.coordinator = null;",
      "",
    )],
  },
  {
    name: "a coordinator serves before it has read the log",
    edits: [edit(
      "kafka/applied_log.ts",
      "    yield* this.#applyCommitted(tenure);\n    this.#endApplying();",
      "    this.#nextOffset = this.partition.highWatermark;\n    this.#endApplying();",
    )],
  },
  {
    name: "a log start that is committed does not move",
    edits: [edit(
      "replication/trims.ts",
      "      if (isAhead && log.trimPrefix(offset) === LOG_BUSY) return false;\n",
    )],
  },
  {
    name: "a deleted topic comes back with the node that was away",
    edits: [edit(
      "shard/partition_table.ts",
      "      if (removed.has(groupId)) {",
      "      if (removed.has(groupId) && deleted < 0) {",
    )],
  },
  {
    name: "a topic that is deleted keeps its log",
    edits: [edit(
      "shard/partition_table.ts",
      "      else if (this.#storage.logs.has(groupId)) this.#deleteLog(groupId, null);\n",
    )],
  },
];

/** What only damaged disks show. */
const DAMAGE_MUTATIONS: readonly Mutation[] = [
  {
    name: "bytes that do not match their checksum are served",
    edits: [edit(
      "storage/segment_loader.ts",
      "if (checksum === segment.index.checksums[chunk.extent]!) {",
      "if (checksum >= 0) {",
    )],
  },
];

/** Of the others those that clusters with all hardships are tried on, too: what few seeds meet is found by others. */
const TRIED_HARD = [
  "an append is acknowledged before it is durable",
  "a leader counts what it has sent",
  "entries of another term are kept",
  "clients are served before the no-op is committed",
  "the high watermark is what the leader's own disk has",
];

/** Of groups whose coordinator assigns: their consumers are in simulations of these seeds alone. */
const READER_MUTATIONS: readonly Mutation[] = [
  {
    name: "a member is given a partition that another one has",
    edits: [edit(
      "group/consumer/keeper.ts",
      "isFree: (topicId, partition) => view.ownerOf(topicId, partition) === null,",
      "isFree: () => true,",
    )],
  },
];

export const HARD_MUTATIONS: readonly Mutation[] = [
  ...READER_MUTATIONS,
  ...DAMAGE_MUTATIONS,
  ...CLUSTER_MUTATIONS.filter(({ name }) => TRIED_HARD.includes(name)),
];
