/**
 * Raft's claims, checked at every step of a simulated cluster by someone who sees all nodes at once.
 *
 * Every entry carries a hash over everything before it, so that one comparison covers a whole log.
 */

import { assert } from "../base/assert.ts";
import { MessageKind, Outcome, type RaftMessage } from "./message.ts";
import type { TestNode } from "./test_node.ts";
import { Role } from "./raft_group.ts";

export class Checker {
  readonly #nodes: () => Iterable<TestNode>;
  /** Who led a term. */
  readonly #leaders = new Map<number, number>();
  /** For whom a node voted in a term. */
  readonly #votes = new Map<string, number>();
  /** The hash at an entry of a term. */
  readonly #entries = new Map<string, number>();
  /** The hash at each committed index; 0 is the beginning. */
  readonly #committed: number[] = [0];
  /** How far clients know of the commit. */
  servedIndex = 0;

  constructor(nodes: () => Iterable<TestNode>) {
    this.#nodes = nodes;
  }

  get committedIndex(): number {
    return this.#committed.length - 1;
  }

  /** The group goes on by force with a log that ends at `index`: what was committed beyond it may be lost. */
  forced(index: number): void {
    this.#committed.length = Math.min(this.#committed.length, index + 1);
  }

  get elections(): number {
    return this.#leaders.size;
  }

  /**
   * Log matching: the same index and term mean the same entry, and the same ones before it. Called for entries that
   * leave a node, arrive or commit: what a group of one loses before that, nobody has seen.
   */
  onEntry(node: TestNode, index: number): void {
    const entry = node.log.entryAt(index);
    const key = `${index}:${entry.term}`;
    const known = this.#entries.get(key);
    assert(known === undefined || known === entry.chain, `log matching: entry ${key} is two`);
    this.#entries.set(key, entry.chain);
  }

  /** Election safety, and leader completeness. */
  onLeader(node: TestNode): void {
    const { term } = node.group;
    const other = this.#leaders.get(term);
    assert(other === undefined || other === node.id, `election safety: two leaders in ${term}`);
    this.#leaders.set(term, node.id);
    const { log } = node;
    const isAlone = node.group.peers.length === 0;
    const ownVote = log.disk.term === term && log.disk.vote === node.id;
    assert(isAlone || ownVote, "a candidate counts a vote of its own that is volatile");
    const index = this.committedIndex;
    if (index <= log.startIndex) return;
    assert(log.lastIndex >= index, `leader completeness: ${index} is missing in ${term}`);
    assert(log.chainAt(index) === this.#committed[index], "leader completeness: another entry");
  }

  onSend(node: TestNode, to: number, message: RaftMessage): void {
    const { kind, term } = message;
    const { disk } = node.log;
    if (kind === MessageKind.VOTE_REPLY && message.granted && !message.pre) {
      assert(disk.term === term && disk.vote === to, "a vote is answered before it is durable");
      const key = `${node.id}.${node.incarnation}:${term}`;
      const known = this.#votes.get(key);
      assert(known === undefined || known === to, `two votes in term ${term}`);
      this.#votes.set(key, to);
    }
    if (kind === MessageKind.VOTE_REQUEST && !message.pre) {
      const { index } = message;
      // Who has written that it stands in this term does not ask again in it.
      const isNoted = disk.term === term && disk.vote === node.id;
      const isDurable = disk.chainAt(index) === node.log.chainAt(index);
      assert(isNoted || isDurable, "a vote is asked for a volatile log");
    }
    if (message.quiet && kind === MessageKind.HEARTBEAT_REPLY) {
      const { lastIndex } = node.log;
      assert(node.group.commitIndex === lastIndex, "quiet, and not all is committed");
    }
    const isReply = kind === MessageKind.APPEND_REPLY || kind === MessageKind.HEARTBEAT_REPLY;
    if (isReply && message.outcome !== Outcome.STALE && message.match > 0) {
      assert(disk.term >= term, "an acknowledgement in a volatile term");
      assert(disk.lastIndex >= message.match, "acknowledged before it is durable");
      for (const leader of this.#nodes()) {
        if (!leader.isAlive || leader.group.role !== Role.LEADER) continue;
        if (leader.group.term !== term || leader.log.startIndex > message.match) continue;
        const chain = disk.chainAt(message.match);
        if (disk.start.index > message.match) continue;
        assert(
          leader.log.chainAt(message.match) === chain,
          "acknowledged what is not the leader's",
        );
      }
    }
  }

  /** Leader append-only; and nothing committed is cut off. */
  onTruncate(node: TestNode, index: number): void {
    assert(node.group.role !== Role.LEADER, "a leader cuts its own log");
    assert(index >= node.group.commitIndex, "truncation below the commit");
    const next = index + 1;
    if (next > this.committedIndex || next <= node.log.startIndex) return;
    assert(node.log.chainAt(next) !== this.#committed[next], "a committed entry is cut off");
  }

  /** State machine safety; and a leader commits what a majority's disks have. */
  onCommit(node: TestNode, index: number): void {
    const { log, group } = node;
    assert(index <= log.lastIndex, "committed beyond the log");
    const from = Math.min(index, this.committedIndex);
    if (from > log.startIndex) {
      assert(log.chainAt(from) === this.#committed[from], `state machine safety at ${from}`);
    }
    const leads = group.role === Role.LEADER || node.wasLeader;
    assert(leads || index <= log.durableIndex, "a follower's commit is durable");
    if (index <= this.committedIndex) return;
    assert(log.startIndex <= this.committedIndex, "trimmed before it was committed");
    for (let at = this.committedIndex + 1; at <= index; at++) {
      this.onEntry(node, at);
      this.#committed.push(log.chainAt(at));
    }
    assert(leads, "a follower knows more than its leader");
    this.#checkMajority(node, index);
  }

  #checkMajority(leader: TestNode, index: number): void {
    const { voters, outgoing } = leader.group.configuration;
    for (const members of [voters, outgoing]) {
      if (members.length === 0) continue;
      let durable = 0;
      for (const { node, incarnation } of members) {
        for (const other of this.#nodes()) {
          if (other.id !== node || other.incarnation !== incarnation) continue;
          const { disk } = other.log;
          if (disk.start.index >= index || disk.chainAt(index) === this.#committed[index]) {
            durable++;
          }
        }
      }
      assert(durable > members.length / 2, `committed at ${index} without a majority`);
    }
  }

  /** A linearizable read sees what any client knew to be committed when it was asked for. */
  onRead(readIndex: number, servedAtRequest: number): void {
    assert(readIndex >= servedAtRequest, "a stale read");
  }

  /** All `nodes` have the same committed entries, and nothing else. */
  checkEqual(nodes: readonly TestNode[]): void {
    for (const { id, log, group } of nodes) {
      assert(group.commitIndex === this.committedIndex, `${id} committed ${group.commitIndex}`);
      assert(log.lastIndex === this.committedIndex, `${id} ends at ${log.lastIndex}`);
      assert(log.chainAt(log.lastIndex) === this.#committed[log.lastIndex], `${id} differs`);
    }
  }
}
