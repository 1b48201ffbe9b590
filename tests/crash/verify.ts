/**
 * Reads partitions from a running broker and holds them against their ledgers.
 *
 * @module
 */

import { readBatches } from "../../src/cli/client/records.ts";
import { FETCH, LIST_OFFSETS } from "../../src/wire/generated/apis.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import type { FetchResponse } from "../../src/wire/generated/fetch_response.ts";
import {
  newListOffsetsPartition,
  newListOffsetsRequest,
  newListOffsetsTopic,
} from "../../src/wire/generated/list_offsets_request.ts";
import { errorInfo } from "../../src/wire/errors.ts";
import { type Ledger, LedgerCheck } from "./ledger.ts";
import { type Link, pause } from "./link.ts";
import { readPayload } from "./payload.ts";

const FETCH_NAMES = 12;
const LIST_OFFSETS_VERSION = 7;
const PARTITION_BYTES_MAX = 2 ** 20;
const RETRY_MS = 20;
const PATIENCE_MS = 30_000;
const LATEST = -1;
const EARLIEST = -2;

/** Where an earlier verification of a partition ended. */
export interface Verified {
  readonly offset: number;
  readonly nextByLane: ReadonlyMap<number, number>;
  /** Of what was read ({@linkcode LedgerCheck.digest}). */
  readonly digest: number;
}

export const UNVERIFIED: Verified = { offset: 0, nextByLane: new Map(), digest: 0 };

/** Start and end of a partition; retries what may pass. */
export async function range(
  link: Link,
  ledger: Ledger,
): Promise<{ readonly start: number; readonly end: number }> {
  const start = await offsetAt(link, ledger, EARLIEST);
  const end = await offsetAt(link, ledger, LATEST);
  return { start, end };
}

async function offsetAt(link: Link, ledger: Ledger, timestamp: number): Promise<number> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const response = await link.call(
      LIST_OFFSETS,
      newListOffsetsRequest({
        replicaId: -1,
        topics: [
          newListOffsetsTopic({
            name: ledger.topic,
            partitions: [
              newListOffsetsPartition({ partitionIndex: ledger.partition, timestamp }),
            ],
          }),
        ],
      }),
      LIST_OFFSETS_VERSION,
    );
    if (response !== null) {
      const { errorCode, offset } = response.topics[0]!.partitions[0]!;
      if (errorCode === 0) return offset;
      const { name, retriable } = errorInfo(errorCode);
      link.elsewhere();
      if (!retriable || performance.now() > deadlineMs) {
        throw new Error(`Cannot list offsets of ${ledger.name}: ${name}`);
      }
    }
    await pause(RETRY_MS);
  }
}

/**
 * Reads a partition from where `verified` ends (or from its start) to its end, and says where that is.
 * Nobody may write to it meanwhile; what goes wrong is a complaint of the ledger.
 */
export async function verifyPartition(
  link: Link,
  ledger: Ledger,
  verified: Verified,
): Promise<Verified> {
  const { start, end } = await range(link, ledger);
  ledger.noteStart(start, "verification");
  ledger.noteHighWatermark(end, "verification");
  const goesOn = verified.offset >= start;
  let offset = goesOn ? verified.offset : start;
  const check = new LedgerCheck(ledger, offset, goesOn ? verified.nextByLane : new Map());
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (offset < end) {
    const records = await fetchRecords(link, ledger, offset);
    if (records === null) {
      if (performance.now() > deadlineMs) {
        ledger.complain(`cannot be read at ${offset} of [${start}, ${end})`);
        break;
      }
      await pause(RETRY_MS);
      continue;
    }
    for (const record of records) {
      check.record(record.offset, record.value === null ? null : readPayload(record.value));
      offset = record.offset + 1;
    }
  }
  return { offset, nextByLane: check.end(), digest: check.digest };
}

/** The error code of a fetch at `offset`. */
export async function errorAt(link: Link, ledger: Ledger, offset: number): Promise<number> {
  const response = await fetchAt(link, ledger, offset);
  if (response === null) throw new Error("The broker went away");
  return response.errorCode || response.responses[0]!.partitions[0]!.errorCode;
}

/** What a fetch at `offset` brings; null when it brought nothing. */
export async function fetchRecords(link: Link, ledger: Ledger, offset: number) {
  const { topic, partition } = ledger;
  const response = await fetchAt(link, ledger, offset);
  if (response === null) return null;
  const answer = response.responses[0]?.partitions[0];
  if (response.errorCode !== 0 || answer === undefined) return null;
  if (answer.errorCode !== 0) {
    const { name, retriable } = errorInfo(answer.errorCode);
    if (retriable) {
      link.elsewhere();
      return null;
    }
    throw new Error(`Cannot read ${ledger.name} at ${offset}: ${name}`);
  }
  const where = { topic, partition, offset };
  const { records } = readBatches(where, answer.records ?? new Uint8Array(0), []);
  return records.length === 0 ? null : records;
}

async function fetchAt(
  link: Link,
  ledger: Ledger,
  offset: number,
): Promise<FetchResponse | null> {
  const { topic, partition } = ledger;
  return await link.call(
    FETCH,
    newFetchRequest({
      replicaId: -1,
      maxWaitMs: 100,
      minBytes: 1,
      maxBytes: PARTITION_BYTES_MAX,
      sessionEpoch: -1,
      topics: [
        newFetchTopic({
          topic,
          partitions: [
            newFetchPartition({
              partition,
              fetchOffset: offset,
              partitionMaxBytes: PARTITION_BYTES_MAX,
            }),
          ],
        }),
      ],
    }),
    FETCH_NAMES,
  );
}
