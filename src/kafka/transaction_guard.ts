/**
 * Whether a partition may take the first batch of a producer's transaction: only when the transaction's coordinator knows
 * that the partition belongs to it, so that it gets a marker (KIP-890). A batch that was on its way for long would begin
 * a transaction that nobody ends otherwise.
 *
 * ```
 *   first batch ──> not asked yet: the coordinator is asked, the batch waits (APPEND_BUSY)
 *               ──> the answer: admitted once, or refused
 *   a marker    ──> what was answered does not count any more
 * ```
 *
 * @module
 */

import { type Task, until } from "../io/task.ts";
import { ErrorCode } from "../wire/errors.ts";
import { APPEND_BUSY } from "./produce_append.ts";

/** Producers' first batches that wait for answers, or for room after them, on one shard. */
export const TRANSACTION_CHECKS_MAX = 10_000;

/** What the coordinator of a transaction is asked. */
export interface TransactionQuestion {
  readonly transactionalId: string;
  readonly groupId: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  /** The partition is added to the transaction if need be; otherwise it must be in it. */
  readonly adds: boolean;
}

/** Asks the coordinator, on whatever node; `done` gets NONE or what to refuse the batch with, at the latest after a while. */
export type AskCoordinator = (
  question: TransactionQuestion,
  done: (errorCode: ErrorCode) => void,
) => void;

interface Check {
  readonly producerEpoch: number;
  /** The partition's leader epoch: another leadership asks anew. */
  readonly term: number;
  /** APPEND_BUSY while the coordinator is asked. */
  answer: number;
  /** Called when it has answered. */
  readonly waiting: (() => void)[];
}

export class TransactionGuard {
  readonly #ask: AskCoordinator;
  readonly #onAnswer: () => void;
  /** By group, then by producer id. */
  readonly #checks = new Map<number, Map<number, Check>>();
  #count = 0;

  /** @param onAnswer batches that wait may ask again */
  constructor(ask: AskCoordinator, onAnswer: () => void) {
    this.#ask = ask;
    this.#onAnswer = onAnswer;
  }

  /** NONE: the batch may be appended now; {@linkcode APPEND_BUSY}: ask again after an answer; else the refusal. */
  check(question: TransactionQuestion, term: number): number {
    const { groupId, producerId, producerEpoch } = question;
    let known = this.#checks.get(groupId)?.get(producerId);
    if (known !== undefined && (known.producerEpoch !== producerEpoch || known.term !== term)) {
      // Whoever asked gets the answer first: a producer and its zombie would take each other's place without end.
      if (known.answer === APPEND_BUSY && known.term === term) return APPEND_BUSY;
      this.forget(groupId, producerId);
      known = undefined;
    }
    if (known !== undefined) {
      const { answer } = known;
      // A refusal is told once; the next batch asks again.
      if (answer !== APPEND_BUSY && answer !== ErrorCode.NONE) this.forget(groupId, producerId);
      return answer;
    }
    if (this.#count >= TRANSACTION_CHECKS_MAX) {
      this.#forgetAnswered();
      if (this.#count >= TRANSACTION_CHECKS_MAX) return ErrorCode.NOT_ENOUGH_REPLICAS;
    }
    const check: Check = { producerEpoch, term, answer: APPEND_BUSY, waiting: [] };
    let ofGroup = this.#checks.get(groupId);
    if (ofGroup === undefined) this.#checks.set(groupId, ofGroup = new Map());
    ofGroup.set(producerId, check);
    this.#count++;
    this.#ask(question, (errorCode) => {
      check.answer = errorCode;
      for (const wake of check.waiting.splice(0)) wake();
      this.#onAnswer();
    });
    return APPEND_BUSY;
  }

  /** The same for records of this broker's own, which are appended in the turn of the answer. */
  *admit(question: TransactionQuestion, term: number): Task<ErrorCode> {
    const { groupId, producerId } = question;
    for (;;) {
      const answer = this.check(question, term);
      if (answer === ErrorCode.NONE) this.forget(groupId, producerId);
      if (answer !== APPEND_BUSY) return answer as ErrorCode;
      const check = this.#checks.get(groupId)!.get(producerId)!;
      if (check.answer === APPEND_BUSY) yield* until<void>((done) => check.waiting.push(done));
    }
  }

  /** The batch was appended, or a marker was: what the coordinator said counts no more. */
  forget(groupId: number, producerId: number): void {
    const ofGroup = this.#checks.get(groupId);
    if (ofGroup === undefined || !ofGroup.delete(producerId)) return;
    this.#count--;
    if (ofGroup.size === 0) this.#checks.delete(groupId);
  }

  /** Those whose batches did not come again. */
  #forgetAnswered(): void {
    for (const [groupId, ofGroup] of [...this.#checks]) {
      for (const [producerId, { answer }] of [...ofGroup]) {
        if (answer !== APPEND_BUSY) this.forget(groupId, producerId);
      }
    }
  }
}
