/**
 * Producer ids: unique in the cluster for ever, assigned in blocks.
 *
 * One record takes a block of {@linkcode PRODUCER_ID_BLOCK_SIZE}; the next clients are answered from
 * the block without another one. Ids that are not used when the node stops are lost; there are 2^53
 * of them.
 *
 * @module
 */

import type { CommandContext } from "./command.ts";
import { RecordType } from "./records.ts";

/** Ids in a block (Kafka's size). */
export const PRODUCER_ID_BLOCK_SIZE = 1000;

/** Ids that are passed by after a loss: as many as a thousand lost blocks hold. */
const PRODUCER_IDS_SKIPPED = 1000 * PRODUCER_ID_BLOCK_SIZE;

/** Takes the next block; returns its first id. */
export function allocateProducerIds(context: CommandContext): number {
  const first = context.image.nextProducerId;
  const nextProducerId = first + PRODUCER_ID_BLOCK_SIZE;
  context.emit([{ type: RecordType.PRODUCER_IDS, body: { nextProducerId } }]);
  return first;
}

/** Passes by ids that a metadata log may have given out before damage took its end. */
export function skipProducerIds({ image, emit }: CommandContext): void {
  const nextProducerId = image.nextProducerId + PRODUCER_IDS_SKIPPED;
  emit([{ type: RecordType.PRODUCER_IDS, body: { nextProducerId } }]);
}

/**
 * Takes one id, and a new block when `block` is used up. As a command it ends when the block that the
 * id is from is committed.
 */
export function nextProducerId(context: CommandContext, block: ProducerIdBlock): number {
  if (block.remaining === 0) block.refill(allocateProducerIds(context));
  return block.take();
}

/** What is left of a block. */
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

  /** Forgets what is left: the block may never be committed. */
  discard(): void {
    this.#end = this.#next;
  }

  /** Starts on the block that begins at `first`. */
  refill(first: number): void {
    this.#next = first;
    this.#end = first + PRODUCER_ID_BLOCK_SIZE;
  }
}
