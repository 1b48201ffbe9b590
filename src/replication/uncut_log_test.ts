import { strict as assert } from "node:assert";
import { UncutLog } from "./uncut_log.ts";

const BEAT_MS = 200;

/** Cuts that fail with each heartbeat, until `untilMs`. */
function failing(log: UncutLog, fromMs: number, untilMs: number): void {
  for (let nowMs = fromMs; nowMs <= untilMs; nowMs += BEAT_MS) {
    log.begin(nowMs);
    log.end(true, nowMs);
  }
}

Deno.test("a log that cannot be cut says for how long, until it was cut", () => {
  const log = new UncutLog();
  assert.equal(log.forMs(1_000), 0);
  failing(log, 1_000, 13_000);
  assert.equal(log.forMs(13_000), 12_000);
  log.begin(13_200);
  // The disk takes its time with the last try.
  assert.equal(log.forMs(40_000), 39_000);
  log.end(false, 40_000);
  assert.equal(log.forMs(40_001), 0);
});

Deno.test("a log that no leader asks to cut any more has not to be cut, and a later time begins anew", () => {
  const log = new UncutLog();
  failing(log, 1_000, 2_000);
  assert.equal(log.forMs(20_000), 0);
  failing(log, 30_000, 31_000);
  assert.equal(log.forMs(31_000), 1_000);
});
