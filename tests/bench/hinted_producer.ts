/**
 * A producer of small records to one partition, one after another, which follows the leader by the hints in refusals
 * (KIP-951) and asks for no metadata: what it waits for is the cluster, not a client's timers.
 *
 * @module
 */

import { Connection, ConnectionFailure } from "../../src/cli/client/connection.ts";
import type { Address } from "../../src/cli/flags.ts";
import { errorInfo } from "../../src/wire/errors.ts";
import { PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
  type ProduceRequest,
} from "../../src/wire/generated/produce_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { pause } from "../crash/link.ts";

const PRODUCE_NAMES = 12;
const RETRY_MS = 2;
const ANSWER_MS = 15_000;
const VALUE_SIZE = 100;

/** A request with one small record, for partition 0. */
export function smallRequest(topic: string): ProduceRequest {
  const builder = new RecordBatchBuilder();
  builder.add({ key: null, value: new Uint8Array(VALUE_SIZE), timestamp: 1 });
  const partitionData = [newPartitionProduceData({ index: 0, records: builder.build() })];
  return newProduceRequest({
    acks: -1,
    timeoutMs: ANSWER_MS,
    topicData: [newTopicProduceData({ name: topic, partitionData })],
  });
}

/** Sends until one of the brokers acknowledges a record; when that was (ms). */
export async function firstAcknowledgement(
  brokers: readonly Connection[],
  topic: string,
): Promise<number> {
  const request = smallRequest(topic);
  let found = -1;
  const lateMs = performance.now() + 2 * ANSWER_MS;
  await Promise.all(brokers.map(async (broker) => {
    while (found < 0 && performance.now() < lateMs) {
      const options = { maxVersion: PRODUCE_NAMES, timeoutMs: ANSWER_MS };
      const response = await broker.call(PRODUCE, request, options);
      if (response.responses[0]!.partitionResponses[0]!.errorCode !== 0) await pause(RETRY_MS);
      else if (found < 0) found = performance.now();
    }
  }));
  if (found < 0) throw new Error("Nobody acknowledges a record");
  return found;
}

export class HintedProducer {
  readonly #addresses: readonly Address[];
  readonly #connections = new Map<number, Connection>();
  readonly #request: ProduceRequest;
  #leader: number;
  #stopped = false;
  #running: Promise<void> = Promise.resolve();
  #lastMs = performance.now();
  /** Times between two acknowledgements since the last {@linkcode begin} (ms). */
  #betweenMs: number[] = [];
  acknowledged = 0;
  /** Refusals that a client must not repeat, by name. */
  readonly final: string[] = [];

  /** @param addresses by node id */
  constructor(addresses: readonly Address[], topic: string, leader: number) {
    this.#addresses = addresses;
    this.#request = smallRequest(topic);
    this.#leader = leader;
  }

  /** Begins, with a connection to every broker, as clients have that write to several partitions. */
  async start(): Promise<void> {
    for (const [node, address] of this.#addresses.entries()) {
      this.#connections.set(node, await Connection.open(address, { timeoutMs: ANSWER_MS }));
    }
    this.begin();
    this.#running = this.#run();
  }

  /** Forgets what was measured. */
  begin(): void {
    this.#betweenMs = [];
    this.#lastMs = performance.now();
    this.acknowledged = 0;
  }

  /** Longest time between two acknowledgements since the last {@linkcode begin} (ms). */
  get longestMs(): number {
    return Math.max(0, ...this.#betweenMs);
  }

  /** The usual one: their median (ms). */
  get usualMs(): number {
    return this.#betweenMs.toSorted((a, b) => a - b)[this.#betweenMs.length >> 1] ?? 0;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    for (const connection of this.#connections.values()) connection.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#send();
      } catch (error) {
        if (!(error instanceof ConnectionFailure)) throw error;
        this.#connections.delete(this.#leader);
        this.#next();
        await pause(RETRY_MS);
      }
    }
  }

  async #send(): Promise<void> {
    const connection = await this.#connection();
    const response = await connection.call(PRODUCE, this.#request, {
      maxVersion: PRODUCE_NAMES,
      timeoutMs: ANSWER_MS,
    });
    const { errorCode, currentLeader } = response.responses[0]!.partitionResponses[0]!;
    if (errorCode === 0) {
      const nowMs = performance.now();
      this.#betweenMs.push(nowMs - this.#lastMs);
      this.#lastMs = nowMs;
      this.acknowledged++;
      return;
    }
    const { name, retriable } = errorInfo(errorCode);
    if (!retriable) this.final.push(name);
    const { leaderId } = currentLeader;
    if (leaderId >= 0 && leaderId !== this.#leader) {
      this.#leader = leaderId;
      return;
    }
    await pause(RETRY_MS);
    this.#next();
  }

  /** Nobody says who leads: another broker may know. */
  #next(): void {
    this.#leader = (this.#leader + 1) % this.#addresses.length;
  }

  async #connection(): Promise<Connection> {
    const known = this.#connections.get(this.#leader);
    if (known?.isOpen) return known;
    const address = this.#addresses[this.#leader]!;
    const connection = await Connection.open(address, { timeoutMs: ANSWER_MS });
    this.#connections.set(this.#leader, connection);
    return connection;
  }
}
