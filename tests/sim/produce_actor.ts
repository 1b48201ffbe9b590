/**
 * Simulated producers: idempotent ones, that send again what was not acknowledged, with the same
 * sequences, over power cuts; and plain ones, that never send anything twice.
 *
 * An idempotent producer's queue of a partition, oldest first: what was sent stays until it is
 * acknowledged; after a failure everything sent is awaited, then all of it is sent again in order.
 *
 * @module
 */

import { compress } from "../../src/bytes/compression.ts";
import { crc32cOfBytes } from "../../src/bytes/crc32c.ts";
import { setInt64 } from "../../src/bytes/int64.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { INIT_PRODUCER_ID, PRODUCE } from "../../src/wire/generated/apis.ts";
import { newInitProducerIdRequest } from "../../src/wire/generated/init_producer_id_request.ts";
import { newProduceRequest } from "../../src/wire/generated/produce_request.ts";
import type { ProduceResponse } from "../../src/wire/generated/produce_response.ts";
import {
  ATTRIBUTES_OFFSET,
  batchMaxTimestamp,
  Compression,
  MAX_TIMESTAMP_OFFSET,
  setBatchCrc,
} from "../../src/wire/record_batch.ts";
import { type BatchOptions, RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { Actor, type SimTopic, type Stage } from "./actor.ts";
import { BATCH_TIME_MS, type SentBatch } from "./checker.ts";
import { expect } from "./sim_failure.ts";

/** Batches that may be larger than this have a request each: a frame must fit the smallest arena's. */
const SHARED_BYTES_MAX = 100 * 1024;
/** Batches of a producer and a partition that the broker remembers, as in Kafka. */
const REMEMBERED = 5;
/** From here on topics are named by id. */
const TOPIC_IDS_SINCE = 13;
const ZSTD_SINCE = 7;
/** Refusals of a leader without enough followers. */
const LACKING: readonly number[] = [
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  ErrorCode.REQUEST_TIMED_OUT,
];
/** How much older than its records a batch claims to be (ms). */
const LIE_MS = 1e9;

export interface ProducerShape {
  readonly idempotent: boolean;
  readonly batchBytesMax: number;
  readonly pipelining: number;
  readonly odd: boolean;
}

interface Queued {
  readonly batch: SentBatch;
  /** As it is sent; it may say another max timestamp than is stored. */
  readonly bytes: Uint8Array;
  /** How many the lane had before. */
  readonly ordinal: number;
  sent: boolean;
}

interface Lane {
  readonly topic: SimTopic;
  readonly index: number;
  readonly queue: Queued[];
  nextSequence: number;
  /** Batches so far. */
  made: number;
  /** A batch was acknowledged. */
  known: boolean;
  /** The last one that was; null: none, or it is not to be sent again. */
  last: Queued | null;
  /** Something failed: wait for what is in flight, then send again. */
  failed: boolean;
}

export class ProduceActor extends Actor {
  readonly #shape: ProducerShape;
  readonly #lanes = new Map<string, Lane>();
  readonly #version: number;
  readonly #acks: number;
  /** Partitions whose last batch is to be sent once more. */
  readonly #again: Lane[] = [];
  #producerId = -1;
  #askingId = false;

  constructor(stage: Stage, seed: number, shape: ProducerShape) {
    super(stage, seed);
    this.#shape = shape;
    this.#version = 3 + this.random.nextBelow(11);
    // What one disk alone has may be lost with its node: idempotence needs more, as in Kafka.
    const isSafe = shape.idempotent && stage.cluster.nodes.length > 1;
    const acks = isSafe ? [-1] : [-1, -1, 1, ...(shape.idempotent ? [] : [0])];
    this.#acks = this.pick(acks);
  }

  override get idle(): boolean {
    if (this.openRequests > 0 || this.#again.length > 0) return false;
    for (const { queue, topic } of this.#lanes.values()) {
      if (queue.length > 0 && !topic.deleting) return false;
    }
    return true;
  }

  /** Sends the last acknowledged batch of each partition once more: the broker must know it. */
  sendAgain(): void {
    if (!this.#shape.idempotent) return;
    for (const lane of this.#lanes.values()) if (lane.last !== null) this.#again.push(lane);
  }

  protected override act(): void {
    if (this.#shape.idempotent && this.#producerId < 0) {
      this.#askId();
      return;
    }
    const lane = this.openRequests > 0 ? undefined : this.#again.at(-1);
    if (lane !== undefined) {
      const skipped = lane.topic.deleting || this.#isSuspect(lane);
      const leader = this.#leaderOf(lane);
      if (leader < 0 && !skipped) return;
      this.#again.pop();
      if (!skipped) return this.#sendParts([{ lane, queued: lane.last! }], leader);
    }
    if (!this.stage.draining && this.chance(40)) this.#makeBatch();
    if (this.openRequests < this.#shape.pipelining) this.#send();
  }

  protected override forget(): void {
    this.#askingId = false;
    for (const lane of this.#lanes.values()) {
      lane.failed = false;
      if (!this.#shape.idempotent) lane.queue.length = 0;
      for (const queued of lane.queue) queued.sent = false;
    }
  }

  #askId(): void {
    if (this.#askingId) return;
    this.#askingId = true;
    const version = this.random.nextBelow(6);
    const request = newInitProducerIdRequest({
      transactionalId: null,
      transactionTimeoutMs: 1000,
      producerId: -1,
      producerEpoch: -1,
    });
    this.ask(INIT_PRODUCER_ID, version, request, (response) => {
      this.#askingId = false;
      if (response.errorCode === ErrorCode.NONE) this.#producerId = response.producerId;
    });
  }

  #makeBatch(): void {
    const topics = this.stage.topics.filter((topic) => topic.id !== "" && !topic.deleting);
    const usable = topics.filter((topic) => !topic.mortal || this.#version >= TOPIC_IDS_SINCE);
    if (usable.length === 0) return;
    const topic = this.pick(usable);
    const index = this.random.nextBelow(topic.partitions);
    const key = `${topic.id}/${index}`;
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      const queue: Queued[] = [];
      lane = {
        topic,
        index,
        queue,
        nextSequence: 0,
        made: 0,
        known: false,
        last: null,
        failed: false,
      };
      this.#lanes.set(key, lane);
    }
    // Until the broker knows the producer, any sequence begins: so clients wait until there is a leader.
    if (lane.queue.length >= (lane.known || !this.#shape.idempotent ? REMEMBERED : 1)) return;
    // One that waits for its answer must not be forgotten meanwhile: it may be sent again.
    const [oldest] = lane.queue;
    const isFarBehind = oldest !== undefined && lane.made - oldest.ordinal >= REMEMBERED;
    if (isFarBehind && this.#shape.idempotent) return;
    const { checker } = this.stage;
    const bytes = this.#encode(lane, checker.nextNumber);
    const batch = checker.sending(checker.partition(topic.id, index), bytes);
    lane.queue.push({
      batch,
      bytes: this.#odd() ? lying(bytes) : bytes,
      ordinal: lane.made++,
      sent: false,
    });
  }

  #encode(lane: Lane, number: number): Uint8Array {
    const { batchBytesMax, idempotent } = this.#shape;
    const records = 1 + this.random.nextBelow(5);
    const room = this.chance(20) ? batchBytesMax : Math.min(batchBytesMax, 300);
    const builder = new RecordBatchBuilder();
    for (let i = 0; i < records; i++) {
      const value = new Uint8Array(1 + this.random.nextBelow(Math.ceil(room / records)));
      value.fill(number + i);
      builder.add({ key: null, value, timestamp: BATCH_TIME_MS + number });
    }
    const options = this.#odd() ? this.#compression() : {};
    if (!idempotent) return builder.build(options);
    const baseSequence = lane.nextSequence;
    lane.nextSequence += records;
    return builder.build({
      ...options,
      producerId: this.#producerId,
      producerEpoch: 0,
      baseSequence,
    });
  }

  #odd(): boolean {
    return this.#shape.odd && this.chance(30);
  }

  #compression(): BatchOptions {
    // An older version may not carry zstd.
    const codecs = Object.values(Compression).filter((codec) => {
      return codec !== Compression.ZSTD || this.#version >= ZSTD_SINCE;
    });
    const compression = this.pick(codecs);
    return { compression, compress: (bytes) => compress(compression, bytes) };
  }

  #send(): void {
    const lanes: Lane[] = [];
    for (const lane of this.#lanes.values()) {
      if (lane.topic.deleting || (this.stage.draining && this.#isSuspect(lane))) {
        lane.queue.length = 0;
      }
      if (lane.failed || !lane.queue.some(({ sent }) => !sent)) continue;
      if (this.#leaderOf(lane) >= 0) lanes.push(lane);
    }
    if (lanes.length === 0) return;
    const first = this.random.nextBelow(lanes.length);
    const most = 1 + this.random.nextBelow(4);
    const alone = this.#shape.batchBytesMax > SHARED_BYTES_MAX;
    const leader = this.#leaderOf(lanes[first]!);
    const chosen = lanes.slice(first, first + (alone ? 1 : most))
      .filter((lane) => this.#leaderOf(lane) === leader);
    const parts = chosen.map((lane) => {
      const queued = lane.queue.find(({ sent }) => !sent)!;
      queued.sent = true;
      return { lane, queued };
    });
    this.#sendParts(parts, leader);
  }

  #leaderOf({ topic, index }: Lane): number {
    return this.leaderOf(topic.id, index);
  }

  #sendParts(parts: readonly { lane: Lane; queued: Queued }[], leader: number): void {
    const byTopic = new Map<SimTopic, { lane: Lane; queued: Queued }[]>();
    for (const part of parts) {
      const { topic } = part.lane;
      byTopic.set(topic, [...byTopic.get(topic) ?? [], part]);
    }
    const byId = this.#version >= TOPIC_IDS_SINCE;
    const topicData = [...byTopic].map(([topic, ofTopic]) => ({
      name: byId ? "" : topic.name,
      topicId: byId ? topic.id : ZERO_UUID,
      partitionData: ofTopic.map(({ lane, queued }) => ({
        index: lane.index,
        records: queued.bytes,
      })),
    }));
    const request = newProduceRequest({ acks: this.#acks, timeoutMs: 1000, topicData });
    if (this.#acks === 0) {
      this.tell(PRODUCE, this.#version, request, leader);
      for (const { lane, queued } of parts) remove(lane, queued);
      return;
    }
    this.note(() => `sends ${parts.map(({ queued }) => nameOf(queued)).join(", ")}`);
    const ordered = [...byTopic.values()];
    this.ask(
      PRODUCE,
      this.#version,
      request,
      (response) => this.#take(ordered, response),
      leader,
    );
  }

  #take(
    asked: readonly (readonly { lane: Lane; queued: Queued }[])[],
    response: ProduceResponse,
  ): void {
    asked.forEach((ofTopic, at) => {
      const answers = response.responses[at]!.partitionResponses;
      ofTopic.forEach(({ lane, queued }, i) => {
        const { index, errorCode, baseOffset } = answers[i]!;
        expect(index === lane.index, () => "partitions are not in the order of the request");
        this.stage.checker.observe(errorCode);
        if (errorCode === ErrorCode.NONE) {
          this.note(() => `${nameOf(queued)} is at ${baseOffset}`);
          const { checker, cluster } = this.stage;
          if (this.#acks === -1 || cluster.nodes.length === 1) {
            checker.acknowledged(queued.batch, baseOffset);
          } else checker.observe(baseOffset);
          lane.known = true;
          lane.last = queued;
          remove(lane, queued);
        } else {
          this.#refused(lane, queued, errorCode);
        }
      });
    });
  }

  #isSuspect({ topic, index }: Lane): boolean {
    const { cluster } = this.stage;
    return cluster.logOf(cluster.groupOf(topic.id, index))?.suspect === true;
  }

  #refused(lane: Lane, queued: Queued, errorCode: number): void {
    this.note(() => `${nameOf(queued)} is refused with ${errorCode}`);
    this.misled(errorCode);
    // A topic that was just made is not known everywhere at once.
    const gone = errorCode === ErrorCode.UNKNOWN_TOPIC_ID ||
      errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    if (!this.#shape.idempotent) {
      remove(lane, queued);
    } else {
      lane.failed = true;
      queued.sent = false;
    }
    const first = lane.queue[0] === queued;
    const known = lane.last === queued;
    const failing = this.stage.failingDisk || lane.topic.deleting || this.#isSuspect(lane);
    const expected = (errorCode === ErrorCode.KAFKA_STORAGE_ERROR && failing) ||
      (LACKING.includes(errorCode) && this.stage.cluster.nodes.length > 1) ||
      errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER || gone ||
      (errorCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER && !first && !known);
    expect(
      expected,
      () =>
        `${queued.batch.partition.name}: batch ${queued.batch.number} is refused with ${errorCode}`,
    );
    if (lane.queue.every(({ sent }) => !sent)) lane.failed = false;
  }
}

function nameOf({ batch }: Queued): string {
  return `batch ${batch.number} of ${batch.partition.name}`;
}

/** The same batch with a max timestamp that its records do not have. */
function lying(bytes: Uint8Array): Uint8Array {
  const lie = bytes.slice();
  const view = new DataView(lie.buffer);
  setInt64(view, MAX_TIMESTAMP_OFFSET, batchMaxTimestamp(view, 0) - LIE_MS);
  setBatchCrc(view, 0, crc32cOfBytes(lie, ATTRIBUTES_OFFSET, lie.length, 0));
  return lie;
}

function remove(lane: Lane, queued: Queued): void {
  const at = lane.queue.indexOf(queued);
  if (at >= 0) lane.queue.splice(at, 1);
  // Later batches that failed may be sent again now.
  if (lane.queue.every(({ sent }) => !sent)) lane.failed = false;
}
