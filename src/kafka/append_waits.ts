/**
 * Who waits for what was appended to a partition: a growing ring, oldest first, without allocation.
 *
 * Waits belong to one leadership. It ends with {@linkcode AppendWaits.lose}, because another leader's record at
 * the same offset would be another record. A wait may have a deadline; it is looked at from time to time.
 *
 * @module
 */

import { ErrorCode } from "../wire/errors.ts";

const CAPACITY_MIN = 8;

/** Why a wait will never succeed. */
export const Loss = {
  /** This node leads the partition no longer: the record may be committed by the next leader, or may be lost. */
  NOT_LEADER: 0,
  /** The partition is deleted. */
  GONE: 1,
  /** The record is committed, and fewer replicas than `min.insync.replicas` keep up to make it safer. */
  TOO_FEW: 2,
  /** The client's time is over. */
  TIMED_OUT: 3,
} as const;
export type Loss = typeof Loss[keyof typeof Loss];

/** What a producer is answered. */
export function errorOfLoss(loss: Loss): ErrorCode {
  switch (loss) {
    case Loss.GONE:
      return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    case Loss.TOO_FEW:
      return ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND;
    case Loss.TIMED_OUT:
      return ErrorCode.REQUEST_TIMED_OUT;
    default:
      return ErrorCode.NOT_LEADER_OR_FOLLOWER;
  }
}

/** Waits for appends; `token` identifies a wait. */
export interface AppendWaiter {
  /** Everything below the offset waited for is as safe as was asked for. */
  onReached(token: number): void;
  /** It never will be, as far as this node can tell. */
  onLost(token: number, loss: Loss): void;
}

export class AppendWaits {
  // Rings; a partition without traffic has none.
  #offsets = new Float64Array(0);
  #deadlines = new Float64Array(0);
  #tokens = new Int32Array(0);
  #waiters: (AppendWaiter | null)[] = [];
  #head = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /**
   * Notifies `waiter` once everything below `offset` is reached; never from inside this call.
   *
   * @param deadlineMs when {@linkcode AppendWaits.expire} ends the wait
   */
  add(offset: number, waiter: AppendWaiter, token: number, deadlineMs = Infinity): void {
    if (this.#count === this.#offsets.length) this.#grow();
    const at = (this.#head + this.#count) & (this.#offsets.length - 1);
    this.#offsets[at] = offset;
    this.#deadlines[at] = deadlineMs;
    this.#tokens[at] = token;
    this.#waiters[at] = waiter;
    this.#count++;
  }

  /** Everything below `offset` is reached; those who wait for it are notified in order. */
  reach(offset: number): void {
    while (this.#count > 0 && this.#offsets[this.#head]! <= offset) {
      const token = this.#tokens[this.#head]!;
      this.#take().onReached(token);
    }
  }

  /** The waits for what is below `offset` will not succeed; without it, nobody's. */
  lose(loss: Loss, offset = Infinity): void {
    while (this.#count > 0 && this.#offsets[this.#head]! <= offset) {
      const token = this.#tokens[this.#head]!;
      this.#take().onLost(token, loss);
    }
  }

  /** The time of some waits is over. */
  expire(nowMs: number): void {
    let late: { readonly waiter: AppendWaiter; readonly token: number }[] | null = null;
    const mask = this.#offsets.length - 1;
    let kept = 0;
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#head + i) & mask;
      if (this.#deadlines[from]! <= nowMs) {
        (late ??= []).push({ waiter: this.#waiters[from]!, token: this.#tokens[from]! });
        continue;
      }
      const to = (this.#head + kept++) & mask;
      if (to === from) continue;
      this.#offsets[to] = this.#offsets[from]!;
      this.#deadlines[to] = this.#deadlines[from]!;
      this.#tokens[to] = this.#tokens[from]!;
      this.#waiters[to] = this.#waiters[from]!;
    }
    if (late === null) return;
    for (let i = kept; i < this.#count; i++) this.#waiters[(this.#head + i) & mask] = null;
    this.#count = kept;
    for (const { waiter, token } of late) waiter.onLost(token, Loss.TIMED_OUT);
  }

  /** Takes the oldest waiter out; its reaction to the notification may make the ring larger. */
  #take(): AppendWaiter {
    const at = this.#head;
    const waiter = this.#waiters[at]!;
    this.#waiters[at] = null;
    this.#head = (at + 1) & (this.#offsets.length - 1);
    this.#count--;
    return waiter;
  }

  #grow(): void {
    const old = this.#offsets.length;
    const capacity = Math.max(CAPACITY_MIN, old * 2);
    const offsets = new Float64Array(capacity);
    const deadlines = new Float64Array(capacity);
    const tokens = new Int32Array(capacity);
    const waiters = new Array<AppendWaiter | null>(capacity).fill(null);
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#head + i) & (old - 1);
      offsets[i] = this.#offsets[from]!;
      deadlines[i] = this.#deadlines[from]!;
      tokens[i] = this.#tokens[from]!;
      waiters[i] = this.#waiters[from]!;
    }
    this.#offsets = offsets;
    this.#deadlines = deadlines;
    this.#tokens = tokens;
    this.#waiters = waiters;
    this.#head = 0;
  }
}
