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
import { knowChanges } from "./reassign.ts";
import { RecordType } from "./records.ts";

/** The partition, and the node whose replica is to be the only one. */
export interface Recovery {
  readonly topic: string;
  readonly partition: number;
  readonly nodeId: number;
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
  if (partition.adding.includes(nodeId)) {
    const message = `node ${nodeId} is only becoming a replica of ${what}`;
    return refuse(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message);
  }
  if (!isAlive(nodeId)) {
    const message = `node ${nodeId} cannot be reached`;
    return refuse(ErrorCode.BROKER_NOT_AVAILABLE, message);
  }
  const voters = partition.replicas.filter((node) => !partition.adding.includes(node));
  const alive = voters.filter(isAlive);
  if (alive.length > voters.length / 2) {
    const message =
      `${alive.length} of the ${voters.length} replicas of ${what} can be reached, which ` +
      "is a majority: they elect a leader by themselves, and nothing is lost; nodes that lost their disks, and cannot be " +
      "filled any more, count as well until they are stopped";
    return refuse(ErrorCode.ELECTION_NOT_NEEDED, message);
  }
  if (!knowChanges(image)) {
    const message = "not every node of the cluster has a program that can change replicas";
    return refuse(ErrorCode.UNSUPPORTED_VERSION, message);
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
