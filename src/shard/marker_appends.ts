/**
 * Appends transaction markers to the partitions that this shard leads.
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import type { MarkerWriter } from "../kafka/marker_writer.ts";
import type { Partition } from "../kafka/partition.ts";
import { type AppendMemory, RecordAppender } from "../kafka/record_appender.ts";
import type { OwnershipListener } from "./partition_table.ts";

export class MarkerAppends implements MarkerWriter, OwnershipListener {
  readonly #memory: Memory;
  readonly #blocks: AppendMemory;
  readonly #wallMs: () => number;
  readonly #ownAppender: (partition: Partition) => RecordAppender | null;
  readonly #onMarker: (groupId: number, producerId: number) => void;
  /** Of partitions that took a marker. */
  readonly #appenders = new Map<number, RecordAppender>();

  /**
   * @param ownAppender who appends to a partition whose markers keep an order with other records
   * @param onMarker told before each marker
   */
  constructor(
    memory: Memory,
    blocks: AppendMemory,
    wallMs: () => number,
    ownAppender: (partition: Partition) => RecordAppender | null,
    onMarker: (groupId: number, producerId: number) => void,
  ) {
    this.#memory = memory;
    this.#blocks = blocks;
    this.#wallMs = wallMs;
    this.#ownAppender = ownAppender;
    this.#onMarker = onMarker;
  }

  append(
    partition: Partition,
    producerId: number,
    batch: Uint8Array,
    done: (result: number) => void,
  ): void {
    const { groupId } = partition.log;
    let appender = this.#ownAppender(partition) ?? this.#appenders.get(groupId);
    if (appender === undefined) {
      appender = new RecordAppender(partition, this.#memory, this.#blocks, this.#wallMs);
      this.#appenders.set(groupId, appender);
    }
    this.#onMarker(groupId, producerId);
    appender.append(batch, done);
  }

  /** Appends may be tried again. */
  retry(): void {
    for (const appender of this.#appenders.values()) appender.retry();
  }

  partitionOpened(): void {}

  partitionClosed(partition: Partition): void {
    const { groupId } = partition.log;
    this.#appenders.get(groupId)?.retry();
    this.#appenders.delete(groupId);
  }
}
