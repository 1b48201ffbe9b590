/**
 * Moves of the log start that are entries of the log: proposed by a leader, done on each replica once committed.
 *
 * @module
 */

import { getInt64, setInt64 } from "../bytes/int64.ts";
import { type Log, LOG_BUSY, MetaKind, TRIM_PAYLOAD_SIZE } from "../storage/log.ts";

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
    // The last entry counts: it must not take back what one before it asks for, whoever proposed that one, and when.
    const furthest = Math.max(offset, this.#last(log.lastIndex)?.offset ?? 0);
    const payload = new Uint8Array(TRIM_PAYLOAD_SIZE);
    setInt64(new DataView(payload.buffer), 0, furthest);
    const index = log.appendMeta(MetaKind.PREFIX, term, payload);
    if (index >= 0) this.#isDue = true;
    return index;
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
