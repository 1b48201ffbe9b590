/**
 * The records of `__transaction_state`, byte for byte as Kafka writes them: one per transactional id, whose last
 * one counts.
 *
 * ```text
 * key    int16 version = 0 | transactional id
 * value  int16 version     | producer, its epoch, timeout, state, partitions of the transaction, times
 *                            null: the id is forgotten (a tombstone)
 * ```
 *
 * Values are written in version 1, whose further fields are tagged; both versions are read. A log's contents are input: a
 * record that cannot be read is returned as `skipped` with the reason.
 *
 * @module
 */

import { Cursor } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import {
  decodeTransactionLogKey,
  encodeTransactionLogKey,
  newTransactionLogKey,
} from "../wire/generated/transaction_log_key.ts";
import {
  decodeTransactionLogValue,
  encodeTransactionLogValue,
  newTransactionLogValue,
} from "../wire/generated/transaction_log_value.ts";

const KEY_VERSION = 0;
const VALUE_VERSION = 1;

/** Where a transactional id is; the numbers are Kafka's. */
export const TransactionState = {
  /** It has no transaction yet. */
  EMPTY: 0,
  ONGOING: 1,
  /** Its transaction is committed, and markers are being written. */
  PREPARE_COMMIT: 2,
  PREPARE_ABORT: 3,
  /** All markers of its last transaction are written. */
  COMPLETE_COMMIT: 4,
  COMPLETE_ABORT: 5,
} as const;
export type TransactionState = typeof TransactionState[keyof typeof TransactionState];

/** Partitions by topic. */
export type TopicPartitions = ReadonlyMap<string, ReadonlySet<number>>;

export const NO_PARTITIONS: TopicPartitions = new Map();

/** What is kept of a transactional id. */
export interface TransactionValue {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** The producer id before this one; -1: none. */
  readonly previousProducerId: number;
  /** The producer id when the markers are written; -1: the same. */
  readonly nextProducerId: number;
  readonly timeoutMs: number;
  readonly state: TransactionState;
  readonly partitions: TopicPartitions;
  /** Wall clock (ms since the epoch). */
  readonly updatedMs: number;
  /** When its transaction began; -1: it has none. */
  readonly startedMs: number;
  /** 2: the epoch rises with each transaction (KIP-890). */
  readonly clientVersion: number;
}

/** A record to append; a null value is a tombstone. */
export interface TransactionRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** What a record says. */
export type DecodedTransaction =
  | { readonly kind: "transaction"; readonly id: string; readonly value: TransactionValue | null }
  | { readonly kind: "skipped"; readonly problem: string };

/** The state of a transactional id; a tombstone for `value` null. */
export function transactionRecord(id: string, value: TransactionValue | null): TransactionRecord {
  const out = new Writer();
  out.int16(KEY_VERSION);
  encodeTransactionLogKey(out, KEY_VERSION, newTransactionLogKey({ transactionalId: id }));
  const key = out.copyBytes();
  if (value === null) return { key, value: null };
  const hasNone = value.state === TransactionState.EMPTY;
  const body = new Writer();
  body.int16(VALUE_VERSION);
  encodeTransactionLogValue(
    body,
    VALUE_VERSION,
    newTransactionLogValue({
      producerId: value.producerId,
      previousProducerId: value.previousProducerId,
      nextProducerId: value.nextProducerId,
      producerEpoch: value.producerEpoch,
      transactionTimeoutMs: value.timeoutMs,
      transactionStatus: value.state,
      transactionPartitions: hasNone ? null : [...value.partitions].map(([topic, indexes]) => ({
        topic,
        partitionIds: [...indexes],
      })),
      transactionLastUpdateTimestampMs: value.updatedMs,
      transactionStartTimestampMs: value.startedMs,
      clientTransactionVersion: value.clientVersion,
    }),
  );
  return { key, value: body.copyBytes() };
}

/** Reads a record of the topic; nothing in the result refers to the bytes given. */
export function decodeTransaction(key: Uint8Array, value: Uint8Array | null): DecodedTransaction {
  const cursor = Cursor.of(key);
  const version = cursor.int16();
  if (!cursor.ok()) return skip("the key is too short");
  if (version !== KEY_VERSION) return skip(`records of kind ${version} are not kept here`);
  const { transactionalId: id } = decodeTransactionLogKey(cursor, version);
  if (!cursor.ok()) return skip("the key cannot be read");
  if (value === null) return { kind: "transaction", id, value: null };
  const body = Cursor.of(value);
  const valueVersion = body.int16();
  if (!body.ok() || valueVersion < 0 || valueVersion > VALUE_VERSION) {
    return skip(`the state of transactional id '${id}' has the unknown version ${valueVersion}`);
  }
  const fields = decodeTransactionLogValue(body, valueVersion);
  if (!body.ok()) return skip(`the state of transactional id '${id}' cannot be read`);
  const state = fields.transactionStatus;
  if (!isState(state)) return skip(`transactional id '${id}' is in the unknown state ${state}`);
  if (fields.producerId < 0 || fields.producerEpoch < -1) {
    return skip(`transactional id '${id}' has no producer`);
  }
  const partitions = new Map<string, Set<number>>();
  for (const { topic, partitionIds } of fields.transactionPartitions ?? []) {
    partitions.set(topic, new Set(partitionIds));
  }
  return {
    kind: "transaction",
    id,
    value: {
      producerId: fields.producerId,
      producerEpoch: fields.producerEpoch,
      previousProducerId: fields.previousProducerId,
      nextProducerId: fields.nextProducerId,
      timeoutMs: fields.transactionTimeoutMs,
      state,
      partitions,
      updatedMs: fields.transactionLastUpdateTimestampMs,
      startedMs: fields.transactionStartTimestampMs,
      clientVersion: fields.clientTransactionVersion,
    },
  };
}

function isState(state: number): state is TransactionState {
  return Object.values<number>(TransactionState).includes(state);
}

function skip(problem: string): DecodedTransaction {
  return { kind: "skipped", problem };
}
