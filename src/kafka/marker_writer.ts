/**
 * Who appends transaction markers to the partitions of a shard, as handlers see it.
 *
 * @module
 */

import type { Partition } from "./partition.ts";

export interface MarkerWriter {
  /**
   * Appends a control batch to a partition that is led here.
   *
   * @param producerId whose transaction it ends
   * @param done the base offset once it is committed, or a refusal as of `RecordAppender`
   */
  append(
    partition: Partition,
    producerId: number,
    batch: Uint8Array,
    done: (result: number) => void,
  ): void;

  /** A marker of the producer's is on its way into the partition's log: whether its transaction goes on is asked anew. */
  isEnding(partition: Partition, producerId: number): boolean;
}
