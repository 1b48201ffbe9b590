/**
 * Simulated consumers: with sessions and without, from the beginning, from anywhere, by time; greedy ones
 * and ones that take a few bytes at a time. Everything read goes to the checker.
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
import type { FetchResponse } from "../../src/wire/generated/fetch_response.ts";
import {
  newListOffsetsPartition,
  newListOffsetsRequest,
} from "../../src/wire/generated/list_offsets_request.ts";
import { batchSize } from "../../src/wire/record_batch.ts";
import { Actor, type SimTopic, type Stage } from "./actor.ts";
import { BATCH_TIME_MS, Horizon, type PartitionModel } from "./checker.ts";
import { expect } from "./sim_failure.ts";

const TOPIC_IDS_SINCE = 13;
const SESSIONS_SINCE = 7;
const EPOCHS_SINCE = 9;
const LIST_EPOCHS_SINCE = 4;
const EARLIEST = -2;

/** Refusals of a node that does not lead in the epoch that the client knows; or does not lead, or not know what is committed. */
const EPOCHS: readonly number[] = [ErrorCode.FENCED_LEADER_EPOCH, ErrorCode.UNKNOWN_LEADER_EPOCH];
const ELSEWHERE: readonly number[] = [
  ...EPOCHS,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.OFFSET_NOT_AVAILABLE,
];

interface Position {
  readonly topic: SimTopic;
  readonly model: PartitionModel;
  readonly horizon: Horizon;
  /** Where to read on; -1: asks first. */
  offset: number;
  /** What the session holds; -1: not there. */
  sessionOffset: number;
  asking: boolean;
  /** Nobody told it that there is such an offset. */
  guessed: boolean;
  readonly from: "start" | "anywhere" | "time";
}

export class ConsumeActor extends Actor {
  readonly #positions = new Map<string, Position>();
  readonly #version: number;
  readonly #wantsSession: boolean;
  readonly #maxBytes: number;
  readonly #partitionMaxBytes: number;
  readonly #maxWaitMs: number;
  readonly #committedOnly: boolean;
  #sessionId = 0;
  #sessionEpoch = 0;
  /** The node that has the session; -1: any. */
  #sessionNode = -1;
  #fetching = false;

  constructor(stage: Stage, seed: number) {
    super(stage, seed);
    this.#version = 4 + this.random.nextBelow(15);
    this.#wantsSession = this.#version >= SESSIONS_SINCE && this.chance(60);
    this.#maxBytes = this.pick([100, 5000, 1_000_000, 2147483647]);
    this.#partitionMaxBytes = this.pick([1, 100, 5000, 1_000_000, 2147483647]);
    this.#maxWaitMs = this.pick([0, 5, 100, 500]);
    this.#committedOnly = this.chance(30);
  }

  override get idle(): boolean {
    return this.openRequests === 0;
  }

  protected override act(): void {
    if (this.stage.draining) return;
    if (this.chance(10)) this.#follow();
    for (const position of this.#positions.values()) {
      if (position.offset < 0 && !position.asking && !this.#fetching) this.#askOffset(position);
    }
    if (!this.#fetching && this.openRequests === 0) this.#fetch();
  }

  protected override forget(): void {
    this.#fetching = false;
    this.#dropSession();
    for (const position of this.#positions.values()) position.asking = false;
  }

  /** Takes up a partition. */
  #follow(): void {
    const byId = this.#version >= TOPIC_IDS_SINCE;
    const topics = this.stage.topics.filter((topic) => topic.id !== "" && (byId || !topic.mortal));
    if (topics.length === 0) return;
    const topic = this.pick(topics);
    const index = this.random.nextBelow(topic.partitions);
    const key = `${topic.id}/${index}`;
    if (this.#positions.has(key) || topic.deleting) return;
    this.#positions.set(key, {
      topic,
      model: this.stage.checker.partition(topic.id, index),
      horizon: new Horizon(),
      offset: -1,
      sessionOffset: -1,
      asking: false,
      guessed: false,
      from: this.pick(["start", "anywhere", "time"]),
    });
  }

  #askOffset(position: Position): void {
    const { topic, model, from } = position;
    if (topic.mortal || from === "anywhere") {
      const end = Math.max(1, model.highWatermark);
      position.offset = from === "anywhere" ? this.random.nextBelow(end) : 0;
      position.guessed = true;
      return;
    }
    const leader = this.leaderOf(topic.id, model.index);
    if (leader < 0) return;
    const { checker } = this.stage;
    const batch = checker.nextNumber === 0
      ? undefined
      : checker.batch(this.random.nextBelow(checker.nextNumber));
    const known = batch !== undefined && batch.partition === model && batch.acknowledged;
    const timestamp = from === "time" && known ? BATCH_TIME_MS + batch.number : EARLIEST;
    position.asking = true;
    const version = 1 + this.random.nextBelow(11);
    const currentLeaderEpoch = version >= LIST_EPOCHS_SINCE ? this.#epochOf(position) : -1;
    const partitions = [
      newListOffsetsPartition({ partitionIndex: model.index, timestamp, currentLeaderEpoch }),
    ];
    const request = newListOffsetsRequest({
      replicaId: -1,
      topics: [{ name: topic.name, partitions }],
    });
    this.ask(LIST_OFFSETS, version, request, (response) => {
      position.asking = false;
      const answer = response.topics[0]!.partitions[0]!;
      checker.observe(answer.errorCode);
      this.misled(answer.errorCode);
      if (answer.errorCode !== ErrorCode.NONE) return;
      checker.observe(answer.offset);
      position.offset = Math.max(0, answer.offset);
      if (timestamp === EARLIEST || model.retention || model.startMax > 0) return;
      if (batch!.offset >= model.lossFrom) return;
      expect(
        answer.offset >= 0 && answer.offset <= batch!.offset && answer.timestamp >= timestamp,
        () =>
          `${model.name}: time of batch ${batch!.number} (at ${batch!.offset}) is ${answer.offset}`,
      );
    }, leader);
  }

  #fetch(): void {
    const [positions, leader] = this.#fetchable();
    if (positions.length === 0) return;
    const byId = this.#version >= TOPIC_IDS_SINCE;
    const incremental = this.#sessionId !== 0;
    const asked = incremental
      ? positions.filter(({ offset, sessionOffset }) => offset !== sessionOffset)
      : positions;
    const topics = asked.map((position) => {
      const { topic, model, offset } = position;
      return newFetchTopic({
        topic: byId ? "" : topic.name,
        topicId: byId ? topic.id : "0".repeat(32),
        partitions: [newFetchPartition({
          partition: model.index,
          fetchOffset: offset,
          partitionMaxBytes: this.#partitionMaxBytes,
          currentLeaderEpoch: this.#version >= EPOCHS_SINCE ? this.#epochOf(position) : -1,
        })],
      });
    });
    for (const position of asked) position.sessionOffset = position.offset;
    const request = newFetchRequest({
      replicaId: -1,
      maxWaitMs: this.#maxWaitMs,
      minBytes: this.pick([0, 1, 10_000]),
      maxBytes: this.#maxBytes,
      isolationLevel: this.#committedOnly ? 1 : 0,
      sessionId: this.#version >= SESSIONS_SINCE ? this.#sessionId : 0,
      sessionEpoch: this.#wantsSession ? this.#sessionEpoch : -1,
      topics,
    });
    this.#fetching = true;
    this.note(() => {
      const wants = asked.map(({ model, offset }) => `${model.name} at ${offset}`);
      return `fetches ${wants.join(", ")} (session ${this.#sessionId}/${this.#sessionEpoch})`;
    });
    if (this.#wantsSession) this.#sessionNode = leader;
    this.ask(FETCH, this.#version, request, (response) => {
      this.#fetching = false;
      this.#take(response, byId, leader);
    }, leader);
  }

  /** Positions that one node leads, and which: the one of the session, or that of any position. */
  #fetchable(): [Position[], number] {
    for (const position of this.#positions.values()) {
      const { topic, model } = position;
      // Nobody leads what was deleted.
      if (!topic.deleting || this.leaderOf(topic.id, model.index) >= 0) continue;
      this.#positions.delete(keyOf(position));
      this.#dropSession();
    }
    let leader = this.#sessionNode;
    const found: Position[] = [];
    for (const position of this.#positions.values()) {
      if (position.offset < 0) continue;
      const nodeId = this.leaderOf(position.topic.id, position.model.index);
      if (nodeId < 0) continue;
      if (leader < 0) leader = nodeId;
      if (nodeId === leader) found.push(position);
    }
    // A session gives what it holds, from where it was told last: what is read elsewhere must not be in it.
    const isLeft = (position: Position): boolean =>
      position.sessionOffset >= 0 && !found.includes(position);
    if ([...this.#positions.values()].some(isLeft)) this.#dropSession();
    // The next fetch is of another node's partitions.
    if (this.chance(20) || found.length === 0) this.#otherNode(leader);
    return [found, leader];
  }

  /** A session holds to its node, until others lead something that is read here. */
  #otherNode(leader: number): void {
    if (!this.#isCluster) return;
    for (const { topic, model } of this.#positions.values()) {
      const nodeId = this.leaderOf(topic.id, model.index);
      if (nodeId < 0 || nodeId === leader) continue;
      this.#dropSession();
      this.#sessionNode = nodeId;
      return;
    }
  }

  #take(response: FetchResponse, byId: boolean, leader: number): void {
    const { checker } = this.stage;
    checker.observe(response.errorCode);
    if (response.errorCode !== ErrorCode.NONE) {
      this.#dropSession();
      return;
    }
    if (this.#wantsSession) {
      this.#sessionId = response.sessionId;
      this.#sessionEpoch = response.sessionId === 0 ? 0 : this.#sessionEpoch + 1;
    }
    let total = 0;
    let batches = 0;
    for (const { topic, topicId, partitions } of response.responses) {
      const id = byId ? topicId : this.stage.topics.find(({ name }) => name === topic)!.id;
      for (const partition of partitions) {
        const position = this.#positions.get(`${id}/${partition.partitionIndex}`)!;
        expect(position !== undefined, () => `an answer about ${id}, which was not asked for`);
        checker.observe(partition.errorCode);
        if (partition.errorCode !== ErrorCode.NONE) {
          this.#refused(position, partition.errorCode, leader);
          continue;
        }
        const { model, horizon } = position;
        horizon.note(model, partition.highWatermark, partition.logStartOffset);
        const records = partition.records ?? new Uint8Array(0);
        total += records.length;
        batches += countBatches(records);
        const from = position.offset;
        position.offset = checker.read(model, from, records);
        position.guessed = false;
        this.note(() => `${model.name}: read ${from} to ${position.offset}`);
        expect(
          position.offset <= partition.highWatermark || records.length === 0,
          () => `${model.name}: read up to ${position.offset}, beyond ${partition.highWatermark}`,
        );
      }
    }
    expect(total <= this.#maxBytes || batches === 1, () => `${total} bytes in one answer`);
  }

  #refused(position: Position, errorCode: number, leader: number): void {
    const { model, topic } = position;
    switch (errorCode) {
      case ErrorCode.OFFSET_OUT_OF_RANGE: {
        const allowed = model.retention || position.offset < model.startMax ||
          position.offset > model.lossFrom || (position.guessed && this.#isCluster);
        expect(allowed, () => `${model.name}: ${position.offset} is out of range`);
        position.offset = -1;
        if (position.from === "anywhere" || topic.mortal) this.#positions.delete(keyOf(position));
        this.#dropSession();
        return;
      }
      case ErrorCode.UNKNOWN_TOPIC_ID:
      case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
        // A topic that was just made is not known everywhere at once.
        this.#positions.delete(keyOf(position));
        this.#dropSession();
        return;
      case ErrorCode.KAFKA_STORAGE_ERROR:
      case ErrorCode.CORRUPT_MESSAGE:
        // Others have it.
        expect(
          errorCode === ErrorCode.KAFKA_STORAGE_ERROR || !this.#isCluster,
          () => `${model.name}: ${position.offset} is lost, and others have it`,
        );
        this.#checkUnreadable(position, leader);
        this.#positions.delete(keyOf(position));
        this.#dropSession();
        return;
      default:
        this.misled(errorCode);
        // A session would go on in the epoch in which it was told of the partition.
        if (EPOCHS.includes(errorCode)) this.#dropSession();
        expect(
          ELSEWHERE.includes(errorCode),
          () => `${model.name}: a fetch at ${position.offset} is refused with ${errorCode}`,
        );
    }
  }

  get #isCluster(): boolean {
    return this.stage.cluster.nodes.length > 1;
  }

  #epochOf({ topic, model }: Position): number {
    return this.epochOf(topic.id, model.index);
  }

  #checkUnreadable({ model, offset }: Position, leader: number): void {
    const { cluster, books } = this.stage;
    model.groupId = cluster.groupOf(model.topicId, model.index);
    books[leader]!.checkUnreadable(cluster.nodes[leader]!, model.groupId, offset);
  }

  #dropSession(): void {
    this.#sessionId = 0;
    this.#sessionEpoch = 0;
    this.#sessionNode = -1;
    for (const position of this.#positions.values()) position.sessionOffset = -1;
  }
}

function keyOf({ model }: Position): string {
  return `${model.topicId}/${model.index}`;
}

function countBatches(records: Uint8Array): number {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  let count = 0;
  for (let at = 0; at < records.length; at += Math.max(12, batchSize(view, at))) count++;
  return count;
}
