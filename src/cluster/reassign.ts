/**
 * Changes of the replicas of existing partitions: what was asked for is recorded, and what has been reached.
 *
 * A change is recorded in two steps (`partition_image.ts`). The first names the wanted replicas and those on their way out.
 * The leader of the group then changes its members, and reports ({@linkcode completeChange}). A wanted change that is
 * replaced or taken back in between is another change, and nobody deletes a log before the group's members say that it is
 * no part of it: a replica that was never wanted for long may vote already.
 *
 * @module
 */

import { VOTERS_MAX } from "../raft/limits.ts";
import { ErrorCode } from "../wire/errors.ts";
import { type CommandContext, type Outcome, refuse, SUCCESS, tooLarge } from "./command.ts";
import type { ClusterImage } from "./image.ts";
import { CHANGES_SINCE_VERSION } from "./logical_version.ts";
import { memberIncarnation } from "./members.ts";
import type { PartitionImage, PartitionReplica } from "./partition_image.ts";
import { type MetadataRecord, RecordType } from "./records.ts";

/** Replicas that somebody wants for a partition. */
export interface WantedReplicas {
  readonly topic: string;
  readonly index: number;
  /** The preferred leader first; null: what there was before the change that is under way. */
  readonly replicas: readonly number[] | null;
}

/** Whether the cluster works at a version with the records that are written here. */
export function knowChanges({ logicalVersion }: ClusterImage): boolean {
  return logicalVersion >= CHANGES_SINCE_VERSION;
}

/**
 * AlterPartitionReassignments, of one partition.
 *
 * @param allowsOtherCount the number of replicas may become another one
 */
export function alterReplicas(
  context: CommandContext,
  { topic: name, index, replicas }: WantedReplicas,
  allowsOtherCount: boolean,
): Outcome {
  const { image } = context;
  const topic = image.topicByName(name);
  if (topic === undefined) {
    const message = `Unable to find a topic named ${name}.`;
    return refuse(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message);
  }
  const partition = topic.partitions[index];
  if (partition === undefined) {
    const message = `Unable to find partition ${name}:${index}.`;
    return refuse(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message);
  }
  if (!knowChanges(image)) {
    const message = "not every node of the cluster has a program that can change replicas";
    return refuse(ErrorCode.UNSUPPORTED_VERSION, message);
  }
  if (replicas === null) return cancel(context, partition);
  const problem = targetProblem(context, replicas);
  if (problem !== null) return refuse(ErrorCode.INVALID_REPLICA_ASSIGNMENT, problem);
  const count = partition.target.length;
  if (!allowsOtherCount && replicas.length !== count) {
    const message = `The replication factor is changed from ${count} to ${replicas.length}`;
    return refuse(ErrorCode.INVALID_REPLICATION_FACTOR, message);
  }
  return emitChange(context, partition, replicas);
}

function cancel(context: CommandContext, partition: PartitionImage): Outcome {
  const { adding, replicas } = partition;
  if (!partition.isChanging) return refuse(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, null);
  const before = replicas.filter((nodeId) => !adding.includes(nodeId));
  if (before.length > 0) return emitChange(context, partition, before);
  // Those on their way out were called back.
  const message = "each of its replicas is on its way to be one: say which ones it should have";
  return refuse(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message);
}

function targetProblem({ image }: CommandContext, replicas: readonly number[]): string | null {
  if (replicas.length === 0) {
    return "The manual partition assignment includes an empty replica list.";
  }
  if (replicas.length > VOTERS_MAX) {
    return `a partition has ${replicas.length} replicas, and ${VOTERS_MAX} at most`;
  }
  const sorted = replicas.toSorted((a, b) => a - b);
  for (const [at, nodeId] of sorted.entries()) {
    if (sorted.indexOf(nodeId) !== at) {
      return `The manual partition assignment includes the broker ${nodeId} more than once.`;
    }
    if (!image.nodes.has(nodeId)) {
      return `The manual partition assignment includes broker ${nodeId}, but no such broker is registered.`;
    }
  }
  return null;
}

/** Records that a partition should be on these nodes; nothing when it is. */
export function emitChange(
  context: CommandContext,
  partition: PartitionImage,
  target: readonly number[],
): Outcome {
  const record = changeTo(context.image, partition, target);
  if (record === null || context.emit([record])) return SUCCESS;
  return tooLarge();
}

/** The record by which a partition is to be on the nodes of `target`; null when it is, or will be. */
export function changeTo(
  image: ClusterImage,
  partition: PartitionImage,
  target: readonly number[],
): MetadataRecord | null {
  const change = partition.change + 1;
  // Whoever has its id is the only replica that a partition was created with, and so it stays that in its present life.
  const isAny = partition.change === 0 && partition.holders.length === 1;
  const wanted = target.map((nodeId): PartitionReplica => {
    const life = lifeOf(image, nodeId);
    const holder = partition.holderOf(nodeId);
    if (holder === null || (!isAny && holder.life !== 0 && holder.life !== life)) {
      return { nodeId, life, since: change };
    }
    return { ...holder, life };
  });
  const leaving = partition.holders
    .filter(({ nodeId }) => !target.includes(nodeId))
    .map((holder) => isAny ? { ...holder, life: lifeOf(image, holder.nodeId) } : holder);
  const { adding: unsettled, removing: going } = partition;
  const isSettled = (nodeId: number): boolean =>
    partition.replicas.includes(nodeId) && !unsettled.includes(nodeId) && !going.includes(nodeId);
  const replicas = [...wanted, ...leaving];
  const adding = target.filter((nodeId) => !isSettled(nodeId));
  const removing = leaving.map(({ nodeId }) => nodeId);
  const isSame = sameNodes(replicas.map(({ nodeId }) => nodeId), partition.replicas) &&
    sameNodes(removing, partition.removing) && wanted.every(({ since }) => since < change);
  if (isSame) return null;
  return changeRecord(partition, change, replicas, adding, removing);
}

/**
 * The members of a partition's group are those that the change with this number wanted: the others delete their logs.
 *
 * @returns whether that was so
 */
export function completeChange(
  { image, emit }: CommandContext,
  groupId: number,
  change: number,
): boolean {
  const partition = image.partitionByGroup(groupId);
  if (partition === undefined || partition.change !== change || !partition.isChanging) return false;
  if (!knowChanges(image)) return false;
  const kept = partition.holders.filter(({ nodeId }) => !partition.removing.includes(nodeId));
  return emit([changeRecord(partition, change + 1, kept, [], [])]);
}

/**
 * A replica has lost its log, or may have forgotten some of it: its node holds the partition as another member from now on.
 *
 * Only where a majority of the replicas is there without it: they elect a leader that has everything, and fill it. A change
 * that is under way is completed before.
 *
 * @param since the change by which the replica that is lost became one; a later one is not meant
 * @returns whether that is so from now on
 */
export function replaceReplica(
  { image, emit, isAlive }: CommandContext,
  groupId: number,
  nodeId: number,
  since: number,
): boolean {
  const partition = image.partitionByGroup(groupId);
  if (partition === undefined || partition.isChanging || !knowChanges(image)) return false;
  const { holders } = partition;
  const present = holders.filter((holder) => holder.nodeId !== nodeId && isAlive(holder.nodeId));
  if (partition.holderOf(nodeId)?.since !== since || present.length <= holders.length / 2) {
    return false;
  }
  const change = partition.change + 1;
  const replicas = holders.map((holder): PartitionReplica =>
    holder.nodeId === nodeId ? { nodeId, life: lifeOf(image, nodeId), since: change } : holder
  );
  return emit([changeRecord(partition, change, replicas, [nodeId], [])]);
}

function changeRecord(
  { topic, index }: PartitionImage,
  change: number,
  replicas: readonly PartitionReplica[],
  adding: readonly number[],
  removing: readonly number[],
): MetadataRecord {
  return {
    type: RecordType.PARTITION_CHANGE,
    body: {
      topicId: topic.id,
      partitionIndex: index,
      change,
      replicas: [...replicas],
      adding: [...adding],
      removing: [...removing],
      forced: false,
    },
  };
}

/** Which life a registered node lives; 0: it is not known. */
export function lifeOf(image: ClusterImage, nodeId: number): number {
  const node = image.nodes.get(nodeId);
  return node === undefined ? 0 : memberIncarnation(node.incarnation);
}

function sameNodes(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((nodeId, at) => nodeId === b[at]);
}
