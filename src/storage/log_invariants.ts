/**
 * What holds of a log between any two calls, whatever happened: asked by simulations and tests every turn.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { PartitionLog } from "./partition_log.ts";

/** Fails when the parts of a log contradict each other. */
export function checkInvariants(log: PartitionLog): void {
  const { startIndex, startOffset, lastIndex, endOffset, lastTerm } = log;
  assert(startIndex <= lastIndex && startOffset <= endOffset, "a log starts beyond its end");
  assert(log.durableIndex <= lastIndex, "durable beyond the end");
  assert(log.durableEndOffset <= endOffset, "durable beyond the end");
  assert(log.committedIndex <= lastIndex, "committed beyond the end");
  assert(log.durableHardVersion <= log.hardVersion, "a hard state is durable before it is set");
  assert(lastTerm >= log.startTerm, "terms go back");
  const meta = log.metas.entries.at(-1);
  assert(meta === undefined || meta.index <= lastIndex, "an entry beyond the end");
  assert(log.metas.indexAt(endOffset) === lastIndex + 1, "indexes and offsets part");
  assert(!log.suspect || log.gate.refusal !== 0, "a suspect log takes appends");
  assert(!log.deleted || log.gate.refusal !== 0, "a deleted log takes appends");
  checkSegments(log);
}

function checkSegments(log: PartitionLog): void {
  let end = -1;
  let sizeBytes = 0;
  const { segmentList } = log;
  for (let i = 0; i < segmentList.length; i++) {
    const segment = segmentList[i]!;
    assert(segment.baseOffset >= end, "segments overlap");
    assert(segment.endOffset >= segment.baseOffset, "a segment ends before it begins");
    assert(segment.closed || i === segmentList.length - 1, "an open segment is not the last");
    assert(segment.generation < log.chain.generationNext, "a generation is given twice");
    assert(!segment.dropped, "a dropped segment is in a log");
    end = segment.endOffset;
    sizeBytes += segment.sizeBytes;
  }
  assert(end <= log.endOffset, "a segment ends beyond its log");
  assert(sizeBytes === log.sizeBytes, "the sizes of the segments do not add up");
}
