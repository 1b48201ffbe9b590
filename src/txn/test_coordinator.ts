/**
 * A transaction coordinator over a log in memory, for tests: appends are committed when the test says so.
 *
 * @module
 */

import { ErrorCode } from "../wire/errors.ts";
import { DEFAULT_TRANSACTION_CONFIG, type TransactionConfig } from "./config.ts";
import { type MarkerOrder, type ProducerAnswer, TransactionCoordinator } from "./coordinator.ts";
import type { TopicPartitions, TransactionRecord } from "./records.ts";
import type { TransactionalProducer } from "./rules.ts";

interface Append {
  readonly records: readonly TransactionRecord[];
  readonly done: (errorCode: number) => void;
}

export class TestTransactions {
  readonly config: TransactionConfig;
  coordinator: TransactionCoordinator;
  /** Everything committed. */
  readonly log: TransactionRecord[] = [];
  /** Appended and not committed. */
  appends: Append[] = [];
  /** Commits at once. */
  immediate = true;
  /** Orders that are not carried out. */
  orders: { readonly order: MarkerOrder; readonly done: (isWritten: boolean) => void }[] = [];
  /** The error of appends that come next; 0: none. */
  failWith = 0;
  /** Markers are written at once. */
  marksAtOnce = false;
  nextProducerId = 1_000;
  nowMs = 0;
  wallMs = 1_000_000;

  constructor(config: Partial<TransactionConfig> = {}) {
    this.config = { ...DEFAULT_TRANSACTION_CONFIG, ...config };
    this.coordinator = this.#newCoordinator();
    this.coordinator.loaded(this.nowMs, this.wallMs);
  }

  get time() {
    return { nowMs: this.nowMs, wallMs: this.wallMs };
  }

  /** Another coordinator takes over: it knows what is committed. */
  failOver(): void {
    this.coordinator.unload();
    for (const { done } of this.appends.splice(0)) done(ErrorCode.NOT_COORDINATOR);
    this.orders = [];
    this.coordinator = this.#newCoordinator();
    for (const { key, value } of this.log) this.coordinator.replay(key, value);
    this.coordinator.loaded(this.nowMs, this.wallMs);
  }

  /** Commits what was appended. */
  commit(): void {
    for (const { records, done } of this.appends.splice(0)) this.#commit(records, done);
  }

  /** Writes the markers that are due. */
  mark(isWritten = true): void {
    for (const { done } of this.orders.splice(0)) done(isWritten);
  }

  passTime(ms: number): void {
    this.nowMs += ms;
    this.wallMs += ms;
    this.coordinator.tick(this.time);
  }

  init(
    transactionalId: string,
    known: { producerId: number; producerEpoch: number } = { producerId: -1, producerEpoch: -1 },
    timeoutMs = 60_000,
  ): ProducerAnswer {
    return this.#answer((respond) => {
      const fresh = this.nextProducerId++;
      const producer = { transactionalId, ...known };
      this.coordinator.initProducerId(this.time, producer, timeoutMs, fresh, respond);
    });
  }

  add(producer: TransactionalProducer, partitions: TopicPartitions, clientVersion = 0): number {
    return this.#answer<number>((respond) =>
      this.coordinator.addPartitions(this.time, producer, partitions, clientVersion, respond)
    );
  }

  end(producer: TransactionalProducer, isCommit: boolean, clientVersion = 0): ProducerAnswer {
    return this.#answer((respond) => {
      const fresh = this.nextProducerId++;
      this.coordinator.endTransaction(this.time, producer, isCommit, clientVersion, fresh, respond);
    });
  }

  stateOf(transactionalId: string): number {
    return this.coordinator.find(transactionalId)?.value?.state ?? -1;
  }

  #answer<T>(ask: (respond: (answer: T) => void) => void): T {
    const answers: T[] = [];
    ask((given) => answers.push(given));
    if (answers.length === 0 && !this.immediate) this.commit();
    if (answers.length !== 1) throw new Error(`${answers.length} answers`);
    return answers[0]!;
  }

  #newCoordinator(): TransactionCoordinator {
    return new TransactionCoordinator({
      config: this.config,
      log: {
        append: (records, done) => {
          if (this.failWith !== ErrorCode.NONE) done(this.failWith);
          else if (this.immediate) this.#commit(records, done);
          else this.appends.push({ records, done });
        },
      },
      writeMarkers: (order, done) => {
        if (this.marksAtOnce) done(true);
        else this.orders.push({ order, done });
      },
    });
  }

  #commit(records: readonly TransactionRecord[], done: (errorCode: number) => void): void {
    for (const record of records) {
      this.log.push(record);
      this.coordinator.replay(record.key, record.value);
    }
    done(ErrorCode.NONE);
  }
}

/** Partitions of one topic. */
export function partitionsOf(topic: string, ...indexes: number[]): TopicPartitions {
  return new Map([[topic, new Set(indexes)]]);
}
