/**
 * The records of produced batches, walked: most batches in one slice, at once; others slice by slice, one
 * per turn, while everything else continues.
 *
 * A batch that needs more slices queues here; its part of the request waits with the parts that lack room, and
 * asks again after a turn that says so ({@linkcode RecordChecks.turn}). A batch is identified by its address.
 * One walk is kept free for batches of one slice, so no long walk delays them.
 *
 * @module
 */

import { type RecordRules, type RecordWalk, WalkStatus } from "../io/record_walk.ts";

/** A batch in line; the first one is being walked. */
interface Waiting {
  readonly address: number;
  readonly length: number;
  readonly rules: RecordRules;
}

export class RecordChecks {
  /** Free between calls. */
  #quick: RecordWalk;
  /** On the first batch in line. */
  #slow: RecordWalk;
  readonly #line: Waiting[] = [];
  /** The first batch in line has had a slice. */
  #begun = false;
  /** The first batch's walk has ended, and nobody has asked since. */
  #ended = false;
  /** Latest time of the records (ms) of batches that came through the line and are sound, by address. */
  readonly #sound = new Map<number, number>();

  constructor(quick: RecordWalk, slow: RecordWalk) {
    this.#quick = quick;
    this.#slow = slow;
  }

  /** There is a walk to continue, or a result to be fetched. */
  get busy(): boolean {
    return this.#line.length > 0;
  }

  /** This batch is in line, and its walk has not ended. */
  waits(address: number): boolean {
    if (this.#line.length === 0) return false;
    const at = this.#placeOf(address);
    return at > 0 || (at === 0 && !this.#ended);
  }

  /** The walk of this batch has ended, and nobody has asked since; the batches after it wait for that. */
  hasEnded(address: number): boolean {
    return this.#ended && this.#line[0]!.address === address;
  }

  /**
   * The latest time of the records (ms) of a batch that was in line and found sound; NaN: it was not. Such a batch
   * need not be walked again when its log had no room.
   */
  soundMaxTimestampMs(address: number): number {
    if (this.#sound.size === 0) return NaN;
    return this.#sound.get(address) ?? NaN;
  }

  /**
   * Walks a batch whose header and checksum are sound.
   *
   * @param rules read now; taken over when the batch has to wait
   * @returns the walk, at its end, to be read at once; null: ask again after a turn
   */
  check(address: number, length: number, rules: RecordRules): RecordWalk | null {
    if (this.#line.length > 0) {
      const at = this.#placeOf(address);
      if (at === 0 && this.#ended) {
        this.#leave(0);
        const walk = this.#slow;
        if (walk.status === WalkStatus.SOUND) this.#sound.set(address, walk.maxTimestampMs);
        return walk;
      }
      if (at >= 0) return null;
    }
    const walk = this.#quick;
    if (walk.begin(address, length, rules)) return walk;
    this.#line.push({ address, length, rules: { ...rules } });
    if (this.#line.length === 1) {
      // The walk stays where it is; the other walk is the free one now.
      this.#quick = this.#slow;
      this.#slow = walk;
      this.#begun = true;
    }
    return null;
  }

  /** Nobody will ask for this batch any more. */
  forget(address: number): void {
    if (this.#sound.size > 0) this.#sound.delete(address);
    if (this.#line.length === 0) return;
    const at = this.#placeOf(address);
    if (at >= 0) this.#leave(at);
  }

  /** One slice of the first batch in line; true: its walk has ended, and its waiter should ask. */
  turn(): boolean {
    const first = this.#line[0];
    if (first === undefined) return false;
    if (!this.#ended) {
      const { address, length, rules } = first;
      this.#ended = this.#begun
        ? this.#slow.resume(address, length, rules)
        : this.#slow.begin(address, length, rules);
      this.#begun = true;
    }
    return this.#ended;
  }

  #leave(at: number): void {
    this.#line.splice(at, 1);
    if (at > 0) return;
    this.#begun = false;
    this.#ended = false;
  }

  #placeOf(address: number): number {
    for (let i = 0; i < this.#line.length; i++) if (this.#line[i]!.address === address) return i;
    return -1;
  }
}
