/**
 * Stands beside every replica of a simulated cluster, hears what its Raft group does and says, and checks Raft's claims at
 * that moment. Their violation is seen by no client, or only by one that asks at the right time:
 *
 * - A vote is durable when it is given or asked for, and there is one in a term.
 * - What is acknowledged is durable, and it is the leader's.
 * - A log that damage may have taken entries from neither votes nor acknowledges.
 * - A leader commits what a majority of the voters (of both sets) has acknowledged to it, up to an entry of its own term.
 * - A follower commits what a leader has committed.
 * - No committed entry is cut off. Who is elected has all of them, and who begins to serve knows all of them.
 * - A group goes on by force only where somebody asked for that. What its log lacks is not committed any more: from the forced
 *   term on, the claims are about the log that went on.
 *
 * @module
 */

import type { Member } from "../../src/raft/configuration.ts";
import { MessageKind, Outcome, type RaftMessage } from "../../src/raft/message.ts";
import { Role } from "../../src/raft/raft_group.ts";
import { RaftMeta } from "../../src/raft/raft_log.ts";
import type { GroupReplica } from "../../src/replication/group_replica.ts";
import type { Shard } from "../../src/shard/shard.ts";
import type { Log } from "../../src/storage/log.ts";
import { SimFailure } from "./sim_failure.ts";
import type { SimNode } from "./sim_node.ts";

/** A group that went on by force: with which log, and from where on. */
export interface Force {
  readonly groupId: number;
  readonly term: number;
  /** Where its log ended. */
  readonly lastIndex: number;
  /**
   * The last committed entry that it has, and the first offset behind that: it may have others besides, of a leader that
   * nobody followed.
   */
  readonly keptIndex: number;
  readonly keptOffset: number;
}

/** What is true of one group, from one term on. */
class GroupBook {
  /** The first term that it is about; 0: all. */
  readonly fromTerm: number;
  /** The last entry that any leader committed, in its term; the first offset behind it. */
  committedIndex = 0;
  committedTerm = 0;
  committedOffset = 0;
  /** The term of each committed entry, by index; -1 where it is not known. */
  readonly terms: number[] = [];
  /** Who appended the entry that opens the latest term. */
  leader: { readonly replica: GroupReplica; readonly term: number } | null = null;
  /** The last entry that each member acknowledged, by term. */
  readonly acknowledged = new Map<string, number>();
  /** For whom each member voted, by term. */
  readonly votes = new Map<string, number>();

  constructor(fromTerm = 0) {
    this.fromTerm = fromTerm;
  }

  /** What remains of it. */
  forced({ term, keptIndex, keptOffset }: Force): GroupBook {
    const book = new GroupBook(term);
    book.committedIndex = keptIndex;
    book.committedTerm = this.committedTerm;
    book.committedOffset = Math.min(this.committedOffset, keptOffset);
    book.terms.push(...this.terms.slice(0, keptIndex + 1));
    return book;
  }

  /** The last committed entry that a log has. */
  keptBy(log: Log): number {
    let index = Math.min(this.committedIndex, log.lastIndex);
    while (index > log.startIndex && this.terms[index] !== log.termAt(index)) index--;
    return index;
  }
}

/** The books of one group, one more for each force. */
class GroupBooks {
  readonly #books: GroupBook[] = [new GroupBook()];

  get latest(): GroupBook {
    return this.#books.at(-1)!;
  }

  /** The book that a replica in this term is to keep to. */
  at(term: number): GroupBook {
    return this.#books.findLast(({ fromTerm }) => fromTerm <= term)!;
  }

  /** A log goes on by force. */
  force(term: number, log: Log): Force {
    const { groupId, lastIndex } = log;
    const before = this.at(term);
    const keptIndex = before.keptBy(log);
    const force = { groupId, term, lastIndex, keptIndex, keptOffset: log.offsetAt(keptIndex + 1) };
    this.#books.push(before.forced(force));
    this.#books.sort((a, b) => a.fromTerm - b.fromTerm);
    return force;
  }
}

export interface QuorumWatchOptions {
  /** Somebody asked for the group to go on by force. */
  readonly mayForce: (groupId: number, node: SimNode) => boolean;
  readonly onForce: (force: Force, node: SimNode) => void;
}

const NEVER_FORCED: QuorumWatchOptions = { mayForce: () => false, onForce: () => {} };

export class QuorumWatch {
  readonly #books = new Map<number, GroupBooks>();
  readonly #options: QuorumWatchOptions;
  #wrong: string | null = null;

  constructor(options: QuorumWatchOptions = NEVER_FORCED) {
    this.#options = options;
  }

  /** The first offset of a group that no leader has committed; 0 of an unknown one. */
  committedOffset(groupId: number): number {
    return this.#books.get(groupId)?.latest.committedOffset ?? 0;
  }

  /** Throws what was found: where it is found, the node is in the middle of something. */
  check(): void {
    if (this.#wrong !== null) throw new SimFailure("correctness", this.#wrong);
  }

  /** Follows every replica that a shard makes, before it begins. */
  attend(node: SimNode, { replication }: Shard): void {
    const { makeReplica } = replication;
    replication.makeReplica = (log, group) => {
      const replica = makeReplica.call(replication, log, group);
      this.#follow(node, replica);
      return replica;
    };
  }

  #follow(node: SimNode, replica: GroupReplica): void {
    const { nodeId, name } = node;
    const { groupId } = replica;
    let books = this.#books.get(groupId);
    if (books === undefined) this.#books.set(groupId, books = new GroupBooks());
    const report = (what: string): void => {
      this.#wrong ??= `${name}, group ${groupId}, term ${replica.raft.term}: ${what}`;
    };
    const claims = new Claims(books, nodeId, replica, report);
    const onForced = (term: number): void => {
      const { mayForce, onForce } = this.#options;
      if (!mayForce(groupId, node)) report("it goes on by force, and nobody asked for it");
      onForce(books.force(term, replica.log), node);
    };
    const { send, setHardState, appendMeta, truncate, onCommit, onLeading } = replica;
    replica.setHardState = (term, vote) => {
      const version = setHardState.call(replica, term, vote);
      if (version >= 0) claims.onHardState(term, version);
      return version;
    };
    replica.send = (to, message) => {
      claims.onSend(to, message);
      send.call(replica, to, message);
    };
    replica.appendMeta = (kind, term, payload) => {
      if (kind === RaftMeta.NO_OP) {
        const isForced = payload.length > 0;
        if (isForced) onForced(term);
        claims.onElected(term, isForced);
      }
      return appendMeta.call(replica, kind, term, payload);
    };
    replica.truncate = (index) => {
      claims.onTruncate(index);
      truncate.call(replica, index);
    };
    replica.onCommit = () => {
      claims.onCommit();
      onCommit.call(replica);
    };
    replica.onLeading = () => {
      claims.onLeading();
      onLeading.call(replica);
    };
  }
}

/** What one replica must keep to. */
class Claims {
  readonly #books: GroupBooks;
  readonly #nodeId: number;
  readonly #replica: GroupReplica;
  readonly #log: Log;
  readonly #report: (what: string) => void;
  /** What was committed when it was elected last, as far as it knew. */
  #heardIndex = 0;
  /** The terms that were written in this life, and the log's versions of them; the one of before first. */
  readonly #terms: { readonly term: number; readonly version: number }[];

  constructor(
    books: GroupBooks,
    nodeId: number,
    replica: GroupReplica,
    report: (what: string) => void,
  ) {
    this.#books = books;
    this.#nodeId = nodeId;
    this.#replica = replica;
    this.#log = replica.log;
    this.#report = report;
    this.#terms = [{ term: this.#log.hardTerm, version: this.#log.hardVersion }];
  }

  onHardState(term: number, version: number): void {
    this.#terms.push({ term, version });
  }

  /** A restart finds this term, or a later one. */
  #isDurable(term: number): boolean {
    const written = this.#terms.find((each) => each.term >= term);
    return written !== undefined && this.#log.durableHardVersion >= written.version;
  }

  get #book(): GroupBook {
    return this.#books.at(this.#replica.raft.term);
  }

  onSend(to: number, message: RaftMessage): void {
    const { kind, term, from } = message;
    if (kind === MessageKind.VOTE_REPLY && message.granted && !message.pre) {
      this.#expect(!this.#log.suspect, "a vote of a log that may lack entries");
      this.#expect(this.#remembers(term, to), "a vote is given before it is durable");
      const key = inTerm({ node: from, incarnation: message.incarnation }, term);
      const known = this.#book.votes.get(key);
      this.#expect(known === undefined || known === to, `two votes, for ${known} and ${to}`);
      this.#book.votes.set(key, to);
    } else if (kind === MessageKind.VOTE_REQUEST && !message.pre) {
      const { index } = message;
      this.#expect(
        this.#remembers(term, from) || this.#log.durableIndex >= index,
        `votes are asked for with ${index} entries, which are not durable`,
      );
    } else if (kind === MessageKind.APPEND_REPLY || kind === MessageKind.HEARTBEAT_REPLY) {
      if (message.outcome !== Outcome.STALE && message.match > 0) this.#onReply(message);
    }
  }

  #remembers(term: number, vote: number): boolean {
    const { hardTerm, hardVote, hardVersion, durableHardVersion } = this.#log;
    return hardTerm === term && hardVote === vote && durableHardVersion >= hardVersion;
  }

  #onReply(reply: RaftMessage): void {
    const { term, match } = reply;
    const { leader, acknowledged } = this.#book;
    const log = this.#log;
    this.#expect(!log.suspect, "an acknowledgement of a log that may lack entries");
    this.#expect(
      this.#replica.raft.term === term && this.#isDurable(term),
      "an acknowledgement in a term that is not durable",
    );
    this.#expect(log.durableIndex >= match, `${match} is acknowledged before it is durable`);
    if (leader?.term === term && !leader.replica.isClosed) {
      const theirs = leader.replica.log;
      const isKnown = Math.max(theirs.startIndex, log.startIndex) < match;
      this.#expect(
        !isKnown || theirs.termAt(match) === log.termAt(match),
        `${match} is acknowledged, and is not the leader's`,
      );
    }
    const key = inTerm({ node: reply.from, incarnation: reply.incarnation }, term);
    acknowledged.set(key, Math.max(acknowledged.get(key) ?? 0, match));
  }

  onElected(term: number, isForced: boolean): void {
    const book = this.#book;
    const isAlone = isForced || this.#replica.others.length === 0;
    this.#expect(isAlone || this.#remembers(term, this.#nodeId), "its own vote is not durable");
    this.#heardIndex = this.#replica.raft.commitIndex;
    const { committedIndex, committedTerm } = book;
    if (term < committedTerm) return;
    this.#expect(
      this.#log.lastIndex >= committedIndex,
      `it is elected without the committed entry ${committedIndex}`,
    );
    this.#expectCommitted(committedIndex, "it is elected with another entry");
    if (term >= (book.leader?.term ?? 0)) book.leader = { replica: this.#replica, term };
  }

  onLeading(): void {
    const { committedIndex, committedTerm } = this.#book;
    const { term, commitIndex } = this.#replica.raft;
    this.#expect(
      committedTerm > term || commitIndex >= committedIndex,
      `it serves what is committed up to ${commitIndex}, and ${committedIndex} is committed`,
    );
  }

  onTruncate(index: number): void {
    const { raft } = this.#replica;
    const { committedIndex, terms } = this.#book;
    const next = index + 1;
    this.#expect(raft.role !== Role.LEADER, "a leader cuts its own log");
    this.#expect(index >= raft.commitIndex, `${next} is cut off, and was committed here`);
    if (next > committedIndex || next <= this.#log.startIndex) return;
    this.#expect(terms[next] !== this.#log.termAt(next), `the committed entry ${next} is cut off`);
  }

  onCommit(): void {
    const { raft } = this.#replica;
    const { leader, committedIndex } = this.#book;
    const log = this.#log;
    const { commitIndex, term } = raft;
    // A leader that was taken off commits that, and resigns.
    const leads = raft.role === Role.LEADER ||
      (leader?.replica === this.#replica && leader.term === term);
    // What it heard of before it was elected may be told after that.
    if (leads && commitIndex > this.#heardIndex) this.#onLeaderCommit(commitIndex, term);
    else {
      // What a snapshot covers is no entry of this log.
      const durable = Math.max(log.durableIndex, log.startIndex);
      this.#expect(commitIndex <= durable, `${commitIndex} is committed, and not durable`);
      this.#expect(commitIndex <= committedIndex, `no leader has committed ${commitIndex}`);
    }
    this.#expectCommitted(commitIndex, "another entry is committed");
  }

  #onLeaderCommit(index: number, term: number): void {
    const book = this.#book;
    const log = this.#log;
    if (index > log.startIndex) {
      this.#expect(
        log.termAt(index) === term,
        `${index} of the term ${log.termAt(index)} is counted`,
      );
    }
    const { voters, outgoing } = this.#replica.raft.configuration;
    for (const set of [voters, outgoing]) {
      const count = set.filter((member) => this.#has(member, index, term)).length;
      this.#expect(
        set.length === 0 || count > set.length / 2,
        `${index} is committed, and is on ${count} of ${set.length} disks`,
      );
    }
    if (index <= book.committedIndex) return;
    for (let at = book.committedIndex + 1; at <= index; at++) book.terms[at] = log.termAt(at);
    book.committedIndex = index;
    book.committedTerm = term;
    book.committedOffset = Math.max(book.committedOffset, log.offsetAt(index + 1));
  }

  /** Its disk has the entry, as this leader may know. */
  #has(member: Member, index: number, term: number): boolean {
    if (member.node === this.#nodeId) return this.#log.durableIndex >= index;
    return (this.#book.acknowledged.get(inTerm(member, term)) ?? 0) >= index;
  }

  /** What this log has at a committed index is what was committed. */
  #expectCommitted(index: number, what: string): void {
    const known = this.#book.terms[index] ?? -1;
    if (known < 0 || index <= this.#log.startIndex) return;
    const term = this.#log.termAt(index);
    this.#expect(term === known, `${what}: ${index} in the terms ${known} and ${term}`);
  }

  #expect(condition: boolean, what: string): void {
    if (!condition) this.#report(what);
  }
}

function inTerm({ node, incarnation }: Member, term: number): string {
  return `${node}.${incarnation} ${term}`;
}
