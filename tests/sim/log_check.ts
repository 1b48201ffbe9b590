/**
 * Holds a log against the model's state: where it begins and ends, its entries, its producers.
 *
 * @module
 */

import { assert } from "../../src/base/assert.ts";
import type { PartitionLog } from "../../src/storage/partition_log.ts";
import { lastSequenceOf, ProducerCheck } from "../../src/storage/producer_table.ts";
import type { ModelState } from "./log_model.ts";

export function checkEnds(log: PartitionLog, state: ModelState): void {
  assert(!state.deleted, "a deleted group came back");
  assert(log.startOffset === state.startOffset, "log start differs");
  assert(log.endOffset === state.endOffset, "log end differs");
  assert(log.lastIndex === state.lastIndex, "last index differs");
  assert(log.lastTerm === state.lastTerm, "last term differs");
  assert(log.hardTerm === state.hardTerm && log.hardVote === state.hardVote, "vote differs");
}

/** Each entry without a batch is there, and indexes and offsets of batches belong together. */
export function checkEntries(log: PartitionLog, state: ModelState): void {
  let index = 1;
  for (const entry of state.entries) {
    if (entry.meta !== null && entry.lastIndex > log.startIndex) {
      const meta = log.metaFrom(entry.lastIndex);
      assert(meta !== null && meta.index === entry.lastIndex, "a meta entry is missing");
      assert(meta.kind === entry.meta.kind && meta.term === entry.meta.term, "meta differs");
      assert(meta.payload[0] === entry.meta.mark, "a meta entry's payload differs");
    }
    if (entry.batch !== null && entry.batch.offset >= log.startOffset) {
      assert(log.indexAt(entry.batch.offset) === index, "index of an offset differs");
      assert(log.offsetAt(index) === entry.batch.offset, "offset of an index differs");
    }
    index = entry.lastIndex + 1;
  }
}

/** A producer's last batch is known as a duplicate, and its next sequence is taken. */
export function checkProducer(
  log: PartitionLog,
  state: ModelState,
  producerId: number,
  nowMs: number,
): void {
  const last = state.lastBatchOf(producerId);
  if (last === null) return;
  const { producers } = log;
  const lastSequence = lastSequenceOf(last.firstSequence, last.endOffset - last.offset);
  const again = producers.check(producerId, 0, last.firstSequence, lastSequence, nowMs);
  assert(again === ProducerCheck.DUPLICATE, "a duplicate is not known");
  assert(producers.duplicateOffset === last.offset, "a duplicate has another offset");
  const next = producers.check(producerId, 0, lastSequence + 1, lastSequence + 1, nowMs);
  assert(next === ProducerCheck.NEW, "the next sequence is refused");
}
