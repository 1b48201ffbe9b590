/**
 * The bookkeeping of the command `admin`: which operations were done, which the broker declined.
 *
 * @module
 */

import { bounded, say } from "./program.mjs";

const STEP_MS_MAX = 20_000;

export class Steps {
  /** @type {string[]} */
  #done = [];
  /** @type {string[]} */
  #declined = [];

  /** Members of the result line. */
  get result() {
    return { done: this.#done, declined: this.#declined };
  }

  /** A step that every broker can do. @param {string} name @param {() => Promise<unknown>} step */
  async must(name, step) {
    await bounded(step(), STEP_MS_MAX);
    this.#done.push(name);
    say({ event: "step", name });
  }

  /**
   * A step that a broker may decline, by an error or by not having the API.
   *
   * @param {string} name @param {() => Promise<unknown>} step
   */
  async may(name, step) {
    try {
      await bounded(step(), STEP_MS_MAX);
      this.#done.push(name);
    } catch {
      this.#declined.push(name);
    }
  }
}
