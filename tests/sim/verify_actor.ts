/**
 * Reads every partition whole, from its log start to its high watermark, after the last recovery.
 *
 * Where a read is refused because of damage, it continues after it: at the next offset at which a batch is
 * known to stand.
 *
 * @module
 */

import { ErrorCode } from "../../src/wire/errors.ts";
import { FETCH } from "../../src/wire/generated/apis.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import { Actor, type Stage } from "./actor.ts";
import { Horizon, type PartitionModel } from "./checker.ts";
import { expect } from "./sim_failure.ts";
import type { SimNode } from "./sim_node.ts";

const FETCH_VERSION = 16;
/** A fetch at an offset that no log has. */
const BEFORE_START = -1;

/** What was found of one partition so far. */
interface Reading {
  readonly model: PartitionModel;
  readonly horizon: Horizon;
  /** Base offsets of the batches that were read. */
  readonly read: Set<number>;
  readonly unreadable: Set<number>;
}

export class VerifyActor extends Actor {
  readonly #left: PartitionModel[] = [];
  #reading = false;
  /** What it reads at present. */
  #model: PartitionModel | null = null;

  constructor(stage: Stage, seed: number) {
    super(stage, seed);
    for (const topic of stage.topics) {
      if (topic.id === "" || topic.deleting) continue;
      for (let index = 0; index < topic.partitions; index++) {
        const model = stage.checker.partition(topic.id, index);
        model.groupId = stage.cluster.groupOf(topic.id, index);
        this.#left.push(model);
      }
    }
  }

  override get idle(): boolean {
    return this.openRequests === 0 && this.#left.length === 0 && !this.#reading;
  }

  protected override act(): void {
    if (this.#reading || this.#left.length === 0) return;
    const model = this.#left.at(-1)!;
    if (this.leaderOf(model.topicId, model.index) < 0) return;
    this.#reading = true;
    this.#model = model;
    this.#left.pop();
    const reading = { model, horizon: new Horizon(), read: new Set<number>() };
    this.#read({ ...reading, unreadable: new Set() }, BEFORE_START);
  }

  protected override forget(): void {
    if (this.#reading) this.#again(this.#model!);
  }

  #read(reading: Reading, offset: number): void {
    const { model, horizon } = reading;
    const partitions = [newFetchPartition({
      partition: model.index,
      fetchOffset: offset,
      partitionMaxBytes: 1_000_000,
    })];
    const topics = [newFetchTopic({ topicId: model.topicId, partitions })];
    const request = newFetchRequest({ replicaId: -1, maxWaitMs: 0, maxBytes: 1_000_000, topics });
    const leader = this.leaderOf(model.topicId, model.index);
    if (leader < 0) return this.#again(model);
    this.ask(FETCH, FETCH_VERSION, request, (response) => {
      const answer = response.responses[0]!.partitions[0]!;
      this.misled(answer.errorCode);
      switch (answer.errorCode) {
        case ErrorCode.NOT_LEADER_OR_FOLLOWER:
        case ErrorCode.OFFSET_NOT_AVAILABLE:
          this.#again(model);
          return;
        case ErrorCode.OFFSET_OUT_OF_RANGE: {
          const { startOffset } = this.stage.cluster.logOf(model.groupId)!;
          expect(
            offset < startOffset && (offset === BEFORE_START || model.retention),
            () => `${model.name}: ${offset} is out of range`,
          );
          this.#read(reading, startOffset);
          return;
        }
        case ErrorCode.KAFKA_STORAGE_ERROR:
        case ErrorCode.CORRUPT_MESSAGE:
          if (!this.#isMended(answer.errorCode)) this.#skip(reading, offset);
          else this.#again(model);
          return;
      }
      expect(
        answer.errorCode === ErrorCode.NONE,
        () => `${model.name}: reading at ${offset} is refused with ${answer.errorCode}`,
      );
      horizon.note(model, answer.highWatermark, answer.logStartOffset);
      const records = answer.records ?? new Uint8Array(0);
      const next = this.stage.checker.read(
        model,
        offset,
        records,
        reading.read,
        this.#isAccepted ? (from, to) => this.#noteLost(reading, from, to) : null,
      );
      if (next < answer.highWatermark) {
        // Where others hold the memory for records, an answer may be empty; the whole has its time.
        expect(
          next > offset || this.stage.nuisances,
          () => `${model.name}: nothing at ${offset}, below ${answer.highWatermark}`,
        );
        this.#read(reading, next);
        return;
      }
      this.#finish(reading);
    }, leader);
  }

  /** An extent was given up. */
  #noteLost({ model, unreadable }: Reading, from: number, to: number): void {
    this.#checkUnreadable(model, from);
    for (let offset = from; offset < to; offset++) unreadable.add(offset);
  }

  /** Another node has the records, with which the one that was asked is mending its log. */
  #isMended(errorCode: number): boolean {
    const { books } = this.stage;
    const isHurt = books.some(({ any, isFickle }) => any || isFickle);
    return books.length > 1 && isHurt && errorCode === ErrorCode.KAFKA_STORAGE_ERROR;
  }

  get #isAccepted(): boolean {
    const { books } = this.stage;
    return books.length === 1 && books[0]!.accepted;
  }

  #checkUnreadable(model: PartitionModel, offset: number): void {
    const node = this.#holder(model);
    this.stage.books[node.nodeId]!.checkUnreadable(node, model.groupId, offset);
  }

  #holder({ groupId }: PartitionModel): SimNode {
    return this.stage.cluster.holderOf(groupId)!;
  }

  /** The partition has no leader yet: later. */
  #again(model: PartitionModel): void {
    this.#reading = false;
    this.#left.unshift(model);
  }

  /** What stands at `offset` cannot be read: goes on with the next batch that somebody knows of. */
  #skip(reading: Reading, offset: number): void {
    const { model, unreadable } = reading;
    const isAlone = this.stage.cluster.nodes.length === 1;
    expect(isAlone, () => `${model.name} is unreadable at ${offset}, and others have it`);
    const node = this.#holder(model);
    this.#checkUnreadable(model, offset);
    unreadable.add(offset);
    const { highWatermark } = reading.horizon;
    const next = [...model.placed.keys()].filter((at) => at > offset).sort((a, b) => a - b)[0];
    const end = Math.max(highWatermark, node.logOf(model.groupId)!.endOffset);
    if (next === undefined || next >= end) this.#finish(reading);
    else this.#read(reading, next);
  }

  #finish({ model, horizon, read, unreadable }: Reading): void {
    const log = this.stage.cluster.logOf(model.groupId)!;
    const highWatermark = Math.max(horizon.highWatermark, log.durableEndOffset);
    this.stage.checker.complete(
      model,
      log.startOffset,
      highWatermark,
      (offset) => read.has(offset) || unreadable.has(offset),
    );
    this.#reading = false;
  }
}
