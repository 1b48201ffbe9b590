/**
 * Creating topics, and adding partitions to existing ones.
 *
 * Checks come in Kafka's order, and each topic of a request succeeds or fails alone: name, existence,
 * partitions and replicas, configuration.
 *
 * @module
 */

import { VOTERS_MAX } from "../raft/limits.ts";
import { ErrorCode } from "../wire/errors.ts";
import { type Uuid, ZERO_UUID } from "../wire/uuid.ts";
import {
  type CommandContext,
  type Outcome,
  PARTITIONS_PER_REQUEST_MAX,
  refuse,
  SUCCESS,
  tooLarge,
} from "./command.ts";
import { ResourceType } from "./config_table.ts";
import { newUuid } from "./ids.ts";
import { internalTopic } from "./internal_topics.ts";
import { memberIncarnations } from "./members.ts";
import { Placement } from "./placement.ts";
import { type MetadataRecord, RecordType } from "./records.ts";
import { topicConfigsProblem } from "./topic_config.ts";
import { METADATA_TOPIC, topicNameProblem } from "./topic_names.ts";

/** Replicas of one partition, chosen by the client. */
export interface ManualAssignment {
  readonly partitionIndex: number;
  readonly brokerIds: readonly number[];
}

/** A topic that somebody wants. */
export interface NewTopic {
  readonly name: string;
  /** -1 for the default, and with assignments. */
  readonly numPartitions: number;
  /** -1 for the default, and with assignments. */
  readonly replicationFactor: number;
  /** Empty for placement by the controller. */
  readonly assignments: readonly ManualAssignment[];
  readonly configs: readonly { readonly name: string; readonly value: string | null }[];
}

export interface CreateTopicResult extends Outcome {
  readonly name: string;
  /** All zero when nothing was created. */
  readonly topicId: Uuid;
  readonly partitionCount: number;
  readonly replicationFactor: number;
  /** What the topic sets itself. */
  readonly configs: ReadonlyMap<string, string>;
}

/** More partitions for a topic. */
export interface NewPartitions {
  readonly name: string;
  /** The total wanted. */
  readonly count: number;
  /** The nodes of each new partition; null for placement by the controller. */
  readonly assignments: readonly (readonly number[])[] | null;
}

/** Creates `topics`, or with `validateOnly` only says what would happen. */
export function createTopics(
  context: CommandContext,
  topics: readonly NewTopic[],
  validateOnly: boolean,
): CreateTopicResult[] {
  const creation = new TopicCreation(topics, validateOnly);
  return [...creation.create(context, topics), ...creation.duplicates()];
}

/** The creation of a request's topics in several commands, one after another: all at once would take seconds. */
export class TopicCreation {
  readonly #duplicates: ReadonlySet<string>;
  readonly #validateOnly: boolean;
  readonly #budget = { partitions: PARTITIONS_PER_REQUEST_MAX };
  #placement: Placement | null = null;

  /** @param topics of the whole request */
  constructor(topics: readonly NewTopic[], validateOnly: boolean) {
    this.#duplicates = duplicateNames(topics);
    this.#validateOnly = validateOnly;
  }

  /** A command for some of the topics; those that are named twice are left out. */
  create(context: CommandContext, topics: readonly NewTopic[]): CreateTopicResult[] {
    // What a dry run has placed is in no image.
    if (!this.#validateOnly) this.#placement = null;
    const placement = this.#placement ??= new Placement(
      context.image,
      context.partitionsPerNodeMax,
      context.isAlive,
    );
    const scope = { placement, budget: this.#budget, validateOnly: this.#validateOnly };
    return topics.filter(({ name }) => !this.#duplicates.has(name)).map((asked) => {
      const topic = isAllDefault(asked) ? internalTopic(asked.name, context.image) ?? asked : asked;
      return createTopic(context, topic, scope);
    });
  }

  /** The results for names that occur more than once. */
  duplicates(): CreateTopicResult[] {
    const outcome = refuse(ErrorCode.INVALID_REQUEST, "Duplicate topic name.");
    return [...this.#duplicates].map((name) => failed(name, outcome));
  }
}

/** Whoever asks leaves everything to the cluster: a coordinator's topic has settings of its own then. */
function isAllDefault(topic: NewTopic): boolean {
  return topic.numPartitions === -1 && topic.replicationFactor === -1 &&
    topic.assignments.length === 0 && topic.configs.length === 0;
}

interface CreateScope {
  readonly placement: Placement;
  /** Partitions that the request may still create. */
  readonly budget: { partitions: number };
  readonly validateOnly: boolean;
}

function createTopic(
  context: CommandContext,
  topic: NewTopic,
  scope: CreateScope,
): CreateTopicResult {
  const nameProblem = nameOutcome(context, topic.name);
  if (nameProblem !== null) return failed(topic.name, nameProblem);
  const configs = new Map<string, string>();
  const configProblem = collectConfigs(topic, configs);
  if (configProblem !== null) return failed(topic.name, configProblem);
  const replicas = topic.assignments.length > 0
    ? manualReplicas(context, topic, scope)
    : chosenReplicas(context, topic, scope);
  if (!Array.isArray(replicas)) return failed(topic.name, replicas);
  const topicId = newUuid(context.random);
  if (!scope.validateOnly) {
    const records: MetadataRecord[] = [
      { type: RecordType.TOPIC, body: { topicId, name: topic.name } },
    ];
    for (const [name, value] of configs) {
      const body = { resourceType: ResourceType.TOPIC, resourceName: topic.name, name, value };
      records.push({ type: RecordType.CONFIG, body });
    }
    records.push(...partitionRecords(context, topicId, 0, replicas));
    if (!context.emit(records)) {
      scope.placement.release(replicas);
      return failed(topic.name, tooLarge());
    }
  }
  return {
    ...SUCCESS,
    name: topic.name,
    topicId: scope.validateOnly ? ZERO_UUID : topicId,
    partitionCount: replicas.length,
    replicationFactor: replicas[0]!.length,
    configs,
  };
}

/** Adds partitions to topics, each of which succeeds or fails alone. */
export function createPartitions(
  context: CommandContext,
  topics: readonly NewPartitions[],
  validateOnly: boolean,
): (Outcome & { name: string })[] {
  const duplicates = duplicateNames(topics);
  const placement = new Placement(context.image, context.partitionsPerNodeMax, context.isAlive);
  const budget = { partitions: PARTITIONS_PER_REQUEST_MAX };
  const results: (Outcome & { name: string })[] = [];
  for (const topic of topics) {
    if (duplicates.has(topic.name)) continue;
    const outcome = addPartitions(context, topic, { placement, budget, validateOnly });
    results.push({ ...outcome, name: topic.name });
  }
  for (const name of duplicates) {
    const message = "Duplicate topic name.";
    results.push({ ...refuse(ErrorCode.INVALID_REQUEST, message), name });
  }
  return results;
}

function addPartitions(
  context: CommandContext,
  wanted: NewPartitions,
  scope: CreateScope,
): Outcome {
  const topic = context.image.topicByName(wanted.name);
  if (topic === undefined) {
    return refuse(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, null);
  }
  if (topic.internal) {
    // Coordinators find their partition by hash over the count, which therefore cannot change.
    const message = `the partitions of the internal topic '${topic.name}' are fixed`;
    return refuse(ErrorCode.INVALID_PARTITIONS, message);
  }
  const current = topic.partitions.length;
  if (wanted.count === current) {
    const message = `Topic already has ${current} partition(s).`;
    return refuse(ErrorCode.INVALID_PARTITIONS, message);
  }
  if (wanted.count < current) {
    const message = `The topic ${topic.name} currently has ${current} partition(s); ` +
      `${wanted.count} would not be an increase.`;
    return refuse(ErrorCode.INVALID_PARTITIONS, message);
  }
  const added = wanted.count - current;
  if (added > scope.budget.partitions) return tooManyAtOnce();
  const replicationFactor = topic.partitions[0]!.replicas.length;
  const replicas: number[][] = [];
  if (wanted.assignments !== null) {
    if (wanted.assignments.length !== added) {
      const message = `Attempted to add ${added} additional partition(s), but only ` +
        `${wanted.assignments.length} assignment(s) were specified.`;
      return refuse(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message);
    }
    for (const nodes of wanted.assignments) {
      const problem = assignmentProblem(nodes, replicationFactor, scope.placement);
      if (problem !== null) return problem;
    }
    for (const nodes of wanted.assignments) {
      if (!scope.placement.take(nodes)) {
        scope.placement.release(replicas);
        return nodesFull(context);
      }
      replicas.push([...nodes]);
    }
  } else {
    const placed = placeAll(context, scope.placement, { count: added, replicationFactor });
    if (!Array.isArray(placed)) return placed;
    replicas.push(...placed);
  }
  scope.budget.partitions -= added;
  if (scope.validateOnly) return SUCCESS;
  if (context.emit(partitionRecords(context, topic.id, current, replicas))) return SUCCESS;
  scope.placement.release(replicas);
  return tooLarge();
}

/** Records of partitions from `firstIndex` on, in groups of their own. */
function partitionRecords(
  context: CommandContext,
  topicId: Uuid,
  firstIndex: number,
  replicas: readonly number[][],
): MetadataRecord[] {
  const firstGroupId = context.image.nextGroupId;
  return replicas.map((nodes, at) => ({
    type: RecordType.PARTITION,
    body: {
      topicId,
      partitionIndex: firstIndex + at,
      groupId: firstGroupId + at,
      replicas: nodes,
      incarnations: memberIncarnations(context.image, nodes),
      epochFloor: context.image.epochFloor,
    },
  }));
}

function nameOutcome(context: CommandContext, name: string): Outcome | null {
  if (name === METADATA_TOPIC) {
    const message = `'${name}' is the name of the cluster's own log`;
    return refuse(ErrorCode.TOPIC_AUTHORIZATION_FAILED, message);
  }
  const problem = topicNameProblem(name);
  if (problem !== null) return refuse(ErrorCode.INVALID_TOPIC_EXCEPTION, problem);
  if (context.image.topicByName(name) !== undefined) {
    return refuse(ErrorCode.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`);
  }
  const other = context.image.collidingTopic(name);
  if (other !== undefined) {
    const message = `topic '${name}' collides with '${other}': they differ only in '.' and '_'`;
    return refuse(ErrorCode.INVALID_TOPIC_EXCEPTION, message);
  }
  return null;
}

function collectConfigs(topic: NewTopic, configs: Map<string, string>): Outcome | null {
  for (const { name, value } of topic.configs) {
    if (value === null) {
      const message = `Null value not supported for topic configs: ${name}`;
      return refuse(ErrorCode.INVALID_CONFIG, message);
    }
    // Of a configuration that is given twice the last value counts, as in Kafka.
    configs.set(name, value);
  }
  // A refusal shows a value as it was sent.
  const problem = topicConfigsProblem(configs);
  if (problem !== null) return refuse(ErrorCode.INVALID_CONFIG, problem);
  for (const [name, value] of configs) configs.set(name, value.trim());
  return null;
}

/** Replicas per partition as the client chose them, or why not. */
function manualReplicas(
  context: CommandContext,
  topic: NewTopic,
  scope: CreateScope,
): number[][] | Outcome {
  if (topic.replicationFactor !== -1) {
    const message = "A manual partition assignment was specified, but replication factor was not " +
      "set to -1.";
    return refuse(ErrorCode.INVALID_REQUEST, message);
  }
  if (topic.numPartitions !== -1) {
    const message = "A manual partition assignment was specified, but numPartitions was not set " +
      "to -1.";
    return refuse(ErrorCode.INVALID_REQUEST, message);
  }
  if (topic.assignments.length > scope.budget.partitions) return tooManyAtOnce();
  const byIndex = new Map<number, number[]>();
  const replicationFactor = topic.assignments[0]!.brokerIds.length;
  for (const { partitionIndex, brokerIds } of topic.assignments) {
    if (byIndex.has(partitionIndex)) {
      const message = `Found multiple manual partition assignments for partition ${partitionIndex}`;
      return refuse(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message);
    }
    const problem = assignmentProblem(brokerIds, replicationFactor, scope.placement);
    if (problem !== null) return problem;
    byIndex.set(partitionIndex, [...brokerIds]);
  }
  const replicas: number[][] = [];
  for (let index = 0; index < byIndex.size; index++) {
    const nodes = byIndex.get(index);
    if (nodes === undefined) {
      const message = "partitions should be a consecutive 0-based integer sequence";
      return refuse(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message);
    }
    replicas.push(nodes);
  }
  for (const [at, nodes] of replicas.entries()) {
    if (scope.placement.take(nodes)) continue;
    scope.placement.release(replicas.slice(0, at));
    return nodesFull(context);
  }
  scope.budget.partitions -= replicas.length;
  return replicas;
}

/** Replicas per partition as the controller chooses them, or why not. */
function chosenReplicas(
  context: CommandContext,
  topic: NewTopic,
  scope: CreateScope,
): number[][] | Outcome {
  const { settings } = context.image;
  if (topic.replicationFactor < -1 || topic.replicationFactor === 0) {
    const message = "Replication factor must be larger than 0, or -1 to use the default value.";
    return refuse(ErrorCode.INVALID_REPLICATION_FACTOR, message);
  }
  if (topic.numPartitions < -1 || topic.numPartitions === 0) {
    const message = "Number of partitions was set to an invalid non-positive value.";
    return refuse(ErrorCode.INVALID_PARTITIONS, message);
  }
  const count = topic.numPartitions === -1
    ? settings.number("num.partitions")
    : topic.numPartitions;
  if (count > scope.budget.partitions) return tooManyAtOnce();
  const replicationFactor = topic.replicationFactor === -1
    ? settings.number("default.replication.factor")
    : topic.replicationFactor;
  const placed = placeAll(context, scope.placement, { count, replicationFactor });
  if (Array.isArray(placed)) scope.budget.partitions -= count;
  return placed;
}

function placeAll(
  context: CommandContext,
  placement: Placement,
  wanted: { readonly count: number; readonly replicationFactor: number },
): number[][] | Outcome {
  if (wanted.replicationFactor > placement.nodeCount) {
    const message = `the replication factor is ${wanted.replicationFactor}, ` +
      `but the cluster has ${placement.nodeCount} broker(s)`;
    return refuse(ErrorCode.INVALID_REPLICATION_FACTOR, message);
  }
  if (wanted.replicationFactor > VOTERS_MAX) {
    const message =
      `the replication factor is ${wanted.replicationFactor}, and ${VOTERS_MAX} at most`;
    return refuse(ErrorCode.INVALID_REPLICATION_FACTOR, message);
  }
  const replicas: number[][] = [];
  while (replicas.length < wanted.count) {
    const nodes = placement.place(wanted.replicationFactor);
    if (nodes === null) {
      placement.release(replicas);
      return nodesFull(context);
    }
    replicas.push(nodes);
  }
  return replicas;
}

function assignmentProblem(
  nodes: readonly number[],
  replicationFactor: number,
  placement: Placement,
): Outcome | null {
  const invalid = (message: string) => refuse(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message);
  if (nodes.length === 0) {
    return invalid("The manual partition assignment includes an empty replica list.");
  }
  if (nodes.length > VOTERS_MAX) {
    return invalid(`a partition has ${nodes.length} replicas, and ${VOTERS_MAX} at most`);
  }
  const sorted = nodes.toSorted((a, b) => a - b);
  for (const [at, nodeId] of sorted.entries()) {
    if (sorted.indexOf(nodeId) !== at) {
      return invalid(
        `The manual partition assignment includes the broker ${nodeId} more than once.`,
      );
    }
    if (!placement.hasNode(nodeId)) {
      return invalid(
        `The manual partition assignment includes broker ${nodeId}, but no such broker is registered.`,
      );
    }
  }
  if (nodes.length !== replicationFactor) {
    return invalid(
      `The manual partition assignment includes a partition with ${nodes.length} replica(s), but ` +
        `this is not consistent with previous partitions, which have ${replicationFactor} replica(s).`,
    );
  }
  return null;
}

function nodesFull(context: CommandContext): Outcome {
  const message = "not enough brokers have room for the partitions: " +
    `each may hold ${context.partitionsPerNodeMax}`;
  return refuse(ErrorCode.INVALID_PARTITIONS, message);
}

function tooManyAtOnce(): Outcome {
  const message = `one request may create ${PARTITIONS_PER_REQUEST_MAX} partitions`;
  return refuse(ErrorCode.POLICY_VIOLATION, message);
}

function duplicateNames(topics: readonly { readonly name: string }[]): Set<string> {
  const seen = new Set<string>();
  const duplicates = new Set<string>();
  for (const { name } of topics) {
    if (seen.has(name)) duplicates.add(name);
    seen.add(name);
  }
  return duplicates;
}

function failed(name: string, outcome: Outcome): CreateTopicResult {
  return {
    ...outcome,
    name,
    topicId: ZERO_UUID,
    partitionCount: -1,
    replicationFactor: -1,
    configs: new Map(),
  };
}
