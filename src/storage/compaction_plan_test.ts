import { strict as assert } from "node:assert";
import {
  type CompactionPolicy,
  groupLength,
  planCompaction,
  type PlannedSegment,
} from "./compaction_plan.ts";

const POLICY: CompactionPolicy = {
  minDirtyRatio: 0.5,
  minLagMs: 0,
  maxLagMs: Infinity,
  deleteRetentionMs: 0,
  segmentBytes: 250,
};
const NOW = 10_000;

/** Segments of ten offsets and a hundred bytes each; the last one is written to. */
function segments(count: number, change: Partial<PlannedSegment> = {}): PlannedSegment[] {
  return Array.from({ length: count }, (_, i) => ({
    baseOffset: 10 * i,
    endOffset: 10 * i + 10,
    sizeBytes: 100,
    maxTimestampMs: 1_000 * i,
    createdMs: 1_000 * i,
    isSettled: i < count - 1,
    ...change,
  }));
}

const plan = (list: PlannedSegment[], clean = 0, limit = Infinity, policy = POLICY) =>
  planCompaction(list, clean, limit, policy, NOW);

Deno.test("a round covers settled segments up to the limit, and is due when enough of them is dirty", () => {
  const whole = plan(segments(5));
  assert.deepEqual(whole, { dirtyOffset: 0, endOffset: 40, dirtyRatio: 1, isDue: true });
  assert.equal(plan(segments(5), 0, 39)!.endOffset, 30, "a segment beyond the limit stays");
  assert.equal(plan(segments(5), 20)!.isDue, false, "half is not more than half");
  assert.equal(plan(segments(5), 10)!.isDue, true);
  assert.equal(plan(segments(5), 10)!.dirtyOffset, 10);
});

Deno.test("there is nothing to do in an empty log, a clean one, and behind what is not settled", () => {
  assert.equal(plan([]), null);
  assert.equal(plan(segments(1)), null);
  assert.equal(plan(segments(5), 40), null);
  assert.equal(plan(segments(5), 0, 5), null);
  assert.equal(plan(segments(5, { isSettled: false })), null);
});

Deno.test("young records wait, old ones do not wait for others", () => {
  // Segment 3 has records of 3,000 ms.
  const waiting = { ...POLICY, minLagMs: NOW - 2_500 };
  assert.equal(plan(segments(6), 0, Infinity, waiting)!.endOffset, 30);
  assert.equal(plan(segments(6), 30, Infinity, waiting), null);
  const patient = { ...POLICY, minDirtyRatio: 1 };
  assert.equal(plan(segments(6), 10, Infinity, patient)!.isDue, false);
  assert.equal(plan(segments(6), 10, Infinity, { ...patient, maxLagMs: 8_999 })!.isDue, true);
  assert.equal(plan(segments(6), 10, Infinity, { ...patient, maxLagMs: 9_000 })!.isDue, false);
});

Deno.test("a log that was trimmed behind what is clean begins at its first segment", () => {
  assert.equal(plan(segments(5).slice(2), 10)!.dirtyOffset, 20);
});

Deno.test("segments are written together up to the size of one", () => {
  const list = segments(6);
  assert.equal(groupLength(list, 0, 50, 250), 2);
  assert.equal(groupLength(list, 2, 50, 300), 3);
  assert.equal(groupLength(list, 4, 50, 300), 1, "the one that is written to is left alone");
  assert.equal(groupLength(list, 0, 50, 10), 1, "one that is larger goes alone");
  assert.equal(groupLength(list, 0, 15, 1_000), 2, "what the round does not cover is left alone");
  assert.equal(groupLength(list, 5, 100, 1_000), 0);
});
