/**
 * One producer's stream to one partition. An idempotent one has up to five requests on the way, and after a lost
 * connection or a passing refusal it sends everything unacknowledged again, in order, under the same sequence
 * numbers. An ordinary one has one request on the way, and sends nothing twice.
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import type { ProducerIdentity } from "../../src/cli/client/producer.ts";
import { PRODUCE } from "../../src/wire/generated/apis.ts";
import { ErrorCode, errorInfo } from "../../src/wire/errors.ts";
import {
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
} from "../../src/wire/generated/produce_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import type { Ledger } from "./ledger.ts";
import { type Link, LinkClosed, pause } from "./link.ts";
import { makePayload } from "./payload.ts";

/** Highest version that names topics. */
const PRODUCE_NAMES = 12;
/** What Kafka promises to keep in order and recognize as a duplicate. */
const IN_FLIGHT_MAX = 5;
const NO_IDENTITY: ProducerIdentity = { producerId: -1, producerEpoch: -1 };
const REFUSED_PAUSE_MS = 50;
const TIMEOUT_MS = 20_000;

interface Batch {
  readonly firstSequence: number;
  readonly count: number;
  readonly bytes: Uint8Array;
  sent: boolean;
  /** A broker that ceased to lead may have it all the same: it, or the next leader, may take what follows. */
  refused: boolean;
}

export interface LaneOptions {
  readonly id: number;
  readonly link: Link;
  /** Null: an ordinary producer, which has one request in flight and sends nothing twice. */
  readonly identity: ProducerIdentity | null;
  readonly ledger: Ledger;
  readonly random: Random;
  /** Records of a batch, and bytes of a record, are drawn up to these. */
  readonly recordsMax: number;
  readonly recordBytesMax: number;
  /** Share of batches that hold one record of `largeBytes` instead, in percent. */
  readonly largePercent: number;
  readonly largeBytes: number;
  /** Longest pause between two batches (ms). */
  readonly pauseMs: number;
}

export class Lane {
  readonly #options: LaneOptions;
  readonly #unacked: Batch[] = [];
  #nextSequence = 0;
  /** The connection on which everything is that is in flight: on another one it could overtake. */
  #generation = 0;
  #open = true;
  #inFlight = 0;
  /** Nothing is sent while set: requests after a refused one must end first. */
  #holding = false;
  /** Nothing will be acknowledged any more: refused for good, or the link is closed. */
  #ended = false;
  #changed = false;
  #wake: () => void = () => {};
  acked = 0;
  resent = 0;
  /** Refusals met, by name. */
  readonly refusals = new Map<string, number>();

  constructor(options: LaneOptions) {
    this.#options = options;
    if (options.identity === null) options.ledger.noteOnce(options.id);
  }

  get ledger(): Ledger {
    return this.#options.ledger;
  }

  get state(): string {
    const sent = this.#unacked.filter((batch) => batch.sent).length;
    const flags = { open: this.#open, holding: this.#holding, ended: this.#ended };
    return `${this.#unacked.length} batches unacknowledged, ${sent} sent, ` +
      `${this.#inFlight} in flight, ${JSON.stringify(flags)}`;
  }

  get idle(): boolean {
    return this.#unacked.length === 0;
  }

  /** No new batches until {@linkcode resume}; what is unacknowledged is still sent until it is. */
  hold(): void {
    this.#open = false;
    this.#noteChange();
  }

  resume(): void {
    this.#open = true;
    this.#noteChange();
  }

  /** Produces until `stopped()` says so and everything is acknowledged, or the link is closed. */
  async run(stopped: () => boolean): Promise<void> {
    const { link, random, pauseMs } = this.#options;
    while (!this.#ended && (!stopped() || !this.idle)) {
      if (stopped()) this.#open = false;
      if (this.#mayMake) this.#unacked.push(this.#make());
      await link.open();
      this.#sendUnsent();
      if (this.#mayMake) {
        await pause(random.nextBelow(pauseMs + 1));
      } else {
        await this.#change();
      }
    }
  }

  get #mayMake(): boolean {
    const most = this.#options.identity === null ? 1 : IN_FLIGHT_MAX;
    return this.#open && this.#unacked.length < most;
  }

  #make(): Batch {
    const { id, random, identity, recordsMax, recordBytesMax, largePercent, largeBytes } =
      this.#options;
    const builder = new RecordBatchBuilder();
    const isLarge = random.nextBelow(100) < largePercent;
    const count = isLarge ? 1 : 1 + random.nextBelow(recordsMax);
    const firstSequence = this.#nextSequence;
    for (let i = 0; i < count; i++) {
      const size = isLarge ? largeBytes : random.nextBelow(recordBytesMax + 1);
      builder.add({ key: null, value: makePayload(id, firstSequence + i, size), timestamp: 1 });
    }
    this.#nextSequence += count;
    const bytes = builder.build(
      identity === null ? NO_IDENTITY : { ...identity, baseSequence: firstSequence },
    );
    return { firstSequence, count, bytes, sent: false, refused: false };
  }

  #sendUnsent(): void {
    const { generation } = this.#options.link;
    if (this.#holding || this.#generation !== generation && this.#inFlight > 0) return;
    this.#generation = generation;
    for (const batch of this.#unacked) {
      if (batch.sent) continue;
      batch.sent = true;
      this.#inFlight++;
      this.#send(batch).then(() => {
        this.#inFlight--;
        this.#noteChange();
      }, (error) => {
        this.#inFlight--;
        this.#ended = true;
        if (!(error instanceof LinkClosed)) this.ledger.complain(`lane: ${error}`);
        this.#noteChange();
      });
    }
  }

  async #send(batch: Batch): Promise<void> {
    const { link, ledger, id } = this.#options;
    const response = await link.call(
      PRODUCE,
      newProduceRequest({
        acks: -1,
        timeoutMs: TIMEOUT_MS,
        topicData: [
          newTopicProduceData({
            name: ledger.topic,
            partitionData: [
              newPartitionProduceData({ index: ledger.partition, records: batch.bytes }),
            ],
          }),
        ],
      }),
      PRODUCE_NAMES,
      this.#generation,
    );
    if (response === null) return await this.#sendAgain();
    const { errorCode, baseOffset } = response.responses[0]!.partitionResponses[0]!;
    if (errorCode === 0) {
      const at = this.#unacked.indexOf(batch);
      const isNext = this.#unacked.slice(0, at).every(({ refused }) => refused);
      if (!isNext) ledger.complain(`lane ${id}: ${batch.firstSequence} acknowledged out of order`);
      this.#unacked.splice(at, 1);
      this.acked += batch.count;
      ledger.acknowledge(id, batch.firstSequence, batch.count, baseOffset);
      return;
    }
    const { name, retriable } = errorInfo(errorCode);
    this.refusals.set(name, (this.refusals.get(name) ?? 0) + 1);
    // Behind a batch that was refused, the next one has a gap before it.
    const isConsequence = errorCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER &&
      (this.#holding || this.#unacked[0] !== batch);
    if (!retriable && !isConsequence) {
      ledger.complain(`lane ${id}: sequence ${batch.firstSequence} refused with ${name}`);
      this.#ended = true;
      return;
    }
    batch.refused = errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER;
    link.elsewhere();
    await this.#sendAgain();
  }

  /** Everything unacknowledged goes out again, once all that is on the way has ended. */
  async #sendAgain(): Promise<void> {
    if (this.#options.identity === null) {
      this.#unacked.length = 0;
      return await pause(REFUSED_PAUSE_MS);
    }
    if (this.#holding) return;
    this.#holding = true;
    // The caller itself is still counted.
    while (this.#inFlight > 1) await pause(1);
    await pause(REFUSED_PAUSE_MS);
    for (const batch of this.#unacked) {
      batch.sent = false;
      batch.refused = false;
    }
    this.resent += this.#unacked.length;
    this.#holding = false;
  }

  #noteChange(): void {
    this.#changed = true;
    this.#wake();
  }

  /** Waits for a change, unless there was one since the last wait. */
  async #change(): Promise<void> {
    if (!this.#changed) await new Promise<void>((resolve) => this.#wake = resolve);
    this.#changed = false;
  }
}
