/**
 * The cluster's metadata as the committed records say: nodes, topics, partitions, configurations.
 *
 * Every shard holds one, fed by the same records in the same order, and reads it without asking
 * anybody. It changes only in {@linkcode ClusterImage.replay}, which skips records that contradict it
 * (`record_problem.ts`). The controller's shard holds a second one, which is ahead by the records that are not
 * committed yet (`controller_service.ts`).
 *
 * Invariants:
 * - a topic's partitions are dense: indexes 0 to n-1, added in order;
 * - group ids are never reused, not after their partition is gone, nor across a snapshot;
 * - `snapshotRecords` of an image, replayed into an empty one, give an equal image (handles aside,
 *   which are private to an image).
 *
 * @module
 */

import { unreachable } from "../base/assert.ts";
import { Settings } from "../base/settings.ts";
import { UUID_SIZE, uuidToBytes } from "../wire/uuid.ts";
import { ALL_BROKERS, ConfigTable, ResourceType } from "./config_table.ts";
import { OWN_VERSIONS, VERSION_FEATURE } from "./logical_version.ts";
import { PartitionImage } from "./partition_image.ts";
import { recordProblem } from "./record_problem.ts";
import { FIRST_GROUP_ID, type MetadataRecord, RecordType } from "./records.ts";
import type {
  ConfigRecord,
  NodeRecord,
  PartitionChangeRecord,
  PartitionRecord,
  TopicRecord,
} from "./records.ts";
import { TopicConfig } from "./topic_config.ts";
import { TopicLookup } from "./topic_lookup.ts";
import { collisionKey, isInternalTopic } from "./topic_names.ts";

/** One topic. The object lives as long as the topic; its fields change as records are replayed. */
export class TopicImage {
  readonly name: string;
  /** 32 hexadecimal digits. */
  readonly id: string;
  /** The topic's small integer on this shard, see {@linkcode TopicLookup}. */
  readonly handle: number;
  /** Written by coordinators, not by clients. */
  readonly internal: boolean;
  readonly partitions: PartitionImage[] = [];
  /** Its row in the shard's count of traffic (`metrics/traffic.ts`). */
  trafficRow = 0;
  /** The configuration in force; replaced as a whole when it changes. */
  config: TopicConfig;
  /** Cleared when the topic is removed, for those who still hold the object. */
  alive = true;

  constructor(record: TopicRecord, handle: number, config: TopicConfig) {
    this.name = record.name;
    this.id = record.topicId;
    this.handle = handle;
    this.internal = isInternalTopic(record.name);
    this.config = config;
  }
}

export { PartitionImage };

/** Told what a replayed record changed, after the image changed. */
export interface ImageListener {
  topicAdded?(topic: TopicImage): void;
  /** Partitions come after the topic's configuration. */
  partitionAdded?(partition: PartitionImage): void;
  /** Its replicas are others, or on their way to be. */
  partitionChanged?(partition: PartitionImage): void;
  /** The topic, and each of its partitions. */
  topicRemoved?(topic: TopicImage): void;
  topicConfigChanged?(topic: TopicImage): void;
  brokerConfigChanged?(): void;
  nodesChanged?(): void;
}

/** What a node takes part in; the numbers are in the records. */
export const NodeState = {
  ACTIVE: 0,
  /** It leads nothing, as far as others can. */
  MAINTENANCE: 1,
  /** Its replicas move to other nodes, and it gets no new ones. */
  DECOMMISSIONING: 2,
  /** It was added to a cluster that has partitions, and takes its share of them over. */
  FILLING: 3,
} as const;
export type NodeState = typeof NodeState[keyof typeof NodeState];

/** How many replicas, and among them preferred leaders, a node has been given. */
export interface NodeLoad {
  readonly replicas: number;
  readonly leaders: number;
}

/** Removed groups that are remembered, the latest: a start deletes what is left of their logs. */
const REMOVED_GROUPS_MAX = 10_000;

const NO_LOAD: NodeLoad = { replicas: 0, leaders: 0 };

export class ClusterImage {
  readonly lookup = new TopicLookup();
  /** What was set over the Kafka API. */
  readonly configs = new ConfigTable();
  /** The broker settings in force on this node: start-up values under what was set since. */
  readonly settings: Settings;
  readonly #nodeId: number;
  readonly #startupSettings: ReadonlyMap<string, string>;
  #listeners: ImageListener[] = [];
  #epoch = 0;
  #clusterId = "";
  #nodes = new Map<number, NodeRecord>();
  #removedNodes = new Set<number>();
  #nodeStates = new Map<number, NodeState>();
  #features = new Map<string, number>();
  #topicsByName = new Map<string, TopicImage>();
  #topicsById = new Map<string, TopicImage>();
  #topicsByHandle: (TopicImage | undefined)[] = [];
  #namesByCollisionKey = new Map<string, string>();
  #partitionsByGroup = new Map<number, PartitionImage>();
  #loads = new Map<number, NodeLoad>();
  #nextGroupId = FIRST_GROUP_ID;
  #nextProducerId = 0;
  #epochFloor = 0;
  #removedGroups = new Set<number>();
  #encoder = new TextEncoder();

  /**
   * @param nodeId whose broker configuration counts here
   * @param startupSettings what the node was started with (`--set`), valid
   */
  constructor(nodeId: number, startupSettings: ReadonlyMap<string, string>) {
    this.#nodeId = nodeId;
    this.#startupSettings = startupSettings;
    this.settings = new Settings(startupSettings);
  }

  /** Grows with every replayed record. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Empty until the cluster was formed. */
  get clusterId(): string {
    return this.#clusterId;
  }

  /** Registered nodes, by id. */
  get nodes(): ReadonlyMap<number, NodeRecord> {
    return this.#nodes;
  }

  /** Nodes that left, and have not come back. */
  get removedNodes(): ReadonlySet<number> {
    return this.#removedNodes;
  }

  /** What a node takes part in. */
  stateOf(nodeId: number): NodeState {
    return this.#nodeStates.get(nodeId) ?? NodeState.ACTIVE;
  }

  /** Finalized levels of features, by name. */
  get features(): ReadonlyMap<string, number> {
    return this.#features;
  }

  /** The finalized logical version; 0: none is yet. */
  get finalizedVersion(): number {
    return this.#features.get(VERSION_FEATURE) ?? 0;
  }

  /**
   * The logical version at which the cluster works. Before one is finalized, it is what every registered node is able to
   * do: nodes without a version are from before there were several.
   */
  get logicalVersion(): number {
    const finalized = this.finalizedVersion;
    if (finalized > 0) return finalized;
    let least = OWN_VERSIONS.max;
    for (const { logicalVersion } of this.#nodes.values()) least = Math.min(least, logicalVersion);
    return least;
  }

  /** Topics by name, in the order of their creation. */
  get topics(): ReadonlyMap<string, TopicImage> {
    return this.#topicsByName;
  }

  /** The group id that the next partition gets. */
  get nextGroupId(): number {
    return this.#nextGroupId;
  }

  /** No partition that was removed had a leader epoch above this, as far as the controller heard. */
  get epochFloor(): number {
    return this.#epochFloor;
  }

  /** Producer ids below are handed out. */
  get nextProducerId(): number {
    return this.#nextProducerId;
  }

  /** Groups of topics that were removed, the latest 10,000 of them. */
  get removedGroups(): ReadonlySet<number> {
    return this.#removedGroups;
  }

  /** Partitions in the cluster. */
  get partitionCount(): number {
    return this.#partitionsByGroup.size;
  }

  topicByName(name: string): TopicImage | undefined {
    return this.#topicsByName.get(name);
  }

  topicById(id: string): TopicImage | undefined {
    return this.#topicsById.get(id);
  }

  /** The topic of a handle that {@linkcode TopicLookup} gave, if it still exists. */
  topicByHandle(handle: number): TopicImage | undefined {
    return this.#topicsByHandle[handle];
  }

  /** The topic whose name equals `name`, or differs from it only in '.' and '_'. */
  collidingTopic(name: string): string | undefined {
    return this.#namesByCollisionKey.get(collisionKey(name));
  }

  partitionByGroup(groupId: number): PartitionImage | undefined {
    return this.#partitionsByGroup.get(groupId);
  }

  /** The Raft group of a partition, or -1: for the hot path, after {@linkcode TopicLookup}. */
  groupIdOf(handle: number, partitionIndex: number): number {
    const topic = this.#topicsByHandle[handle];
    if (topic === undefined || partitionIndex < 0) return -1;
    return topic.partitions[partitionIndex]?.groupId ?? -1;
  }

  /** What is placed on a node. */
  loadOf(nodeId: number): NodeLoad {
    return this.#loads.get(nodeId) ?? NO_LOAD;
  }

  /** Broker settings given at start-up, by name. */
  get startupSettings(): ReadonlyMap<string, string> {
    return this.#startupSettings;
  }

  /** The node whose image this is. */
  get nodeId(): number {
    return this.#nodeId;
  }

  /** Calls `listener` about every change from now on. */
  listen(listener: ImageListener): void {
    this.#listeners.push(listener);
  }

  /** Applies one committed record; returns why it makes no sense and was skipped, or null. */
  replay(record: MetadataRecord): string | null {
    const problem = recordProblem(this, record);
    if (problem === null) this.#apply(record);
    return problem;
  }

  #apply(record: MetadataRecord): void {
    this.#epoch++;
    switch (record.type) {
      case RecordType.CLUSTER:
        this.#clusterId = record.body.clusterId;
        return;
      case RecordType.NODE:
        this.#nodes.set(record.body.nodeId, record.body);
        this.#removedNodes.delete(record.body.nodeId);
        this.#notify((listener) => listener.nodesChanged?.());
        return;
      case RecordType.NODE_REMOVED:
        this.#nodes.delete(record.body.nodeId);
        this.#removedNodes.add(record.body.nodeId);
        this.#nodeStates.delete(record.body.nodeId);
        this.#notify((listener) => listener.nodesChanged?.());
        return;
      case RecordType.TOPIC:
        return this.#replayTopic(record.body);
      case RecordType.TOPIC_REMOVED:
        this.#noteEpochs(record.body.epochFloor);
        return this.#replayTopicRemoved(record.body.topicId);
      case RecordType.PARTITION:
        return this.#replayPartition(record.body);
      case RecordType.CONFIG:
        return this.#replayConfig(record.body);
      case RecordType.PRODUCER_IDS:
        this.#nextProducerId = record.body.nextProducerId;
        return;
      case RecordType.GROUP_IDS:
        this.#nextGroupId = record.body.nextGroupId;
        this.#noteEpochs(record.body.epochFloor);
        return;
      case RecordType.FEATURE_LEVEL:
        if (record.body.level === 0) this.#features.delete(record.body.name);
        else this.#features.set(record.body.name, record.body.level);
        return;
      case RecordType.GROUPS_REMOVED:
        for (const groupId of record.body.groupIds) this.#noteRemoved(groupId);
        return;
      case RecordType.PARTITION_CHANGE:
        return this.#replayPartitionChange(record.body);
      case RecordType.NODE_STATE:
        this.#nodeStates.set(record.body.nodeId, record.body.state as NodeState);
        this.#notify((listener) => listener.nodesChanged?.());
        return;
      default:
        unreachable("a metadata record has one of the known types");
    }
  }

  /** Records that rebuild this image from nothing, in an order that depends on its content alone. */
  *snapshotRecords(): Generator<MetadataRecord> {
    if (this.#clusterId !== "") {
      yield { type: RecordType.CLUSTER, body: { clusterId: this.#clusterId } };
    }
    for (const nodeId of [...this.#nodes.keys()].sort((a, b) => a - b)) {
      yield { type: RecordType.NODE, body: this.#nodes.get(nodeId)! };
    }
    for (const nodeId of [...this.#removedNodes].sort((a, b) => a - b)) {
      yield { type: RecordType.NODE_REMOVED, body: { nodeId } };
    }
    for (const nodeId of [...this.#nodeStates.keys()].sort((a, b) => a - b)) {
      yield { type: RecordType.NODE_STATE, body: { nodeId, state: this.stateOf(nodeId) } };
    }
    for (const name of [...this.#features.keys()].sort()) {
      yield { type: RecordType.FEATURE_LEVEL, body: { name, level: this.#features.get(name)! } };
    }
    yield { type: RecordType.PRODUCER_IDS, body: { nextProducerId: this.#nextProducerId } };
    for (const resourceName of this.configs.resourceNames(ResourceType.BROKER)) {
      for (const body of this.configs.snapshotOf(ResourceType.BROKER, resourceName)) {
        yield { type: RecordType.CONFIG, body };
      }
    }
    for (const resourceName of this.configs.resourceNames(ResourceType.GROUP)) {
      for (const body of this.configs.snapshotOf(ResourceType.GROUP, resourceName)) {
        yield { type: RecordType.CONFIG, body };
      }
    }
    for (const topic of this.#topicsByName.values()) {
      yield { type: RecordType.TOPIC, body: { topicId: topic.id, name: topic.name } };
      for (const body of this.configs.snapshotOf(ResourceType.TOPIC, topic.name)) {
        yield { type: RecordType.CONFIG, body };
      }
      for (const partition of topic.partitions) yield* partitionRecords(partition);
    }
    yield {
      type: RecordType.GROUP_IDS,
      body: { nextGroupId: this.#nextGroupId, epochFloor: this.#epochFloor },
    };
    if (this.#removedGroups.size > 0) {
      const groupIds = [...this.#removedGroups];
      yield { type: RecordType.GROUPS_REMOVED, body: { groupIds } };
    }
  }

  #notify(call: (listener: ImageListener) => void): void {
    for (const listener of this.#listeners) call(listener);
  }

  #replayTopic(record: TopicRecord): void {
    const config = this.#topicConfig(record.name);
    const handle = this.#topicsByHandle.length;
    const topic = new TopicImage(record, handle, config);
    this.#topicsByHandle.push(topic);
    this.#topicsByName.set(topic.name, topic);
    this.#topicsById.set(topic.id, topic);
    this.#namesByCollisionKey.set(collisionKey(topic.name), topic.name);
    const id = new Uint8Array(UUID_SIZE);
    uuidToBytes(topic.id, id);
    this.lookup.add(handle, this.#encoder.encode(topic.name), id);
    this.#notify((listener) => listener.topicAdded?.(topic));
  }

  #replayTopicRemoved(topicId: string): void {
    const topic = this.#topicsById.get(topicId)!;
    topic.alive = false;
    this.#topicsByName.delete(topic.name);
    this.#topicsById.delete(topicId);
    this.#topicsByHandle[topic.handle] = undefined;
    this.#namesByCollisionKey.delete(collisionKey(topic.name));
    this.lookup.remove(topic.handle);
    this.configs.removeResource(ResourceType.TOPIC, topic.name);
    for (const { groupId, replicas } of topic.partitions) {
      this.#partitionsByGroup.delete(groupId);
      this.#addLoad(replicas, -1);
      this.#noteRemoved(groupId);
    }
    this.#notify((listener) => listener.topicRemoved?.(topic));
  }

  #replayPartition(record: PartitionRecord): void {
    const topic = this.#topicsById.get(record.topicId)!;
    const { partitionIndex: index, groupId } = record;
    const partition = new PartitionImage({ ...record, topic, index });
    topic.partitions.push(partition);
    this.#partitionsByGroup.set(groupId, partition);
    this.#addLoad(partition.replicas, 1);
    this.#nextGroupId = Math.max(this.#nextGroupId, groupId + 1);
    this.#notify((listener) => listener.partitionAdded?.(partition));
  }

  #replayPartitionChange(record: PartitionChangeRecord): void {
    const partition = this.#topicsById.get(record.topicId)!.partitions[record.partitionIndex]!;
    this.#addLoad(partition.replicas, -1);
    partition.apply(record);
    this.#addLoad(partition.replicas, 1);
    this.#notify((listener) => listener.partitionChanged?.(partition));
  }

  #noteEpochs(epochFloor: number): void {
    this.#epochFloor = Math.max(this.#epochFloor, epochFloor);
  }

  #noteRemoved(groupId: number): void {
    this.#removedGroups.add(groupId);
    if (this.#removedGroups.size <= REMOVED_GROUPS_MAX) return;
    this.#removedGroups.delete(this.#removedGroups.values().next().value!);
  }

  #addLoad(nodes: readonly number[], change: number): void {
    for (const [at, nodeId] of nodes.entries()) {
      const { replicas, leaders } = this.loadOf(nodeId);
      this.#loads.set(nodeId, {
        replicas: replicas + change,
        leaders: at === 0 ? leaders + change : leaders,
      });
    }
  }

  #replayConfig(record: ConfigRecord): void {
    this.configs.replay(record);
    if (record.resourceType === ResourceType.TOPIC) {
      const topic = this.#topicsByName.get(record.resourceName);
      if (topic !== undefined) this.#refreshTopicConfig(topic);
    } else if (record.resourceType === ResourceType.BROKER) {
      const given = new Map(this.#startupSettings);
      for (const resourceName of [ALL_BROKERS, `${this.#nodeId}`]) {
        for (const [name, value] of this.configs.get(ResourceType.BROKER, resourceName)) {
          given.set(name, value);
        }
      }
      this.settings.replace(given);
      this.#notify((listener) => listener.brokerConfigChanged?.());
      for (const topic of this.#topicsByName.values()) this.#refreshTopicConfig(topic);
    }
  }

  #topicConfig(name: string): TopicConfig {
    return new TopicConfig(new Map(this.configs.get(ResourceType.TOPIC, name)), this.settings);
  }

  #refreshTopicConfig(topic: TopicImage): void {
    topic.config = this.#topicConfig(topic.name);
    this.#notify((listener) => listener.topicConfigChanged?.(topic));
  }
}

/** A partition as it was created, and what it has become since. */
function* partitionRecords(partition: PartitionImage): Generator<MetadataRecord> {
  const { topic, index, groupId, created, holders, adding, removing, change, isForced } = partition;
  const body = {
    topicId: topic.id,
    partitionIndex: index,
    groupId,
    replicas: [...created.replicas],
    incarnations: [...created.incarnations],
    epochFloor: partition.epochFloor,
  };
  yield { type: RecordType.PARTITION, body };
  if (change === 0) return;
  yield {
    type: RecordType.PARTITION_CHANGE,
    body: {
      topicId: topic.id,
      partitionIndex: index,
      change,
      replicas: [...holders],
      adding: [...adding],
      removing: [...removing],
      forced: isForced,
    },
  };
}
