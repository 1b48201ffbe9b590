/**
 * Gives up the majority of a partition's replicas: one that is left goes on alone.
 *
 * Somebody who looks after the cluster decides so; nothing here does it by itself. What only the others have is lost. Their
 * logs are deleted when they come back, because a record that one of them acknowledged may not be in the log that goes on.
 *
 * @module
 */

import { ErrorCode } from "../wire/errors.ts";
import { type CommandContext, type Outcome, refuse, SUCCESS, tooLarge } from "./command.ts";
import type { ClusterImage } from "./image.ts";
import { hasMajority } from "./lost_majority.ts";
import type { PartitionImage } from "./partition_image.ts";
import { knowChanges, lifeOf } from "./reassign.ts";
import { RecordType } from "./records.ts";

/** A voter by the configuration of the furthest replica, as whoever asks has heard. */
export interface RecoveredVoter {
  readonly nodeId: number;
  readonly incarnation: number;
  readonly isVoter: boolean;
  /** Of the set before, while the voters change. */
  readonly wasVoter: boolean;
  /** Damage has cut its log. */
  readonly isDamaged: boolean;
}

/** The partition, and the node whose replica is to be the only one. */
export interface Recovery {
  readonly topic: string;
  readonly partition: number;
  readonly nodeId: number;
  /** Empty: those that the metadata names. It does not know how far a change has come. */
  readonly voters: readonly RecoveredVoter[];
}

export function recoverPartition(context: CommandContext, recovery: Recovery): Outcome {
  const { image, isAlive } = context;
  const { topic: name, partition: index, nodeId } = recovery;
  const partition = image.topicByName(name)?.partitions[index];
  if (partition === undefined) return refuse(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, null);
  const what = `${name}/${index}`;
  const holder = partition.holderOf(nodeId);
  if (holder === null) {
    const message = `node ${nodeId} has no replica of ${what}`;
    return refuse(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message);
  }
  if (!isAlive(nodeId)) {
    const message = `node ${nodeId} cannot be reached`;
    return refuse(ErrorCode.BROKER_NOT_AVAILABLE, message);
  }
  const voters = recovery.voters.length > 0 ? recovery.voters : namedVoters(partition);
  const counted = voters.map((voter) => ({
    ...voter,
    isThere: isAlive(voter.nodeId) && !voter.isDamaged && isPresent(image, partition, voter),
  }));
  if (hasMajority(counted)) {
    const there = counted.filter(({ isThere }) => isThere).length;
    const message =
      `${there} of the ${voters.length} replicas of ${what} can be reached, which is a majority: they elect a leader ` +
      "by themselves, and nothing is lost";
    return refuse(ErrorCode.ELECTION_NOT_NEEDED, message);
  }
  if (!knowChanges(image)) {
    const message = "not every node of the cluster has a program that can change replicas";
    return refuse(ErrorCode.UNSUPPORTED_VERSION, message);
  }
  const isVoter = counted.some((voter) =>
    voter.nodeId === nodeId && isPresent(image, partition, voter)
  );
  if (!isVoter && counted.some(({ isThere }) => isThere)) {
    const message = `node ${nodeId} is only becoming a replica of ${what}`;
    return refuse(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message);
  }
  const body = {
    topicId: partition.topic.id,
    partitionIndex: index,
    change: partition.change + 1,
    replicas: [holder],
    adding: [],
    removing: [],
    forced: true,
  };
  return context.emit([{ type: RecordType.PARTITION_CHANGE, body }]) ? SUCCESS : tooLarge();
}

/** The voters where no change is under way. */
function namedVoters(partition: PartitionImage): RecoveredVoter[] {
  return partition.replicas
    .filter((nodeId) => !partition.adding.includes(nodeId))
    .map((nodeId) => ({
      nodeId,
      incarnation: partition.memberOf(nodeId)!.incarnation,
      isVoter: true,
      wasVoter: false,
      isDamaged: false,
    }));
}

/** Whether a node is still the member that it was: it has not lost its disk, nor left and come back. */
function isPresent(
  image: ClusterImage,
  partition: PartitionImage,
  { nodeId, incarnation }: RecoveredVoter,
): boolean {
  const life = lifeOf(image, nodeId);
  return partition.memberOf(nodeId)?.incarnation === incarnation &&
    partition.incarnationOf(nodeId, life) === incarnation;
}
