/**
 * A Raft group with one voter: the leader of itself.
 *
 * It drives a log exactly as a group of several does: a term of its own, opened by a no-op entry whose
 * durability is the right to serve; an entry is committed when a majority (here: this disk) made it
 * durable, and only entries of the own term commit by count. Replication replaces this file, not the
 * log under it nor the partition above.
 *
 * States: opening (hard state and no-op on their way) → leading. A suspect log stays in `opening` with
 * {@linkcode SoleReplica.readOnly} set: it may be read up to what was committed, and not written.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { getInt64, setInt64 } from "../bytes/int64.ts";
import { type Log, LOG_BUSY, MetaKind } from "../storage/log.ts";

const NO_PAYLOAD = new Uint8Array(0);
/** A trim's payload: the offset (int64). */
const TRIM_PAYLOAD_SIZE = 8;

export class SoleReplica {
  readonly log: Log;
  readonly #nodeId: number;
  readonly #termFloor: number;
  #term = 0;
  #noOpIndex = -1;
  /** The furthest log start that was proposed. */
  #proposedStart = 0;
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

  /** The term, which is the leader epoch; 0 before {@linkcode begin}. */
  get term(): number {
    return this.#term;
  }

  /** The own term's no-op is in the log, durable or not. */
  get opened(): boolean {
    return this.#noOpIndex >= 0;
  }

  /** The no-op of the own term is committed: clients may be served. */
  get leading(): boolean {
    return this.#leading;
  }

  /** The log is damaged: what is there may be read, nothing may be added. */
  get readOnly(): boolean {
    return this.log.suspect;
  }

  /** The first offset that is not committed: the high watermark. */
  get commitOffset(): number {
    return this.#commitOffset;
  }

  get commitIndex(): number {
    return this.#commitIndex;
  }

  /**
   * Opens the next term: hard state, then the no-op.
   *
   * @returns false when the log had no room; call again when it is writable
   */
  begin(): boolean {
    assert(this.#noOpIndex < 0, "a term was opened twice");
    const log = this.log;
    if (log.suspect) {
      // Everything that recovery kept was durable before; with one voter that is committed.
      this.#term = log.lastTerm;
      this.#commitOffset = log.durableEndOffset;
      return true;
    }
    if (this.#term === 0) {
      const known = Math.max(log.hardTerm, log.lastTerm);
      const term = (known === 0 ? this.#termFloor : known) + 1;
      if (log.setHardState(term, this.#nodeId) < 0) return false;
      this.#term = term;
    }
    const index = log.appendMeta(MetaKind.NO_OP, this.#term, NO_PAYLOAD);
    if (index < 0) return false;
    this.#noOpIndex = index;
    return true;
  }

  /**
   * Proposes that the log begin at `offset` (at most the commit offset).
   *
   * @returns the index of the entry, which takes effect when it is committed
   * ({@linkcode applyTrims}), or the log's refusal
   */
  proposeTrim(offset: number): number {
    assert(this.#leading && offset <= this.#commitOffset, "a trim goes at most to the commit");
    // The last entry counts: it must not take back what one before it asks for.
    const furthest = Math.max(offset, this.#proposedStart);
    const payload = new Uint8Array(TRIM_PAYLOAD_SIZE);
    setInt64(new DataView(payload.buffer), 0, furthest);
    const index = this.log.appendMeta(MetaKind.PREFIX, this.#term, payload);
    if (index >= 0) this.#proposedStart = furthest;
    return index;
  }

  /**
   * Moves the log start to what the last committed trim says.
   *
   * @returns false when the log has no room for that: call again when it is writable
   */
  applyTrims(): boolean {
    const trim = this.log.lastMeta(MetaKind.PREFIX, this.#commitIndex);
    if (trim === null) return true;
    const { buffer, byteOffset, byteLength } = trim.payload;
    const offset = getInt64(new DataView(buffer, byteOffset, byteLength), 0);
    return offset <= this.log.startOffset || this.log.trimPrefix(offset) !== LOG_BUSY;
  }

  /** More of the log became durable; returns whether the commit moved. */
  onDurable(): boolean {
    if (this.#noOpIndex < 0) return false;
    const durable = this.log.durableIndex;
    if (durable < this.#noOpIndex || durable <= this.#commitIndex) return false;
    this.#commitIndex = durable;
    this.#commitOffset = this.log.durableEndOffset;
    this.log.setCommitted(durable);
    this.#leading = true;
    return true;
  }
}
