/**
 * Tasks that have done enough for one turn, and go on in the next one.
 *
 * @module
 */

import { type Task, until } from "../io/task.ts";

export class TurnQueue {
  #waiting: (() => void)[] = [];

  /** Ends in the next turn. */
  *next(): Task<void> {
    yield* until<void>((done) => this.#waiting.push(done));
  }

  /** Resumes those that have waited since the last turn. */
  run(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  /** Nobody waits for another turn. */
  get idle(): boolean {
    return this.#waiting.length === 0;
  }
}
