/**
 * Producer ids: unique for the life of the cluster, handed out in blocks.
 *
 * The controller gives each shard a block of {@linkcode PRODUCER_ID_BLOCK_SIZE} by one record; the
 * shard then answers its clients from the block without asking anybody. What a shard has not used
 * when it stops is lost, which is fine: there are 2^53 of them.
 *
 * @module
 */

import type { CommandContext } from "./command.ts";
import { RecordType } from "./records.ts";

/** Ids in a block (Kafka's size). */
export const PRODUCER_ID_BLOCK_SIZE = 1000;

/** Takes the next block; returns its first id. */
export function allocateProducerIds(context: CommandContext): number {
  const first = context.image.nextProducerId;
  const nextProducerId = first + PRODUCER_ID_BLOCK_SIZE;
  context.emit({ type: RecordType.PRODUCER_IDS, body: { nextProducerId } });
  return first;
}

/** What a shard has left of its block. */
export class ProducerIdBlock {
  #next = 0;
  #end = 0;

  /** Ids left. */
  get remaining(): number {
    return this.#end - this.#next;
  }

  /** The next id, or -1 when a new block is needed. */
  take(): number {
    return this.#next < this.#end ? this.#next++ : -1;
  }

  /** Starts on the block that begins at `first`. */
  refill(first: number): void {
    this.#next = first;
    this.#end = first + PRODUCER_ID_BLOCK_SIZE;
  }
}
