/**
 * Timers of one shard: a binary heap of deadlines, driven by the loop.
 *
 * The reactor asks {@linkcode Timers.nextDeadlineMs} before it sleeps and calls {@linkcode Timers.run}
 * each turn; the simulator does the same with virtual time. Times are the clock's monotonic
 * milliseconds.
 *
 * @module
 */

/** A timer; keep it to cancel it, or to schedule it again. */
export class Timer {
  /** When it fires (monotonic ms). */
  deadlineMs = 0;
  /** Place in the heap, -1 when not scheduled. */
  heapIndex = -1;
  readonly onFire: () => void;

  constructor(onFire: () => void) {
    this.onFire = onFire;
  }

  get scheduled(): boolean {
    return this.heapIndex >= 0;
  }
}

export class Timers {
  #heap: Timer[] = [];

  /** The earliest deadline, or Infinity. */
  nextDeadlineMs(): number {
    const first = this.#heap[0];
    return first === undefined ? Infinity : first.deadlineMs;
  }

  /** Sets `timer` to fire at `deadlineMs`; one that is already scheduled is moved. */
  schedule(timer: Timer, deadlineMs: number): void {
    if (timer.heapIndex >= 0) this.cancel(timer);
    timer.deadlineMs = deadlineMs;
    timer.heapIndex = this.#heap.length;
    this.#heap.push(timer);
    this.#siftUp(timer.heapIndex);
  }

  /** Does nothing when the timer is not scheduled. */
  cancel(timer: Timer): void {
    const at = timer.heapIndex;
    if (at < 0) return;
    const last = this.#heap.pop()!;
    timer.heapIndex = -1;
    if (last === timer) return;
    this.#place(last, at);
    this.#siftUp(at);
    this.#siftDown(last.heapIndex);
  }

  /** Fires what is due at `nowMs`; returns how many fired. A timer that is set again from `onFire` waits. */
  run(nowMs: number): number {
    let fired = 0;
    const limit = this.#heap.length;
    while (fired < limit) {
      const first = this.#heap[0];
      if (first === undefined || first.deadlineMs > nowMs) break;
      this.cancel(first);
      fired++;
      first.onFire();
    }
    return fired;
  }

  #place(timer: Timer, at: number): void {
    this.#heap[at] = timer;
    timer.heapIndex = at;
  }

  #siftUp(from: number): void {
    let at = from;
    const timer = this.#heap[at]!;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = this.#heap[parentAt]!;
      if (parent.deadlineMs <= timer.deadlineMs) break;
      this.#place(parent, at);
      at = parentAt;
    }
    this.#place(timer, at);
  }

  #siftDown(from: number): void {
    let at = from;
    const timer = this.#heap[at]!;
    for (;;) {
      let childAt = 2 * at + 1;
      if (childAt >= this.#heap.length) break;
      const right = this.#heap[childAt + 1];
      if (right !== undefined && right.deadlineMs < this.#heap[childAt]!.deadlineMs) childAt++;
      const child = this.#heap[childAt]!;
      if (child.deadlineMs >= timer.deadlineMs) break;
      this.#place(child, at);
      at = childAt;
    }
    this.#place(timer, at);
  }
}
