/**
 * A Raft group with one voter: the leader of itself.
 *
 * It drives a log exactly as a group of several does: a term of its own, opened by a no-op entry whose
 * durability is the right to serve; an entry is committed when a majority (here: this disk) made it
 * durable, and only entries of the own term commit by count.
 *
 * States: opening (hard state and no-op on their way) → leading. A suspect log stays in `opening` with
 * {@linkcode SoleReplica.readOnly} set: it may be read up to what was committed, and not written.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { getInt64, setInt64 } from "../bytes/int64.ts";
import { type Log, LOG_BUSY, type LogListener, MetaKind } from "../storage/log.ts";
import { NOT_LEADER, type Replica, type ReplicaListener } from "./replica.ts";

const NO_PAYLOAD = new Uint8Array(0);
/** A trim's payload: the offset (int64). */
const TRIM_PAYLOAD_SIZE = 8;
const NO_LEADER = -1;

export class SoleReplica implements Replica, LogListener {
  readonly log: Log;
  listener: ReplicaListener | null = null;
  /** It never has anybody to hand leadership to. */
  readonly handingOver = false;
  readonly inSyncCount = 1;
  readonly #nodeId: number;
  readonly #termFloor: number;
  #term = 0;
  #noOpIndex = -1;
  /** The furthest log start that was proposed, and the index of the last proposal. */
  #proposedStart = 0;
  #proposedIndex = -1;
  /** Trims that are not committed, or that have not taken effect; at a start, those of the log. */
  #trimsDue = true;
  #trimmedIndex = -1;
  #commitIndex = 0;
  #commitOffset: number;
  #leading = false;

  /**
   * @param nodeId the only voter
   * @param termFloor the first term of a log that had none yet is above it
   */
  constructor(log: Log, nodeId: number, termFloor = 0) {
    this.log = log;
    this.#nodeId = nodeId;
    this.#termFloor = termFloor;
    this.#commitOffset = log.startOffset;
  }

  get term(): number {
    return this.#term;
  }

  get leaderId(): number {
    return this.#leading ? this.#nodeId : NO_LEADER;
  }

  get leading(): boolean {
    return this.#leading;
  }

  get readOnly(): boolean {
    return this.log.suspect;
  }

  get commitOffset(): number {
    return this.#commitOffset;
  }

  get commitIndex(): number {
    return this.#commitIndex;
  }

  get trimmedIndex(): number {
    return this.#trimmedIndex;
  }

  start(): void {
    assert(this.log.listener === null, "a log has one replica");
    this.log.listener = this;
    this.#open();
  }

  appended(): void {}

  proposeTrim(offset: number): number {
    if (!this.#leading) return NOT_LEADER;
    assert(offset <= this.#commitOffset, "a trim goes at most to the commit");
    // The last entry counts: it must not take back what one before it asks for.
    const furthest = Math.max(offset, this.#proposedStart);
    const payload = new Uint8Array(TRIM_PAYLOAD_SIZE);
    setInt64(new DataView(payload.buffer), 0, furthest);
    const index = this.log.appendMeta(MetaKind.PREFIX, this.#term, payload);
    if (index < 0) return index;
    this.#proposedStart = furthest;
    this.#proposedIndex = index;
    this.#trimsDue = true;
    return index;
  }

  close(): void {
    this.#leading = false;
    this.listener = null;
    this.log.listener = null;
  }

  onDurable(): void {
    if (this.#noOpIndex < 0) return;
    const { log, listener } = this;
    const durable = log.durableIndex;
    if (durable < this.#noOpIndex || durable <= this.#commitIndex) return;
    listener!.onDurable();
    this.#commitIndex = durable;
    this.#commitOffset = log.durableEndOffset;
    log.setCommitted(durable);
    if (this.#trimsDue) this.#applyTrims();
    if (!this.#leading) {
      this.#leading = true;
      listener!.onLeading(this.#term);
    }
    this.listener?.onCommitted();
  }

  onWritable(): void {
    if (this.#noOpIndex < 0 && !this.readOnly) this.#open();
    if (this.#leading && this.#trimsDue && this.#applyTrims()) this.listener!.onCommitted();
    this.listener?.onWritable();
  }

  /** Opens the next term: hard state, then the no-op. Where the log has no room, `onWritable` continues. */
  #open(): void {
    assert(this.#noOpIndex < 0, "a term was opened twice");
    const log = this.log;
    if (log.suspect) {
      // Everything that recovery kept was durable before; with one voter that is committed.
      this.#term = log.lastTerm;
      this.#commitOffset = log.durableEndOffset;
      return;
    }
    if (this.#term === 0) {
      const known = Math.max(log.hardTerm, log.lastTerm);
      const term = (known === 0 ? this.#termFloor : known) + 1;
      if (log.setHardState(term, this.#nodeId) < 0) return;
      this.#term = term;
    }
    const index = log.appendMeta(MetaKind.NO_OP, this.#term, NO_PAYLOAD);
    if (index >= 0) this.#noOpIndex = index;
  }

  /**
   * Moves the log start to what the last committed trim says.
   *
   * @returns false when the log has no room for that: `onWritable` continues
   */
  #applyTrims(): boolean {
    const trim = this.log.lastMeta(MetaKind.PREFIX, this.#commitIndex);
    if (trim !== null) {
      const { buffer, byteOffset, byteLength } = trim.payload;
      const offset = getInt64(new DataView(buffer, byteOffset, byteLength), 0);
      if (offset > this.log.startOffset && this.log.trimPrefix(offset) === LOG_BUSY) return false;
    }
    this.#trimmedIndex = this.#commitIndex;
    this.#trimsDue = this.#proposedIndex > this.#commitIndex;
    return true;
  }
}
