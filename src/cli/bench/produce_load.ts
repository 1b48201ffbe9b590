/**
 * The writing side of a load run.
 *
 * Closed loop: a fixed number of *lanes*, each of which sends its next request when its last one was answered; the
 * load is what the cluster takes. Open loop (`--rate`): requests are due at fixed times, whether or not
 * earlier ones were answered, and latency counts from when one was due; a stall of the cluster is then
 * counted for every request that it delayed, not for one only.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { Xoshiro128 } from "../../base/prng.ts";
import { errorInfo } from "../../wire/errors.ts";
import { PRODUCE } from "../../wire/generated/apis.ts";
import {
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
} from "../../wire/generated/produce_request.ts";
import { RecordBatchBuilder } from "../../wire/record_batch_builder.ts";
import { ConnectionFailure } from "../client/connection.ts";
import { PRODUCE_NAMES, type ProducerIdentity } from "../client/producer.ts";
import { Failure } from "../failure.ts";
import type { Meter } from "./meter.ts";
import type { Pool } from "./pool.ts";
import { pause } from "../pause.ts";

/** Requests under way at once in an open loop, at most. */
const OUTSTANDING_MAX = 10_000;
const PAUSE_AFTER_ERROR_MS = 50;
/** Closer than this to the next request, the loop spins rather than sleeps. */
const SPIN_MS = 2;

export interface ProduceOptions {
  readonly topic: string;
  readonly acks: number;
  readonly timeoutMs: number;
  readonly connections: number;
  readonly inFlight: number;
  readonly recordSize: number;
  readonly recordsPerBatch: number;
  /** Records per second; 0: a closed loop. */
  readonly rate: number;
  /** One for each connection; empty: not idempotent. */
  readonly identities: readonly ProducerIdentity[];
}

export class ProduceLoad {
  readonly #options: ProduceOptions;
  readonly #pool: Pool;
  readonly #meter: Meter;
  readonly #batch: Uint8Array;
  readonly #payload: Uint8Array;
  /** Next sequence, by connection and partition. */
  readonly #sequences: Int32Array;
  #isStopped = false;

  constructor(options: ProduceOptions, pool: Pool, meter: Meter) {
    this.#options = options;
    this.#pool = pool;
    this.#meter = meter;
    this.#payload = incompressible(options.recordSize);
    this.#batch = this.#build(Date.now(), {});
    this.#sequences = new Int32Array(options.connections * pool.partitionCount);
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Runs until {@linkcode stop}, and until open requests have ended. */
  async run(): Promise<void> {
    if (this.#options.rate > 0) await this.#runOpen();
    else {
      const lanes = this.#options.connections * this.#options.inFlight;
      await Promise.all(Array.from({ length: lanes }, (_, lane) => this.#runLane(lane)));
    }
  }

  /** A lane keeps its connection and, with an identity, its partition: sequences stay in order. */
  async #runLane(lane: number): Promise<void> {
    const isOrdered = this.#options.identities.length > 0;
    let turn = lane;
    while (!this.#isStopped) {
      const partition = turn % this.#pool.partitionCount;
      await this.#sendOne(lane % this.#options.connections, partition, performance.now());
      if (!isOrdered) turn += this.#options.connections * this.#options.inFlight + 1;
    }
  }

  async #runOpen(): Promise<void> {
    const intervalMs = (1000 * this.#options.recordsPerBatch) / this.#options.rate;
    const underWay = new Set<Promise<void>>();
    let dueMs = performance.now();
    let turn = 0;
    while (!this.#isStopped) {
      const nowMs = performance.now();
      while (dueMs <= nowMs && underWay.size < OUTSTANDING_MAX) {
        const sending = this.#sendOne(
          turn % this.#options.connections,
          turn % this.#pool.partitionCount,
          dueMs,
        );
        underWay.add(sending);
        sending.finally(() => underWay.delete(sending));
        dueMs += intervalMs;
        turn++;
      }
      if (dueMs - performance.now() > SPIN_MS) await pause(1);
      else await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(underWay);
  }

  /** Sends one batch; never throws for what a cluster under test may do. */
  async #sendOne(slot: number, partition: number, startMs: number): Promise<void> {
    const { topic, acks, timeoutMs, recordsPerBatch, recordSize, identities } = this.#options;
    try {
      const found = this.#pool.connection(partition, slot);
      const connection = found instanceof Promise ? await found : found;
      const records = identities.length === 0 ? this.#batch : this.#buildNext(slot, partition);
      const request = newProduceRequest({
        acks,
        timeoutMs,
        topicData: [
          newTopicProduceData({
            name: topic,
            partitionData: [newPartitionProduceData({ index: partition, records })],
          }),
        ],
      });
      const options = { maxVersion: PRODUCE_NAMES };
      if (acks === 0) await connection.send(PRODUCE, request, options);
      else {
        const response = await connection.call(PRODUCE, request, options);
        const { errorCode } = response.responses[0]!.partitionResponses[0]!;
        if (errorCode !== 0) {
          this.#meter.fail(errorInfo(errorCode).name);
          await pause(PAUSE_AFTER_ERROR_MS);
          if (errorInfo(errorCode).retriable) await this.#pool.refresh();
          return;
        }
      }
      this.#meter.succeed(
        performance.now() - startMs,
        recordsPerBatch,
        recordsPerBatch * recordSize,
      );
    } catch (error) {
      if (!(error instanceof ConnectionFailure || error instanceof Failure)) throw error;
      this.#meter.fail(error instanceof ConnectionFailure ? error.reason : error.message);
      await pause(PAUSE_AFTER_ERROR_MS);
    }
  }

  #buildNext(slot: number, partition: number): Uint8Array {
    const at = slot * this.#pool.partitionCount + partition;
    const sequence = this.#sequences[at]!;
    this.#sequences[at] = (sequence + this.#options.recordsPerBatch) & 0x7fffffff;
    return this.#build(Date.now(), { ...this.#options.identities[slot]!, baseSequence: sequence });
  }

  #build(timestamp: number, header: Parameters<RecordBatchBuilder["build"]>[0]): Uint8Array {
    const builder = new RecordBatchBuilder();
    for (let left = this.#options.recordsPerBatch; left > 0; left--) {
      builder.add({ key: null, value: this.#payload, timestamp });
    }
    return builder.build(header);
  }
}

/** Bytes that no codec and no disk can make smaller; the same ones in every run. */
export function incompressible(size: number): Uint8Array {
  const random = new Xoshiro128(1883);
  return Uint8Array.from({ length: size }, () => random.nextBelow(256));
}
