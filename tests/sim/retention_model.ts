/**
 * What the segments of a log must hold, and which of them Kafka's retention takes: derived from the model's batches
 * and the limits alone, so that a log start can be compared exactly.
 *
 * @module
 */

import { assert } from "../../src/base/assert.ts";
import type { RetentionLimits, SegmentSummary } from "../../src/storage/log.ts";
import { batchMaxTimestamp } from "../../src/wire/record_batch.ts";
import type { ModelBatch, ModelState } from "./log_model.ts";

/** Holds segments to the batches that were appended: they follow each other, and none is below the start. */
export function checkSegments(
  segments: readonly SegmentSummary[],
  { startOffset, cutToStart }: ModelState,
  batches: readonly ModelBatch[],
): void {
  let at = batches.findIndex((batch) => batch.offset >= (segments[0]?.baseOffset ?? Infinity));
  if (at < 0) at = batches.length;
  const skipped = batches[at - 1];
  assert(skipped === undefined || skipped.endOffset <= startOffset, "a segment is missing");
  for (const { baseOffset, endOffset, sizeBytes, maxTimestampMs } of segments) {
    let bytes = 0;
    let latest = -1;
    let offset = baseOffset;
    while (at < batches.length && batches[at]!.offset < endOffset) {
      const batch = batches[at++]!;
      assert(batch.offset === offset, "a segment begins elsewhere");
      bytes += batch.bytes.length;
      latest = Math.max(latest, batchMaxTimestamp(new DataView(viewed(batch.bytes)), 0));
      offset = batch.endOffset;
    }
    assert(offset === endOffset, "a segment ends elsewhere");
    assert(bytes === sizeBytes, "a segment has another size");
    assert(latest === maxTimestampMs, "a segment has another time");
  }
  assert(at === batches.length, "batches are in no segment");
  const first = segments[0];
  const kept = first === undefined || first.endOffset > startOffset || cutToStart ||
    first.baseOffset === first.endOffset;
  assert(kept, "a segment below the log start was kept");
}

function viewed(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer;
}

/**
 * The log start that Kafka's rules give. By time a segment goes when its youngest record is too old; by size the
 * oldest segments go while what is left without them still holds the limit, the last one never. Nothing goes
 * that holds an offset at or above the limit, and the first segment that stays ends both.
 */
export function expectedStart(
  segments: readonly SegmentSummary[],
  startOffset: number,
  nowMs: number,
  limits: RetentionLimits,
): number {
  const total = segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
  let start = startOffset;
  let gone = 0;
  for (const [i, { sizeBytes, endOffset, maxTimestampMs }] of segments.entries()) {
    if (sizeBytes === 0 || endOffset > limits.limitOffset) return start;
    const old = limits.retentionMs >= 0 && maxTimestampMs + limits.retentionMs < nowMs;
    const more = limits.retentionBytes >= 0 && i < segments.length - 1 &&
      total - gone - sizeBytes >= limits.retentionBytes;
    if (!old && !more) return start;
    gone += sizeBytes;
    start = Math.max(start, endOffset);
  }
  return start;
}
