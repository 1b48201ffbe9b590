/**
 * Sends record batches to the leaders of one topic's partitions.
 *
 * One batch per partition is in flight; a refusal that may pass (no leader at the moment, ...) is tried
 * again until the command's timeout. With acks=all the batches carry a producer id and sequence, so
 * that a retry never writes twice.
 *
 * @module
 */

import { ErrorCode, errorInfo } from "../../wire/errors.ts";
import { INIT_PRODUCER_ID, PRODUCE } from "../../wire/generated/apis.ts";
import { newInitProducerIdRequest } from "../../wire/generated/init_producer_id_request.ts";
import {
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
  type ProduceRequest,
} from "../../wire/generated/produce_request.ts";
import type { RecordBatchBuilder } from "../../wire/record_batch_builder.ts";
import type { Cluster, TopicPlace } from "./cluster.ts";
import type { Codec } from "./codecs.ts";
import { brokerRefusal } from "./outcome.ts";
import { addPartition, endTransaction, takeTransactionalId } from "./transactions.ts";
import { pause } from "../pause.ts";

/** Highest version that names topics. */
export const PRODUCE_NAMES = 12;
const RETRY_PAUSE_MS = 100;

export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

export interface ProducerOptions {
  /** -1: all. */
  readonly acks: number;
  readonly codec: Codec;
  /** Called when a connection was lost and is made again. */
  readonly onLost?: (what: string) => void;
  /** All batches are one transaction of this id, until {@linkcode Producer.end}. */
  readonly transactionalId?: string | null;
}

/** Asks for an identity; null where the broker gives none. */
export async function initProducerId(cluster: Cluster): Promise<ProducerIdentity | null> {
  if (cluster.any.versionOf(INIT_PRODUCER_ID) < 0) return null;
  return await cluster.retrying(async () => {
    const request = newInitProducerIdRequest({
      transactionalId: null,
      transactionTimeoutMs: 60_000,
      producerId: -1,
      producerEpoch: -1,
    });
    // The last version before two-phase commit.
    const response = await cluster.any.call(INIT_PRODUCER_ID, request, { maxVersion: 5 });
    if (response.errorCode !== 0) throw brokerRefusal("get a producer id", response.errorCode);
    return { producerId: response.producerId, producerEpoch: response.producerEpoch };
  });
}

export class Producer {
  readonly #cluster: Cluster;
  readonly #acks: number;
  readonly #codec: Codec;
  readonly #identity: ProducerIdentity | null;
  readonly #sequences: number[];
  readonly #onLost: (what: string) => void;
  readonly #transactionalId: string | null;
  /** Partitions of the open transaction. */
  readonly #announced = new Set<number>();
  #topic: TopicPlace;

  private constructor(
    cluster: Cluster,
    topic: TopicPlace,
    options: ProducerOptions,
    identity: ProducerIdentity | null,
  ) {
    this.#cluster = cluster;
    this.#topic = topic;
    this.#acks = options.acks;
    this.#codec = options.codec;
    this.#onLost = options.onLost ?? (() => {});
    this.#transactionalId = options.transactionalId ?? null;
    this.#identity = identity;
    this.#sequences = topic.partitions.map(() => 0);
  }

  /** Finds the topic; makes it where the cluster does so for producers. */
  static async open(
    cluster: Cluster,
    topic: string,
    options: ProducerOptions,
  ): Promise<Producer> {
    const place = await cluster.topic(topic, { createMissing: true });
    const { acks, transactionalId = null } = options;
    const identity = transactionalId !== null
      ? await takeTransactionalId(cluster, transactionalId)
      : acks === -1
      ? await initProducerId(cluster)
      : null;
    return new Producer(cluster, place, options, identity);
  }

  get partitionCount(): number {
    return this.#topic.partitions.length;
  }

  /**
   * Builds a batch from `builder`, clears it, and sends it; the caller waits for one before it sends
   * the next one to the same partition.
   *
   * @returns the offset of the first record, -1 with acks=0
   */
  async send(partition: number, builder: RecordBatchBuilder): Promise<number> {
    await this.#announce(partition);
    const sequence = this.#sequences[partition]!;
    this.#sequences[partition] = (sequence + builder.count) % 2 ** 31;
    const records = builder.build({
      compression: this.#codec.id,
      compress: this.#codec.compress,
      isTransactional: this.#transactionalId !== null,
      ...(this.#identity === null ? {} : { ...this.#identity, baseSequence: sequence }),
    });
    builder.clear();
    const request = newProduceRequest({
      transactionalId: this.#transactionalId,
      acks: this.#acks,
      timeoutMs: this.#cluster.timeoutMs,
      topicData: [
        newTopicProduceData({
          name: this.#topic.name,
          partitionData: [newPartitionProduceData({ index: partition, records })],
        }),
      ],
    });
    const attempt = () => this.#attempt(partition, request);
    return await this.#cluster.surviving(attempt, this.#onLost);
  }

  /** Ends the transaction, if batches were sent in one. */
  async end(committed: boolean): Promise<void> {
    if (this.#transactionalId === null || this.#announced.size === 0) return;
    this.#announced.clear();
    await endTransaction(this.#cluster, this.#transactionalId, this.#identity!, committed);
  }

  /** The coordinator knows of a partition before the first batch is there. */
  async #announce(partition: number): Promise<void> {
    if (this.#transactionalId === null || this.#announced.has(partition)) return;
    const place = { topic: this.#topic.name, partition };
    await addPartition(this.#cluster, this.#transactionalId, this.#identity!, place);
    this.#announced.add(partition);
  }

  /** Sends until the leader took it, with the same sequence numbers each time. */
  async #attempt(partition: number, request: ProduceRequest): Promise<number> {
    const deadline = performance.now() + this.#cluster.timeoutMs;
    for (;;) {
      const place = this.#topic.partitions[partition]!;
      let code: number = ErrorCode.LEADER_NOT_AVAILABLE;
      let words: string | null = null;
      if (place.leader >= 0) {
        const connection = await this.#cluster.node(place.leader);
        if (this.#acks === 0) {
          await connection.send(PRODUCE, request, { maxVersion: PRODUCE_NAMES });
          return -1;
        }
        const response = await connection.call(PRODUCE, request, {
          maxVersion: PRODUCE_NAMES,
          timeoutMs: this.#cluster.timeoutMs * 2,
        });
        const answer = response.responses[0]!.partitionResponses[0]!;
        code = answer.errorCode;
        words = answer.errorMessage;
        // A retry of a batch that the first attempt had written after all.
        if (code === 0 || code === ErrorCode.DUPLICATE_SEQUENCE_NUMBER) return answer.baseOffset;
      }
      if (!errorInfo(code).retriable || performance.now() > deadline) {
        throw brokerRefusal(`write to ${this.#topic.name}/${partition}`, code, words);
      }
      await pause(RETRY_PAUSE_MS);
      this.#topic = await this.#cluster.topic(this.#topic.name, { createMissing: true });
    }
  }
}
