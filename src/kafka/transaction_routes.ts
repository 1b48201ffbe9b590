/**
 * The way of requests about transactions: to the shard that owns the transactional id's partition of
 * `__transaction_state`.
 *
 * @module
 */

import type { PartitionImage } from "../cluster/image.ts";
import { TRANSACTIONS_SINCE_VERSION } from "../cluster/logical_version.ts";
import { TRANSACTIONS_TOPIC } from "../cluster/topic_names.ts";
import { groupPartition } from "../group/group_partition.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { ShardRoute } from "./handler.ts";
import type { Services } from "./services.ts";

/** To the shard of the one transactional id that the request names. */
export const ON_TRANSACTION_SHARD: ShardRoute<{ readonly transactionalId: string }> = {
  kind: "shard",
  shardOf: ({ transactionalId }, services) =>
    services.transactions.shardOfTransaction(transactionalId),
};

/** The partition that keeps a transactional id; null as long as the topic does not exist. */
export function transactionPartition(
  { image }: Pick<Services, "image">,
  transactionalId: string,
): PartitionImage | null {
  const partitions = image.topicByName(TRANSACTIONS_TOPIC)?.partitions ?? [];
  if (partitions.length === 0) return null;
  return partitions[groupPartition(transactionalId, partitions.length)]!;
}

/** Every node of the cluster keeps its part of transactions. */
export function hasTransactions({ image }: Pick<Services, "image">): boolean {
  return image.logicalVersion >= TRANSACTIONS_SINCE_VERSION;
}

/** PRODUCER_FENCED as a client knows it whose version does not have it. */
export function fencedErrorOf(errorCode: number, knowsFenced: boolean): number {
  const isFenced = errorCode === ErrorCode.PRODUCER_FENCED;
  return isFenced && !knowsFenced ? ErrorCode.INVALID_PRODUCER_EPOCH : errorCode;
}
