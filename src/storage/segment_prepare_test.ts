import { strict as assert } from "node:assert";
import { isNearEnd, reservationEnd } from "./segment_prepare.ts";

const MIB = 2 ** 20;

/** Reservations while a segment grows to `totalBytes`, and the least that was ahead of an append's end. */
function grow(totalBytes: number, batchBytes: number): { count: number; least: number } {
  const segmentBytes = 1024 * MIB;
  let reservedEnd = 0;
  let count = 0;
  let least = Infinity;
  for (let size = 0; size < totalBytes; size += batchBytes) {
    if (
      size + batchBytes > reservedEnd || isNearEnd(reservedEnd, size + batchBytes, segmentBytes)
    ) {
      const end = reservationEnd(size, batchBytes, segmentBytes);
      if (end > reservedEnd) {
        count++;
        reservedEnd = end;
      }
    }
    if (size > MIB) least = Math.min(least, reservedEnd - size - batchBytes);
  }
  return { count, least };
}

Deno.test("a segment that grows is given space in steps, not with every few appends", () => {
  for (const batchBytes of [1024, 64 * 1024, MIB]) {
    const { count, least } = grow(600 * MIB, batchBytes);
    // 16 MiB a time once it is large; a dozen while it grows up to that.
    assert.ok(count <= 600 / 16 + 16, `${count} reservations for 600 MiB in ${batchBytes}`);
    // Room is asked for before it is needed.
    assert.ok(least >= 0, `${least}`);
  }
});

Deno.test("a small segment reserves little, and none reserves beyond its limit", () => {
  assert.equal(reservationEnd(0, 100, 1024 * MIB), 128 * 1024);
  assert.equal(reservationEnd(100 * MIB, 100, 1024 * MIB), 132 * MIB);
  assert.equal(reservationEnd(1023 * MIB, 100, 1024 * MIB), 1024 * MIB);
  assert.equal(reservationEnd(0, 8192, 4096), 8192);
  assert.equal(isNearEnd(1024 * MIB, 1024 * MIB, 1024 * MIB), false);
});
