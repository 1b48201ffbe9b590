/**
 * The simulated administrator: makes topics, lets them grow, trims and deletes them, and knows what the
 * cluster says of them.
 *
 * @module
 */

import { ErrorCode } from "../../src/wire/errors.ts";
import { OFFSETS_TOPIC } from "../../src/cluster/topic_names.ts";
import {
  ALTER_PARTITION_REASSIGNMENTS,
  CREATE_PARTITIONS,
  CREATE_TOPICS,
  DELETE_RECORDS,
  DELETE_TOPICS,
  FIND_COORDINATOR,
  METADATA,
} from "../../src/wire/generated/apis.ts";
import { newAlterPartitionReassignmentsRequest } from "../../src/wire/generated/alter_partition_reassignments_request.ts";
import { newCreatePartitionsRequest } from "../../src/wire/generated/create_partitions_request.ts";
import { newDeleteRecordsRequest } from "../../src/wire/generated/delete_records_request.ts";
import { newDeleteTopicsRequest } from "../../src/wire/generated/delete_topics_request.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { Actor, type SimTopic, type Stage } from "./actor.ts";
import { expect } from "./sim_failure.ts";
import { topicRequest } from "./sim_requests.ts";

const METADATA_VERSION = 12;
const TOPICS_MAX = 8;

export interface AdminShape {
  /** Does more than make the first topics. */
  readonly busy: boolean;
  readonly segmentBytes: number;
  readonly retention: boolean;
  /** Replicas of each partition. */
  readonly replication: number;
  readonly partitionsMax: number;
  /** `min.insync.replicas` of topics. */
  readonly minInsync: number;
  /** A disk is damaged now and then. */
  readonly damage?: boolean;
  /** Partitions move between so many nodes, and have so many replicas at least; null: they stay. */
  readonly moves?: { readonly nodes: number; readonly replicasMin: number } | null;
}

export class AdminActor extends Actor {
  readonly #shape: AdminShape;
  #coordinatorReady = false;
  #made = 0;

  constructor(stage: Stage, seed: number, shape: AdminShape) {
    super(stage, seed);
    this.#shape = shape;
  }

  override get idle(): boolean {
    return this.openRequests === 0 && this.ready;
  }

  /** All topics exist, as far as they are to. */
  get ready(): boolean {
    return this.#coordinatorReady &&
      this.stage.topics.every((topic) => topic.id !== "" || topic.deleting);
  }

  protected override act(): void {
    if (this.openRequests > 0) return;
    if (!this.#coordinatorReady) {
      this.#findCoordinator();
      return;
    }
    const missing = this.stage.topics.find((topic) => topic.id === "" && !topic.deleting);
    if (missing !== undefined) {
      this.#look(missing);
      return;
    }
    if (this.#shape.moves && !this.stage.draining && this.chance(5)) return this.#move();
    if (!this.#shape.busy || this.stage.draining || !this.chance(5)) return;
    const topics = this.stage.topics.filter((topic) => !topic.deleting);
    const topic = this.pick(topics);
    switch (this.random.nextBelow(4)) {
      case 0:
        if (this.stage.topics.length < TOPICS_MAX) this.#wish();
        return;
      case 1:
        if (topic.mortal) this.#delete(topic);
        return;
      case 2:
        if (topic.trimmed) this.#trim(topic);
        return;
      default:
        if (topic.partitions < this.#shape.partitionsMax) this.#grow(topic);
    }
  }

  /** What was under way is found out by looking. */
  protected override forget(): void {}

  #findCoordinator(): void {
    const request = newFindCoordinatorRequest({ key: "group", keyType: 0 });
    this.ask(FIND_COORDINATOR, 2, request, (response) => {
      this.stage.checker.observe(response.errorCode);
      this.#coordinatorReady = response.errorCode === ErrorCode.NONE;
    });
  }

  #wish(): void {
    this.stage.topics.push({
      name: `mortal-${this.#made++}`,
      id: "",
      partitions: 1 + this.random.nextBelow(3),
      mortal: true,
      trimmed: this.chance(50),
      deleting: false,
      deleted: false,
    });
  }

  /** Learns a topic's id, or makes the topic. */
  #look(topic: SimTopic): void {
    const request = newMetadataRequest({
      topics: [{ topicId: ZERO_UUID, name: topic.name }],
      allowAutoTopicCreation: false,
    });
    this.ask(METADATA, METADATA_VERSION, request, (response) => {
      const found = response.topics[0]!;
      this.stage.checker.observe(found.errorCode);
      if (found.errorCode === ErrorCode.NONE) this.#take(topic, found.topicId);
      else if (found.errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) this.#create(topic);
    });
  }

  #create(topic: SimTopic): void {
    const controller = this.controller();
    if (controller < 0) return;
    const { segmentBytes, retention, replication, minInsync } = this.#shape;
    const request = topicRequest(topic.name, topic.partitions, replication);
    request.topics[0]!.configs = [
      { name: "segment.bytes", value: `${Math.max(segmentBytes, 2 ** 20)}` },
      ...(minInsync > 1 ? [{ name: "min.insync.replicas", value: `${minInsync}` }] : []),
      ...(retention ? [{ name: "retention.bytes", value: `${segmentBytes}` }] : []),
    ];
    this.ask(CREATE_TOPICS, 7, request, (response) => {
      const { errorCode, topicId } = response.topics[0]!;
      this.stage.checker.observe(errorCode);
      this.misled(errorCode);
      if (errorCode === ErrorCode.NONE) this.#take(topic, topicId);
    }, controller);
  }

  #take(topic: SimTopic, id: string): void {
    topic.id = id;
    for (let index = 0; index < this.#shape.partitionsMax; index++) {
      this.stage.checker.partition(id, index).retention = this.#shape.retention;
    }
  }

  #delete(topic: SimTopic): void {
    const controller = this.controller();
    if (controller < 0) return;
    topic.deleting = true;
    for (const model of this.stage.checker.partitions.values()) {
      if (model.topicId === topic.id) model.deleting = true;
    }
    const topics = [{ name: null, topicId: topic.id }];
    const request = newDeleteTopicsRequest({ topics, timeoutMs: 1000 });
    this.ask(DELETE_TOPICS, 6, request, (response) => {
      const { errorCode } = response.responses[0]!;
      this.stage.checker.observe(errorCode);
      if (errorCode === ErrorCode.NONE) topic.deleted = true;
      this.misled(errorCode);
    }, controller);
  }

  #trim(topic: SimTopic): void {
    const index = this.random.nextBelow(topic.partitions);
    const leader = this.leaderOf(topic.id, index);
    if (leader < 0) return;
    const model = this.stage.checker.partition(topic.id, index);
    const offset = this.random.nextBelow(model.highWatermark + 1);
    model.startMax = Math.max(model.startMax, offset);
    const partitions = [{ partitionIndex: index, offset }];
    const request = newDeleteRecordsRequest({
      topics: [{ name: topic.name, partitions }],
      timeoutMs: 1000,
    });
    this.ask(DELETE_RECORDS, 2, request, (response) => {
      const answer = response.topics[0]!.partitions[0]!;
      this.stage.checker.observe(answer.errorCode);
      this.misled(answer.errorCode);
      expect(
        answer.errorCode !== ErrorCode.KAFKA_STORAGE_ERROR || this.#mayFail,
        () => `${model.name}: cannot be trimmed to ${offset}`,
      );
      if (answer.errorCode !== ErrorCode.NONE) return;
      expect(
        answer.lowWatermark >= offset,
        () => `${model.name}: trimmed to ${offset}, starts at ${answer.lowWatermark}`,
      );
    }, leader);
  }

  /** A log may take nothing: of several nodes, another one leads then. Damage of a leader's log is found at any time. */
  get #mayFail(): boolean {
    const { failingDisk, cluster } = this.stage;
    return failingDisk || cluster.nodes.length === 1 || this.#shape.damage === true;
  }

  /** Has a partition go to other nodes, or takes that back. */
  #move(): void {
    const controller = this.controller();
    if (controller < 0) return;
    const { nodes, replicasMin } = this.#shape.moves!;
    const topics = this.stage.topics.filter((topic) => !topic.deleting);
    const topic = topics[this.random.nextBelow(topics.length + 1)];
    const name = topic?.name ?? OFFSETS_TOPIC;
    const partitionIndex = this.random.nextBelow(topic?.partitions ?? 2);
    const count = this.chance(70)
      ? Math.max(replicasMin, this.#shape.replication)
      : replicasMin + this.random.nextBelow(nodes - replicasMin + 1);
    const left = Array.from({ length: nodes }, (_, nodeId) => nodeId);
    const chosen: number[] = [];
    while (chosen.length < count) {
      chosen.push(...left.splice(this.random.nextBelow(left.length), 1));
    }
    const replicas = this.chance(15) ? null : chosen;
    const partitions = [{ partitionIndex, replicas }];
    const request = newAlterPartitionReassignmentsRequest({ topics: [{ name, partitions }] });
    this.ask(ALTER_PARTITION_REASSIGNMENTS, 0, request, (response) => {
      this.stage.checker.observe(response.errorCode);
      this.misled(response.errorCode);
      const [answer] = response.responses;
      if (answer !== undefined) this.stage.checker.observe(answer.partitions[0]!.errorCode);
    }, controller);
  }

  #grow(topic: SimTopic): void {
    const controller = this.controller();
    if (controller < 0) return;
    const count = topic.partitions + 1;
    const request = newCreatePartitionsRequest({
      topics: [{ name: topic.name, count, assignments: null }],
      timeoutMs: 1000,
    });
    this.ask(CREATE_PARTITIONS, 3, request, (response) => {
      const { errorCode } = response.results[0]!;
      this.stage.checker.observe(errorCode);
      this.misled(errorCode);
      if (errorCode === ErrorCode.NONE) topic.partitions = count;
    }, controller);
  }
}
