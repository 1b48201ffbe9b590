/**
 * One group's replica on this node, as the partition above it sees it.
 *
 * The log reports to the replica what is durable. The replica decides what is committed and who leads, and
 * reports that upwards:
 *
 * ```text
 *   Log --onDurable--> Replica --onDurable, onCommitted--------> ReplicaListener (the partition)
 *                              --onLeading, onFollowing, onCut-->
 * ```
 *
 * Rules that both sides rely on:
 * - While a replica leads, its term does not change, and the entries that it appended are not cut. So whoever
 *   waits for an append waits for an index (or offset) within the present leadership: `onFollowing` and `onCut`
 *   end all waits, because the entry that later has this index may be another one.
 * - `leading` is true from `onLeading` to `onFollowing`, and not outside. Before `onLeading`, everything that
 *   earlier leaders committed is committed here. Appends may come a moment before it (`opening`, of which `onWritable` tells).
 * - `commitIndex` and `commitOffset` never go back.
 * - No method of the listener is called from inside a call on the replica.
 *
 * @module
 */

import type { Member } from "../raft/configuration.ts";
import type { Log } from "../storage/log.ts";

/** Refusal, beside those of the log: this node does not lead the group. */
export const NOT_LEADER = -1;

/** What a replica reports; calls come from the loop. */
export interface ReplicaListener {
  /** More of the log is durable on this node (`log.durableEndOffset`). Comes before `onCommitted`. */
  onDurable(): void;
  /** `commitIndex` and `commitOffset` advanced, or committed trims took effect. */
  onCommitted(): void;
  /** This node leads: the no-op of its term is committed. Comes before the `onCommitted` of the same advance. */
  onLeading(term: number): void;
  /** This node does not lead, or no longer. `leaderId`: who does in `term`, -1 when that is not known. */
  onFollowing(term: number, leaderId: number): void;
  /** Every entry beyond `index` is cut off; none of them was committed. */
  onCut(index: number): void;
  /** The leader heard of a follower: {@linkcode Replica.safeOffset} of more than a majority may have advanced. */
  onReplicated(): void;
  /** Appends and trims that were refused with LOG_BUSY may be tried again. */
  onWritable(): void;
}

/** One member of a group, as a replica sees it; for people. */
export interface MemberStatus {
  readonly node: number;
  /** Which member it is of those that the node may have been; 0: whichever. */
  readonly incarnation: number;
  /** Leaving: a voter of the set before, while the voters change. None: this node was a member in a life that is over. */
  readonly part: "voter" | "leaving" | "learner" | "none";
  /** A voter of the set before, while the voters change. */
  readonly wasVoter: boolean;
  /** Of a leader's peers how they are replicated to; else empty, or "leader" of itself. Full: its disk is. */
  readonly state: "" | "leader" | "probing" | "following" | "snapshot" | "full";
  /** Messages to it may arrive. */
  readonly isUp: boolean;
  /** First offset that is not known to be durable there; -1: not known. */
  readonly matchOffset: number;
  /** How long ago it answered last (ms); -1: not known. */
  readonly heardMs: number;
  /** How long ago it had everything that its leader had (ms); -1: not known. */
  readonly caughtUpMs: number;
}

/** How a group is, as a replica sees it; for people. */
export interface ReplicaStatus {
  readonly role: "leader" | "follower" | "candidate" | "read-only";
  /** The voters change: a joint configuration is in force, or one that is not committed. */
  readonly isChanging: boolean;
  readonly members: readonly MemberStatus[];
}

export interface Replica {
  readonly log: Log;
  /** Set by who uses the replica, before {@linkcode Replica.start}. */
  listener: ReplicaListener | null;

  /** The present term, which is the leader epoch; 0 while there was none. */
  readonly term: number;
  /** The node that leads in this term; -1 when that is not known. */
  readonly leaderId: number;
  /** The no-op of this node's own term is committed: clients may be served. */
  readonly leading: boolean;
  /**
   * It leads, and is handing leadership over: appends wait. `onFollowing` or `onWritable` ends the wait.
   */
  readonly handingOver: boolean;
  /**
   * Elected, and its no-op is in the log, but not committed yet: records may be appended, and what waits for them is told when they are
   * committed. Nothing is served.
   */
  readonly opening: boolean;
  /** The node to which this one has handed leadership over, if it does not know yet who leads; -1: there is none. */
  readonly heirId: number;
  /** The term that {@linkcode Replica.heirId} is to begin. */
  readonly heirEpoch: number;
  /** Who leads is about to be known, after an election or a transfer: whoever appends waits instead of being refused. */
  readonly undecided: boolean;
  /** A {@linkcode Replica.transfer} is under way. */
  readonly transferring: boolean;
  /** The log is damaged and nobody else has it: what is there may be read, nothing may be added. */
  readonly readOnly: boolean;
  /**
   * The group went on by force elsewhere, without entries that were committed here: this replica takes part in nothing, and
   * has to be replaced.
   */
  readonly overruled: boolean;
  /** Last committed entry, and the first offset that is not committed (the high watermark). */
  readonly commitIndex: number;
  readonly commitOffset: number;
  /** Committed moves of the log start up to this index have taken effect. */
  readonly trimmedIndex: number;
  /** Voters that keep up, this node included: what `min.insync.replicas` counts. Only of use on the leader. */
  readonly inSyncCount: number;
  /**
   * The leader: the first offset that is not known to be durable on a voter that keeps up; -1 of others. To keep up is
   * to be connected, and to have had everything within `replica.lag.time.max.ms`.
   */
  inSyncOffset(node: number): number;
  /** The leader: records below it are committed, and durable on `copies` voters (on all, if there are fewer). */
  safeOffset(copies: number): number;
  /** Voters of the group, this node included. */
  readonly voterCount: number;
  /** Nobody else belongs to the group, with or without a vote. */
  readonly isAlone: boolean;
  /** The largest batch that every replica takes, as far as is known (bytes); a leader appends none that is larger. */
  readonly batchBytesMax: number;

  /** The leader: who should lead after it, of the voters that keep up and that `may` picks; -1: nobody could. */
  successor(may: (node: number) => boolean): number;

  /** Begins to take part in the group; the listener is called from now on. */
  start(): void;
  /** The leader's log grew by a batch, in {@linkcode Replica.term}. */
  appended(): void;
  /**
   * Leader, also one whose no-op is not committed yet: proposes that the log begin at `offset` (at most the commit offset).
   * Where a majority is full, and lacks records, no no-op is committed before they have room.
   *
   * @returns the index of the entry, which takes effect when it is committed ({@linkcode Replica.trimmedIndex}),
   * or a refusal
   */
  proposeTrim(offset: number): number;
  /**
   * Leader: hands leadership to a voter. `onFollowing` reports that it has gone; appends may wait a moment for it. If this node still
   * leads when {@linkcode Replica.transferring} ends, it failed.
   *
   * @returns 0: it begins; NOT_LEADER, or a negative number when that node cannot lead
   */
  transfer(node: number): number;
  /**
   * Makes this member the only voter, whoever the others were; does nothing where it is that already. For a group whose
   * majority was given up by somebody who may: what only the others have is lost (`RaftGroup.force`).
   */
  force(): void;
  /** How the group is, as far as this replica knows. */
  status(): ReplicaStatus;
  /** Ends its part in the group, for good: the listener is not called any more. */
  close(): void;
}

/** What a new replica has to know of its group. */
export interface ReplicaGroup {
  readonly groupId: number;
  /** The voters that it begins with, the preferred leader first; empty: this node alone. */
  readonly voters: readonly Member[];
  /** Of this node as a member; where absent, that which the voters or the shard say. */
  readonly incarnation?: number;
  /** The first term of a log that had none yet is above it. */
  readonly termFloor: number;
  /** What is committed has effects outside the log, which outlive it: topics' logs are deleted. */
  readonly isActedUpon?: boolean;
}

/** Makes the replica of a group over its log. */
export type MakeReplica = (log: Log, group: ReplicaGroup) => Replica;
