/**
 * Clients of a few partitions that write down what they asked, when, and what they were told: a history, to be checked for
 * linearizability by `linearizable/`.
 *
 * A producer sends each value once. Whatever it is not told was acknowledged may have been appended: then or later.
 * Readers ask any broker, those that are cut off too.
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import { Connection } from "../../src/cli/client/connection.ts";
import { readBatches } from "../../src/cli/client/records.ts";
import type { Address } from "../../src/cli/flags.ts";
import { FETCH, PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import {
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
} from "../../src/wire/generated/produce_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { pause } from "../crash/link.ts";

const NAMES = 12;
const ANSWER_MS = 1_200;
const PRODUCE_MS = 1_000;
const FETCH_BYTES_MAX = 4_096;
const PAUSE_MS = 15;
const PRODUCERS = 2;
const READERS = 2;

/** As `linearizable/main.go` reads it; times in microseconds. */
export interface Operation {
  readonly kind: "produce" | "fetch" | "end";
  readonly client: number;
  readonly call: number;
  readonly return: number;
  readonly offset: number;
  readonly values: readonly string[];
  readonly known: boolean;
}

export interface PartitionHistory {
  readonly name: string;
  readonly log: readonly string[];
  readonly operations: readonly Operation[];
}

/** The connections of one client, one to each broker. */
class Client {
  readonly id: number;
  readonly #addresses: readonly Address[];
  readonly #connections: (Connection | null)[];

  constructor(id: number, addresses: readonly Address[]) {
    this.id = id;
    this.#addresses = addresses;
    this.#connections = addresses.map(() => null);
  }

  /** Throws when the broker is not there, or silent. */
  async to(node: number): Promise<Connection> {
    const known = this.#connections[node]!;
    if (known?.isOpen) return known;
    const address = this.#addresses[node]!;
    const connection = await Connection.open(address, { timeoutMs: ANSWER_MS });
    this.#connections[node] = connection;
    return connection;
  }

  close(): void {
    for (const connection of this.#connections) connection?.close();
  }
}

export class History {
  readonly #topic: string;
  readonly #addresses: readonly Address[];
  readonly #random: Random;
  readonly #operations: Operation[][];
  readonly #clients: Client[] = [];
  readonly #running: Promise<void>[] = [];
  #stopped = false;
  /** When a value was acknowledged last, by partition (ms). */
  readonly acknowledgedMs: number[];
  acknowledged = 0;
  fetched = 0;

  constructor(topic: string, partitions: number, addresses: readonly Address[], random: Random) {
    this.#topic = topic;
    this.#addresses = addresses;
    this.#random = random;
    this.#operations = Array.from({ length: partitions }, () => []);
    this.acknowledgedMs = Array(partitions).fill(performance.now());
  }

  start(): void {
    for (let partition = 0; partition < this.#operations.length; partition++) {
      for (let i = 0; i < PRODUCERS; i++) this.#running.push(this.#produce(partition));
      for (let i = 0; i < READERS; i++) this.#running.push(this.#read(partition));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
    for (const client of this.#clients) client.close();
  }

  /** What happened in each partition; reads all that they hold, to be called when everything is in order again. */
  async collect(): Promise<PartitionHistory[]> {
    const histories: PartitionHistory[] = [];
    for (const [partition, operations] of this.#operations.entries()) {
      // Nothing from before is committed after it.
      await this.#last(partition);
      const log = await this.#contents(partition);
      histories.push({ name: `${this.#topic}-${partition}`, log, operations });
    }
    for (const client of this.#clients) client.close();
    return histories;
  }

  #client(): Client {
    const client = new Client(this.#clients.length, this.#addresses);
    this.#clients.push(client);
    return client;
  }

  async #produce(partition: number): Promise<void> {
    const client = this.#client();
    let node = this.#anybody();
    for (let n = 0; !this.#stopped; n++) {
      const next = await this.#send(client, partition, node, `${client.id}:${n}`);
      node = next ?? this.#anybody();
      await pause(this.#random.nextBelow(PAUSE_MS));
    }
  }

  /** Sends a value; who leads, as far as it is known then. */
  async #send(
    client: Client,
    partition: number,
    node: number,
    value: string,
  ): Promise<number | null> {
    const builder = new RecordBatchBuilder();
    builder.add({ key: null, value: new TextEncoder().encode(value), timestamp: 1 });
    const partitionData = [newPartitionProduceData({ index: partition, records: builder.build() })];
    const topicData = [newTopicProduceData({ name: this.#topic, partitionData })];
    const request = newProduceRequest({ acks: -1, timeoutMs: PRODUCE_MS, topicData });
    const call = now();
    let offset = -1;
    let next: number | null = null;
    try {
      const connection = await client.to(node);
      const response = await connection.call(PRODUCE, request, {
        maxVersion: NAMES,
        timeoutMs: ANSWER_MS,
      });
      const answer = response.responses[0]!.partitionResponses[0]!;
      if (answer.errorCode === 0) {
        offset = answer.baseOffset;
        next = node;
      } else if (answer.currentLeader.leaderId >= 0) next = answer.currentLeader.leaderId;
    } catch {
      // Nobody knows what became of it.
    }
    this.#note(partition, {
      kind: "produce",
      client: client.id,
      call,
      return: now(),
      offset,
      values: [value],
      known: offset >= 0,
    });
    if (offset >= 0) {
      this.acknowledged++;
      this.acknowledgedMs[partition] = performance.now();
    }
    return next;
  }

  async #read(partition: number): Promise<void> {
    const client = this.#client();
    let node = this.#anybody();
    let offset = 0;
    while (!this.#stopped) {
      // Now and then another broker, or something old.
      if (this.#random.nextBelow(4) === 0) node = this.#anybody();
      if (this.#random.nextBelow(20) === 0) offset = this.#random.nextBelow(offset + 1);
      const call = now();
      const found = await this.#fetch(client, node, partition, offset);
      const known = { client: client.id, call, return: now(), known: true };
      if (found === null) node = this.#anybody();
      else {
        this.#note(partition, { ...known, kind: "end", offset: found.end, values: [] });
        if (found.values.length > 0) {
          this.#note(partition, { ...known, kind: "fetch", offset, values: found.values });
          this.fetched += found.values.length;
          offset += found.values.length;
        }
      }
      await pause(this.#random.nextBelow(2 * PAUSE_MS));
    }
  }

  async #fetch(client: Client, node: number, partition: number, offset: number) {
    const fetchPartition = newFetchPartition({
      partition,
      fetchOffset: offset,
      partitionMaxBytes: FETCH_BYTES_MAX,
    });
    const request = newFetchRequest({
      replicaId: -1,
      maxWaitMs: 20,
      minBytes: 1,
      maxBytes: FETCH_BYTES_MAX,
      sessionEpoch: -1,
      topics: [newFetchTopic({ topic: this.#topic, partitions: [fetchPartition] })],
    });
    try {
      const connection = await client.to(node);
      const response = await connection.call(FETCH, request, {
        maxVersion: NAMES,
        timeoutMs: ANSWER_MS,
      });
      const answer = response.responses[0]!.partitions[0]!;
      if (answer.errorCode !== 0) return null;
      const where = { topic: this.#topic, partition, offset };
      const { records } = readBatches(where, answer.records ?? new Uint8Array(0), []);
      const values = records.map(({ value }) => new TextDecoder().decode(value!));
      return { end: answer.highWatermark, values };
    } catch {
      return null;
    }
  }

  /** Writes a value, however often it takes. */
  async #last(partition: number): Promise<void> {
    const client = this.#client();
    const lateMs = performance.now() + 20_000;
    let node = this.#anybody();
    for (let n = 0; performance.now() < lateMs; n++) {
      const acknowledged = this.acknowledged;
      node = await this.#send(client, partition, node, `last:${client.id}:${n}`) ??
        this.#anybody();
      if (this.acknowledged > acknowledged) return;
      await pause(PAUSE_MS);
    }
    throw new Error(`${this.#topic}-${partition} takes nothing within 20 s`);
  }

  async #contents(partition: number): Promise<string[]> {
    const client = this.#client();
    const values: string[] = [];
    const lateMs = performance.now() + 20_000;
    for (let node = 0; performance.now() < lateMs;) {
      const found = await this.#fetch(client, node, partition, values.length);
      if (found === null) node = this.#anybody();
      else {
        values.push(...found.values);
        if (values.length >= found.end && values.at(-1)?.startsWith("last:")) return values;
      }
    }
    throw new Error(`${this.#topic}-${partition} cannot be read to its end`);
  }

  #note(partition: number, operation: Operation): void {
    this.#operations[partition]!.push(operation);
  }

  #anybody(): number {
    return this.#random.nextBelow(this.#addresses.length);
  }
}

function now(): number {
  return Math.round(performance.now() * 1000);
}
