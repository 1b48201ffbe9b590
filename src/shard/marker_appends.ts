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
  /** Markers that are neither committed nor refused, by partition and producer. */
  readonly #underWay = new Map<string, number>();
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
    const key = `${groupId}/${producerId}`;
    this.#underWay.set(key, (this.#underWay.get(key) ?? 0) + 1);
    appender.append(batch, (result) => {
      const left = this.#underWay.get(key)! - 1;
      if (left === 0) this.#underWay.delete(key);
      else this.#underWay.set(key, left);
      done(result);
    });
  }

  isEnding({ log: { groupId } }: Partition, producerId: number): boolean {
    return this.#underWay.has(`${groupId}/${producerId}`);
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
