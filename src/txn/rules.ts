/**
 * What a transactional id's state says to the requests of its producer.
 *
 * @module
 */

import { ErrorCode } from "../wire/errors.ts";
import {
  NO_PARTITIONS,
  type TopicPartitions,
  TransactionState,
  type TransactionValue,
} from "./records.ts";

/** From this epoch on a producer gets a new id: the last ones are the coordinator's own. */
export const EPOCH_EXHAUSTED = 32_766;
/** No producer id, no epoch, no time. */
export const NONE = -1;

/** A producer as it names itself. */
export interface TransactionalProducer {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** The transaction may be ended now. */
export const ENDS = -1;

/** What an EndTxn meets: {@linkcode ENDS}, NONE when it is done already, or an error. */
export function verdictOf(
  state: TransactionState,
  isCommit: boolean,
  rises: boolean,
  isAgain: boolean,
): number {
  const invalid = ErrorCode.INVALID_TXN_STATE;
  switch (state) {
    case TransactionState.ONGOING:
      return isAgain ? invalid : ENDS;
    case TransactionState.PREPARE_COMMIT:
      return isCommit ? ErrorCode.CONCURRENT_TRANSACTIONS : invalid;
    case TransactionState.PREPARE_ABORT:
      return isCommit ? invalid : ErrorCode.CONCURRENT_TRANSACTIONS;
    case TransactionState.COMPLETE_COMMIT:
      if (isCommit) return !rises || isAgain ? ErrorCode.NONE : invalid;
      return rises && !isAgain ? ENDS : invalid;
    case TransactionState.COMPLETE_ABORT:
      if (isCommit) return invalid;
      return rises && !isAgain ? ENDS : ErrorCode.NONE;
    case TransactionState.EMPTY:
      // A producer that failed before it had written anything gets its next epoch.
      return rises && !isCommit ? ENDS : invalid;
  }
}

/** The EndTxn of a producer whose epoch has risen with that very transaction: its answer was lost. */
export function isRepeatedEnd(value: TransactionValue, producer: TransactionalProducer): boolean {
  if (value.state === TransactionState.ONGOING || value.state === TransactionState.EMPTY) {
    return false;
  }
  if (value.producerId === producer.producerId) {
    return value.producerEpoch === producer.producerEpoch + 1;
  }
  return value.previousProducerId === producer.producerId && value.producerEpoch === 0 &&
    producer.producerEpoch >= EPOCH_EXHAUSTED;
}

/** Whether a producer may ask for an epoch of this transactional id: by its id, or by the one before, which is used up. */
export function isKnownId(
  value: TransactionValue,
  { producerId, producerEpoch }: TransactionalProducer,
): boolean {
  if (value.producerId === producerId) return true;
  return value.previousProducerId === producerId && producerEpoch >= EPOCH_EXHAUSTED;
}

/** The end is decided, and markers are being written. */
export function isEnding(state: TransactionState): boolean {
  return state === TransactionState.PREPARE_COMMIT || state === TransactionState.PREPARE_ABORT;
}

/** A transactional id without a transaction. */
export function emptyValue(
  producerId: number,
  producerEpoch: number,
  timeoutMs: number,
  wallMs: number,
): TransactionValue {
  return {
    producerId,
    producerEpoch,
    previousProducerId: NONE,
    nextProducerId: NONE,
    timeoutMs,
    state: TransactionState.EMPTY,
    partitions: NO_PARTITIONS,
    updatedMs: wallMs,
    startedMs: NONE,
    clientVersion: 0,
  };
}

/** All of some partitions are among others. */
export function holdsAll(partitions: TopicPartitions, wanted: TopicPartitions): boolean {
  for (const [topic, indexes] of wanted) {
    const known = partitions.get(topic);
    for (const index of indexes) if (known?.has(index) !== true) return false;
  }
  return true;
}

/** The partitions of both. */
export function union(a: TopicPartitions, b: TopicPartitions): TopicPartitions {
  const all = new Map<string, ReadonlySet<number>>(a);
  for (const [topic, indexes] of b) all.set(topic, new Set([...all.get(topic) ?? [], ...indexes]));
  return all;
}

/** How many partitions there are. */
export function countOf(partitions: TopicPartitions): number {
  let count = 0;
  for (const indexes of partitions.values()) count += indexes.size;
  return count;
}
