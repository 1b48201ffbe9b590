/**
 * Answers by request key, each to be taken once, in the order in which they came: a client may ask the same
 * many thousand times in one request, and merging what shards answered must not take longer for that.
 *
 * @module
 */

interface Queue<Answer> {
  readonly answers: Answer[];
  taken: number;
}

export class AnswerQueues<Answer> {
  readonly #queues = new Map<string, Queue<Answer>>();

  add(key: string, answer: Answer): void {
    const queue = this.#queues.get(key);
    if (queue === undefined) this.#queues.set(key, { answers: [answer], taken: 0 });
    else queue.answers.push(answer);
  }

  /** The next answer for `key`; undefined when there is none left. */
  take(key: string): Answer | undefined {
    const queue = this.#queues.get(key);
    return queue?.answers[queue.taken++];
  }
}
