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

  /** Resumes the one that waits longest. It goes on in the next turns, too, until it ends: others hold little meanwhile. */
  run(): void {
    const resume = this.#waiting.shift();
    if (resume === undefined) return;
    const others = this.#waiting.length;
    resume();
    if (this.#waiting.length > others) this.#waiting.unshift(this.#waiting.pop()!);
  }

  /** Nobody waits for another turn. */
  get idle(): boolean {
    return this.#waiting.length === 0;
  }
}
