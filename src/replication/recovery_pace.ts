/**
 * How fast a shard fills the logs of learners, and of voters that were away: a copy of a log must not take the disk and the
 * network from those who write.
 *
 * What is sent is counted against {@linkcode RECOVERY_BYTES_PER_MS}, with {@linkcode RECOVERY_BURST_BYTES} in advance. Where more
 * than that is appended, it is {@linkcode RECOVERY_SHARE} of what is appended, for each node that is filled: it gets on, and
 * costs little more than when it keeps up. A request for entries that comes too early waits, at most one for each group and
 * member; its leader asks for nothing more until it is answered. Voters without which nothing commits are not held back, nor
 * those that keep up: a request that waits is looked at now and then, and goes first when its member has become one of them.
 *
 * @module
 */

import {
  RECOVERY_BURST_BYTES,
  RECOVERY_BYTES_PER_MS,
  RECOVERY_MEASURE_MS,
  RECOVERY_SHARE,
} from "../base/limits.ts";
import { Timer, type Timers } from "../io/timers.ts";

/** Between two looks for requests that need not wait any more (ms). */
const LOOK_MS = 100;

/** What is sent in the long run, and at once. */
export interface RecoveryLimits {
  readonly bytesPerMs: number;
  readonly burstBytes: number;
}

const LIMITS: RecoveryLimits = {
  bytesPerMs: RECOVERY_BYTES_PER_MS,
  burstBytes: RECOVERY_BURST_BYTES,
};

export interface RecoveryPaceOptions {
  readonly timers: Timers;
  readonly nowMs: () => number;
  /** Bytes of batches that the shard has appended so far. */
  readonly appendedBytes: () => number;
  /** Others than usual. */
  readonly recovery?: RecoveryLimits;
}

/** A request for entries. */
export interface PacedRequest {
  /** Nobody waits for what the member lacks. */
  isSpare(): boolean;
  go(): void;
}

interface Waiting {
  readonly node: number;
  readonly request: PacedRequest;
}

export class RecoveryPace {
  readonly #options: RecoveryPaceOptions;
  readonly #limits: RecoveryLimits;
  readonly #timer = new Timer(() => this.#goOn());
  /** What may be sent now; negative: less than nothing. */
  #bytes: number;
  #countedMs: number;
  /** What may be sent in a ms, and since when it has been measured what is appended. */
  #bytesPerMs: number;
  #measuredMs: number;
  #measuredBytes = 0;
  /** Nodes for which something was asked since then. */
  readonly #nodes = new Set<number>();
  #lookedMs: number;
  /** Requests that wait, in order, by whom they are for. */
  readonly #waiting = new Map<string, Waiting>();

  constructor(options: RecoveryPaceOptions) {
    this.#options = options;
    this.#limits = options.recovery ?? LIMITS;
    this.#bytes = this.#limits.burstBytes;
    this.#bytesPerMs = this.#limits.bytesPerMs;
    this.#countedMs = options.nowMs();
    this.#measuredMs = this.#countedMs;
    this.#lookedMs = this.#countedMs;
  }

  /**
   * Whether a request has to wait; then its `go` is called later, unless another one for the same member of the group
   * takes its place.
   */
  holdsBack(groupId: number, node: number, request: PacedRequest): boolean {
    this.#nodes.add(node);
    this.#count();
    const isEarly = this.#bytes <= 0 || this.#waiting.size > 0;
    if (!isEarly) return false;
    this.#waiting.set(`${groupId} ${node}`, { node, request });
    this.#schedule();
    return true;
  }

  /** So much was sent to a member that has to wait. */
  sent(bytes: number): void {
    this.#count();
    this.#bytes -= bytes;
  }

  #count(): void {
    const nowMs = this.#options.nowMs();
    this.#measure(nowMs);
    const earned = (nowMs - this.#countedMs) * this.#bytesPerMs;
    this.#bytes = Math.min(this.#limits.burstBytes, this.#bytes + earned);
    this.#countedMs = nowMs;
  }

  #measure(nowMs: number): void {
    const passedMs = nowMs - this.#measuredMs;
    if (passedMs < RECOVERY_MEASURE_MS) return;
    const bytes = this.#options.appendedBytes();
    const appended = (bytes - this.#measuredBytes) / passedMs;
    for (const { node } of this.#waiting.values()) this.#nodes.add(node);
    // Each of them needs all of it to get on.
    const share = RECOVERY_SHARE * Math.max(1, this.#nodes.size);
    this.#nodes.clear();
    this.#bytesPerMs = Math.max(this.#limits.bytesPerMs, share * appended);
    this.#measuredMs = nowMs;
    this.#measuredBytes = bytes;
  }

  #goOn(): void {
    this.#count();
    this.#letNeededGo();
    for (const [key, { request }] of this.#waiting) {
      if (this.#bytes <= 0) break;
      this.#waiting.delete(key);
      request.go();
    }
    if (this.#waiting.size > 0) this.#schedule();
  }

  /** Others may have gone meanwhile, and without a member that waits nothing may commit. */
  #letNeededGo(): void {
    const nowMs = this.#options.nowMs();
    if (nowMs - this.#lookedMs < LOOK_MS) return;
    this.#lookedMs = nowMs;
    for (const [key, { request }] of this.#waiting) {
      if (request.isSpare()) continue;
      this.#waiting.delete(key);
      request.go();
    }
  }

  #schedule(): void {
    const { timers, nowMs } = this.#options;
    const waitMs = Math.max(1, Math.ceil(-this.#bytes / this.#bytesPerMs));
    if (!this.#timer.scheduled) timers.schedule(this.#timer, nowMs() + waitMs);
  }
}
