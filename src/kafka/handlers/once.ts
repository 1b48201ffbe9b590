/**
 * A question that one request asks many times is answered once: what its answers cost in memory does not
 * grow with how often the client repeats itself.
 *
 * @module
 */

/** Returns the result of `make` for a key, made once and shared by all requests. */
export class Once<Answer> {
  readonly #answers = new Map<string, Answer>();

  of(key: string, make: () => Answer): Answer {
    let answer = this.#answers.get(key);
    if (answer === undefined) {
      answer = make();
      this.#answers.set(key, answer);
    }
    return answer;
  }
}
