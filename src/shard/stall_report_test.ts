import { strict as assert } from "node:assert";
import { StallReport } from "./stall_report.ts";

Deno.test("a box that stalls all day says so in a few lines, and counts every stall", () => {
  const report = new StallReport();
  let lines = 0;
  let stalls = 0;
  const dayMs = 24 * 3600 * 1000;
  for (let nowMs = 0; nowMs < dayMs; nowMs += 500) {
    const told = report.note(nowMs === 5_000 ? 900 : 30, nowMs);
    if (told === null) continue;
    lines++;
    stalls += told.stalls;
    if (lines === 2) assert.equal(told.longestMs, 900);
  }
  assert.ok(lines < 150, `${lines} lines`);
  assert.ok(stalls > dayMs / 500 - 2000);
});

Deno.test("the first stall after a quiet time is reported at once", () => {
  const report = new StallReport();
  for (let nowMs = 0; nowMs < 3_600_000; nowMs += 500) report.note(30, nowMs);
  assert.deepEqual(report.note(77, 10_000_000)?.longestMs, 77);
  assert.equal(report.note(30, 10_000_500), null);
  assert.notEqual(report.note(30, 10_012_000), null);
});
