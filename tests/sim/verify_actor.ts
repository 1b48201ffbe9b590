/**
 * Reads every partition whole, from its log start to its high watermark, after the last recovery.
 *
 * @module
 */

import { ErrorCode } from "../../src/wire/errors.ts";
import { FETCH, LIST_OFFSETS } from "../../src/wire/generated/apis.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import { newListOffsetsRequest } from "../../src/wire/generated/list_offsets_request.ts";
import { Actor, type SimTopic, type Stage } from "./actor.ts";
import { Horizon, type PartitionModel } from "./checker.ts";
import { expect } from "./sim_failure.ts";

const EARLIEST = -2;
const FETCH_VERSION = 16;

export class VerifyActor extends Actor {
  readonly #left: { topic: SimTopic; model: PartitionModel }[] = [];
  #reading = false;
  /** Partitions that answered with KAFKA_STORAGE_ERROR. */
  unreadable = 0;

  constructor(stage: Stage, seed: number) {
    super(stage, seed);
    for (const topic of stage.topics) {
      if (topic.id === "" || topic.deleting) continue;
      for (let index = 0; index < topic.partitions; index++) {
        this.#left.push({ topic, model: stage.checker.partition(topic.id, index) });
      }
    }
  }

  override get idle(): boolean {
    return this.openRequests === 0 && this.#left.length === 0 && !this.#reading;
  }

  protected override act(): void {
    if (this.#reading || this.#left.length === 0) return;
    const { topic, model } = this.#left.pop()!;
    this.#reading = true;
    const partitions = [{
      partitionIndex: model.index,
      currentLeaderEpoch: -1,
      timestamp: EARLIEST,
    }];
    const request = newListOffsetsRequest({
      replicaId: -1,
      topics: [{ name: topic.name, partitions }],
    });
    this.ask(LIST_OFFSETS, 8, request, (response) => {
      const { errorCode, offset } = response.topics[0]!.partitions[0]!;
      if (errorCode === ErrorCode.NONE) {
        this.#read(model, offset, offset, new Horizon());
        return;
      }
      expect(
        errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER ||
          errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        () => `${model.name}: its start is refused with ${errorCode}`,
      );
      this.#reading = false;
      this.#left.unshift({ topic, model });
    });
  }

  protected override forget(): void {}

  #read(model: PartitionModel, start: number, offset: number, horizon: Horizon): void {
    const partitions = [newFetchPartition({
      partition: model.index,
      fetchOffset: offset,
      partitionMaxBytes: 1_000_000,
    })];
    const topics = [newFetchTopic({ topicId: model.topicId, partitions })];
    const request = newFetchRequest({ replicaId: -1, maxWaitMs: 0, maxBytes: 1_000_000, topics });
    this.ask(FETCH, FETCH_VERSION, request, (response) => {
      const answer = response.responses[0]!.partitions[0]!;
      if (answer.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE && model.retention) {
        this.#read(model, answer.logStartOffset, Math.max(0, answer.logStartOffset), horizon);
        return;
      }
      if (answer.errorCode === ErrorCode.KAFKA_STORAGE_ERROR && model.damaged) {
        this.unreadable++;
        this.#reading = false;
        return;
      }
      expect(
        answer.errorCode === ErrorCode.NONE,
        () => `${model.name}: reading at ${offset} is refused with ${answer.errorCode}`,
      );
      horizon.note(model, answer.highWatermark, answer.logStartOffset);
      const records = answer.records ?? new Uint8Array(0);
      const next = this.stage.checker.read(model, offset, records);
      if (next < answer.highWatermark) {
        expect(
          next > offset,
          () => `${model.name}: nothing at ${offset}, below ${answer.highWatermark}`,
        );
        this.#read(model, start, next, horizon);
        return;
      }
      if (!model.damaged) {
        this.stage.checker.complete(model, answer.logStartOffset, answer.highWatermark);
      }
      this.#reading = false;
    });
  }
}
