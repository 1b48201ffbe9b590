/**
 * A question that one request asks many times is answered once: what its answers cost in memory does not
 * grow with how often the client repeats itself.
 *
 * @module
 */

/** Gives what `make` made for a key, to all who ask for it. */
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
