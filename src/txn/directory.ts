/**
 * The transaction coordinators of a shard, as handlers see them.
 *
 * @module
 */

import type { TransactionCoordinator } from "./coordinator.ts";

export interface TransactionDirectory {
  /** The coordinator of a transactional id, if its partition is led here and is this shard's. */
  coordinatorFor(transactionalId: string): TransactionCoordinator | null;
  /** The shard that owns a transactional id's partition; 0 while there is no such topic. */
  shardOfTransaction(transactionalId: string): number;
  all(): Iterable<TransactionCoordinator>;
}
