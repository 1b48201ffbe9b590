/**
 * Moves of the log start that are entries of the log: proposed by a leader, done on each replica once committed.
 *
 * Where the disks of so many replicas are full that nothing is committed any more, such an entry would never be, as it waits
 * behind records for which they have no room. So a leader's heartbeats name the log start that it asks for, and a follower whose
 * disk is full begins its own log there at once: what is before it is committed, and is to go. Nobody may see
 * such a log start before an entry says it, or it could go back when somebody else leads: whoever is elected with one proposes it
 * before anything is served ({@linkcode Trims.affirm}).
 *
 * @module
 */

import { getInt64, setInt64 } from "../bytes/int64.ts";
import { MessageKind, type RaftMessage } from "../raft/message.ts";
import type { RaftGroup } from "../raft/raft_group.ts";
import { type Log, LOG_BUSY, MetaKind, TRIM_PAYLOAD_SIZE } from "../storage/log.ts";

/** What a replica knows of its leader. */
type LedGroup = Pick<RaftGroup, "leaderId" | "term">;

export class Trims {
  readonly #log: Log;
  /** There may be some that are not committed, or that have not taken effect. */
  #isDue = true;
  #trimmedIndex = -1;

  constructor(log: Log) {
    this.#log = log;
  }

  get isDue(): boolean {
    return this.#isDue;
  }

  /** Those that are committed up to this entry have taken effect. */
  get trimmedIndex(): number {
    return this.#trimmedIndex;
  }

  /** A leader's; returns the index of the entry, or the log's refusal. */
  propose(offset: number, term: number): number {
    const log = this.#log;
    const last = this.#last(log.lastIndex);
    // It is asked for already: retention asks again and again, and a full journal has little room.
    if (last !== null && last.offset >= offset && last.index > this.#trimmedIndex) {
      return last.index;
    }
    // The last entry counts: it must not take back what one before it asks for, whoever proposed that one, and when.
    const furthest = Math.max(offset, last?.offset ?? 0);
    const payload = new Uint8Array(TRIM_PAYLOAD_SIZE);
    setInt64(new DataView(payload.buffer), 0, furthest);
    const index = log.appendMeta(MetaKind.PREFIX, term, payload);
    if (index >= 0) this.#isDue = true;
    return index;
  }

  /**
   * A new leader's: proposes the start that its log has, unless an entry says so already.
   *
   * @returns the index of the entry that says so; 0: none is needed; or the log's refusal
   */
  affirm(term: number): number {
    const { startOffset, lastIndex } = this.#log;
    const last = this.#last(lastIndex);
    if (startOffset <= (last?.offset ?? 0)) return last?.index ?? 0;
    return this.propose(startOffset, term);
  }

  /** A leader's: the last entry that nobody needs, if those moves are done that it asks for. */
  get wantedIndex(): number {
    const { startIndex, startOffset, lastIndex } = this.#log;
    if (!this.#isDue) return startIndex;
    const offset = this.#last(lastIndex)?.offset ?? 0;
    return offset > startOffset ? this.#log.indexAt(offset) - 1 : startIndex;
  }

  /** A follower's, whose disk is full: begins the log where its leader's heartbeat asks for it, as far as that is committed. */
  obey({ kind, from, term, prevIndex }: RaftMessage, raft: LedGroup, commitIndex: number): void {
    const log = this.#log;
    if (kind !== MessageKind.HEARTBEAT) return;
    if (prevIndex <= log.startIndex || prevIndex > commitIndex) return;
    // What it refuses for a moment comes again.
    if (raft.leaderId === from && raft.term === term) log.trimPrefix(log.offsetAt(prevIndex + 1));
  }

  /** One is in the log that another node proposed. */
  noteReceived(): void {
    this.#isDue = true;
  }

  /**
   * Moves the log start to what the last committed one says.
   *
   * @returns false when the log has no room for that: it is to be called again
   */
  apply(commitIndex: number, commitOffset: number): boolean {
    const log = this.#log;
    const trim = this.#last(commitIndex);
    if (trim !== null) {
      const { offset } = trim;
      const isAhead = offset > log.startOffset && offset <= commitOffset;
      if (isAhead && log.trimPrefix(offset) === LOG_BUSY) return false;
    }
    this.#trimmedIndex = commitIndex;
    const last = this.#last(log.lastIndex);
    this.#isDue = last !== null && last.index > commitIndex;
    return true;
  }

  /** The last one at or below `upToIndex`: its own index, and the log start that it asks for. */
  #last(upToIndex: number): { readonly index: number; readonly offset: number } | null {
    const entry = this.#log.lastMeta(MetaKind.PREFIX, upToIndex);
    if (entry === null) return null;
    const { index, payload: { buffer, byteOffset, byteLength } } = entry;
    // A peer's payload was checked before it was appended; what a disk returned may be anything.
    const isSound = byteLength === TRIM_PAYLOAD_SIZE;
    const view = new DataView(buffer, byteOffset, byteLength);
    return { index, offset: isSound ? getInt64(view, 0) : 0 };
  }
}
