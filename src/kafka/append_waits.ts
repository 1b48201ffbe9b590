/**
 * Who waits for what was appended to a partition: a growing ring, oldest first, without allocation.
 *
 * Waits belong to one leadership. It ends with {@linkcode AppendWaits.lose}, because another leader's record at
 * the same offset would be another record.
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
} as const;
export type Loss = typeof Loss[keyof typeof Loss];

/** What a producer is answered. */
export function errorOfLoss(loss: Loss): ErrorCode {
  return loss === Loss.GONE
    ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    : ErrorCode.NOT_LEADER_OR_FOLLOWER;
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
  #tokens = new Int32Array(0);
  #waiters: (AppendWaiter | null)[] = [];
  #head = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Notifies `waiter` once everything below `offset` is reached; never from inside this call. */
  add(offset: number, waiter: AppendWaiter, token: number): void {
    if (this.#count === this.#offsets.length) this.#grow();
    const at = (this.#head + this.#count) & (this.#offsets.length - 1);
    this.#offsets[at] = offset;
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

  /** Nobody's wait will succeed. */
  lose(loss: Loss): void {
    while (this.#count > 0) {
      const token = this.#tokens[this.#head]!;
      this.#take().onLost(token, loss);
    }
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
    const tokens = new Int32Array(capacity);
    const waiters = new Array<AppendWaiter | null>(capacity).fill(null);
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#head + i) & (old - 1);
      offsets[i] = this.#offsets[from]!;
      tokens[i] = this.#tokens[from]!;
      waiters[i] = this.#waiters[from]!;
    }
    this.#offsets = offsets;
    this.#tokens = tokens;
    this.#waiters = waiters;
    this.#head = 0;
  }
}
