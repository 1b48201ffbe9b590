/**
 * The world of a Raft group: the log that it looks at, and what it asks its driver to do.
 *
 * A group holds no entries. Indexes, terms and durability are read through {@linkcode RaftLog}; everything that
 * changes the log or leaves the node goes through {@linkcode RaftEffects}.
 *
 * @module
 */

import type { Configuration } from "./configuration.ts";
import type { RaftMessage } from "./message.ts";

/** Kinds of meta entries that the group itself appends; the numbers are the log's. */
export const RaftMeta = {
  /** Opens a term. */
  NO_OP: 1,
  /** See `configuration.ts`. */
  CONFIGURATION: 2,
} as const;
export type RaftMeta = typeof RaftMeta[keyof typeof RaftMeta];

/** Refusal of a log whose disk failed: neither votes nor leads from then on. Other negative numbers: not now. */
export const REFUSED_FAILED = -5;

/** A configuration as the log holds it. */
export interface StoredConfiguration {
  readonly index: number;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** The log of the group on this node. All of it may be read at any time; nothing is changed through it. */
export interface RaftLog {
  /** The last entry, durable or not; `startIndex` when empty. */
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** The entry before the first one kept, which is committed; 0 at first. */
  readonly startIndex: number;
  readonly startTerm: number;
  /** Entries up to here survive a power cut. */
  readonly durableIndex: number;
  /** Term and vote as last set; how often that was; and the version that survives a power cut. */
  readonly hardTerm: number;
  readonly hardVote: number;
  readonly hardVersion: number;
  readonly durableHardVersion: number;
  /** The last no-op that carries a mark (`forced.ts`), as far as it is kept; 0: none. Asked for when a term begins. */
  readonly forcedIndex: number;
  /** Damage may have cut it: such a replica neither votes, nor leads, nor acknowledges. */
  readonly suspect: boolean;
  /** Term of an entry from `startIndex` to `lastIndex`, -1 of any other. Terms never fall with the index. */
  termAt(index: number): number;
  /** The last configuration at or below `index`, also when it is before the log start; null when there is none. */
  configurationAt(index: number): StoredConfiguration | null;
}

/**
 * What a group asks for. Calls come from inside its inputs.
 *
 * None of them may call back into the group, with two exceptions: `replicate` may call `RaftGroup.sent` and
 * `unsent`; and `onCommit`, `onLeading`, `onFollowing` and `onRead`, which come last in an input, may call anything.
 */
export interface RaftEffects {
  /**
   * Writes term and vote before anything that is appended later. `RaftGroup.durable` follows.
   *
   * @returns the log's new `hardVersion`, or a refusal; `RaftGroup.writable` follows a refusal
   */
  setHardState(term: number, vote: number): number;

  /**
   * Appends a meta entry.
   *
   * @returns its index, or a refusal; `RaftGroup.writable` follows a refusal
   */
  appendMeta(kind: RaftMeta, term: number, payload: Uint8Array<ArrayBuffer>): number;

  /** Cuts all entries beyond `index`. `RaftGroup.truncated` follows when that is durable, or `failed`. */
  truncate(index: number): void;

  /** Sends a message, or loses it. The object is used again after the call. */
  send(node: number, message: RaftMessage): void;

  /**
   * Sends an APPEND of entries from `fromIndex` on to a peer, and reports with `RaftGroup.sent` what was sent, or
   * with `unsent` that it was not; now or later. Until then nothing more is asked for that peer, unless its state
   * changed: then this request is void, and its answer changes nothing. Whoever limits the pace of a recovery
   * does it by answering late.
   *
   * The frame begins with the batch that holds `fromIndex`, is at most `bytesMax` long unless that batch alone is
   * longer, and its header is `RaftGroup.appendHeader(prevIndex)` at the moment of sending.
   */
  replicate(node: number, fromIndex: number, bytesMax: number): void;

  /** Sends a SNAPSHOT: the log of the peer ends before ours starts. `RaftGroup.snapshotSent` follows. */
  sendSnapshot(node: number): void;

  /** Entries up to `index` are committed. On a leader that may be more than its own disk has. */
  onCommit(index: number): void;

  /** This node leads, and its own entry of `term` is committed: clients may be served. */
  onLeading(term: number): void;

  /** This node does not lead (any more); who does, or -1. */
  onFollowing(term: number, leaderId: number): void;

  /** Nobody else led when the reads up to `ticket` were asked for. */
  onRead(ticket: number): void;

  /** The configuration in force changed, by append or by truncation. */
  onConfiguration(configuration: Configuration): void;

  /** The group needs `tick` earlier than it said before, at `atMs`. */
  onDeadline(atMs: number): void;
}
