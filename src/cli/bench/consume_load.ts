/**
 * The reading side of a load run: every connection reads its share of the partitions from their start,
 * over and over, and counts records without looking into them.
 *
 * @module
 */

import { errorInfo } from "../../wire/errors.ts";
import { FETCH } from "../../wire/generated/apis.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../wire/generated/fetch_request.ts";
import type { PartitionData } from "../../wire/generated/fetch_response.ts";
import {
  BATCH_HEADER_SIZE,
  batchEndOffset,
  batchRecordCount,
  batchSize,
} from "../../wire/record_batch.ts";
import { ConnectionFailure } from "../client/connection.ts";
import { FETCH_NAMES } from "../client/fetcher.ts";
import { Failure } from "../failure.ts";
import type { Meter } from "./meter.ts";
import type { Pool } from "./pool.ts";
import { pause } from "../pause.ts";

const WAIT_MS = 100;
const PAUSE_AFTER_ERROR_MS = 50;

export interface ConsumeOptions {
  readonly topic: string;
  readonly connections: number;
  /** Most bytes of one partition in one answer. */
  readonly fetchSize: number;
  /** First offsets, by partition. */
  readonly starts: readonly number[];
}

export class ConsumeLoad {
  readonly #options: ConsumeOptions;
  readonly #pool: Pool;
  readonly #meter: Meter;
  #isStopped = false;

  constructor(options: ConsumeOptions, pool: Pool, meter: Meter) {
    this.#options = options;
    this.#pool = pool;
    this.#meter = meter;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Runs until {@linkcode stop}. */
  async run(): Promise<void> {
    const readers = Math.max(this.#options.connections, this.#pool.partitionCount);
    await Promise.all(Array.from({ length: readers }, (_, reader) => this.#runReader(reader)));
  }

  async #runReader(reader: number): Promise<void> {
    const partition = reader % this.#pool.partitionCount;
    let offset = this.#options.starts[partition]!;
    while (!this.#isStopped) {
      const startMs = performance.now();
      try {
        const answer = await this.#fetch(reader, partition, offset);
        if (answer.errorCode !== 0) {
          this.#meter.fail(errorInfo(answer.errorCode).name);
          await pause(PAUSE_AFTER_ERROR_MS);
          if (errorInfo(answer.errorCode).retriable) await this.#pool.refresh();
          continue;
        }
        const bytes = answer.records ?? new Uint8Array(0);
        const { records, nextOffset } = countRecords(bytes, offset);
        if (records > 0) this.#meter.succeed(performance.now() - startMs, records, bytes.length);
        const isAtEnd = nextOffset >= answer.highWatermark;
        offset = isAtEnd ? this.#options.starts[partition]! : nextOffset;
        // An empty partition: do not spin on it.
        if (isAtEnd && records === 0) await pause(WAIT_MS);
      } catch (error) {
        if (!(error instanceof ConnectionFailure || error instanceof Failure)) throw error;
        this.#meter.fail(error instanceof ConnectionFailure ? error.reason : error.message);
        await pause(PAUSE_AFTER_ERROR_MS);
      }
    }
  }

  async #fetch(slot: number, partition: number, offset: number): Promise<PartitionData> {
    const connection = await this.#pool.connection(partition, slot);
    const request = newFetchRequest({
      replicaId: -1,
      maxWaitMs: WAIT_MS,
      minBytes: 1,
      maxBytes: this.#options.fetchSize,
      sessionEpoch: -1,
      topics: [
        newFetchTopic({
          topic: this.#options.topic,
          partitions: [
            newFetchPartition({
              partition,
              fetchOffset: offset,
              partitionMaxBytes: this.#options.fetchSize,
            }),
          ],
        }),
      ],
    });
    const response = await connection.call(FETCH, request, { maxVersion: FETCH_NAMES });
    return response.responses[0]!.partitions[0]!;
  }
}

/** Counts the records of whole batches by their headers. */
export function countRecords(
  bytes: Uint8Array,
  from: number,
): { readonly records: number; readonly nextOffset: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let records = 0;
  let nextOffset = from;
  while (bytes.length - at >= BATCH_HEADER_SIZE) {
    const size = batchSize(view, at);
    if (size < BATCH_HEADER_SIZE || size > bytes.length - at) break;
    records += batchRecordCount(view, at);
    nextOffset = batchEndOffset(view, at);
    at += size;
  }
  return { records, nextOffset };
}
