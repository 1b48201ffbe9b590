/**
 * What recording costs a request: everything that a produce request of one batch has counted and measured.
 *
 *     deno bench -A tests/bench/metrics_bench.ts
 *
 * A produce request takes about 12 us of a shard's time in all. That recording takes at most 1 % of throughput is measured
 * with two checkouts: `deno task bench --only records --cells "1 KiB, none" --checkout DIR`.
 *
 * @module
 */

import { Slot } from "../../src/metrics/catalog.ts";
import { RECORDER_BYTES, ShardRecorder } from "../../src/metrics/recorder.ts";
import { TrafficKind } from "../../src/metrics/traffic.ts";

const REQUESTS = 1000;
const PRODUCE_KEY = 0;

const recorder = new ShardRecorder(new SharedArrayBuffer(RECORDER_BYTES));
let nowMs = 0;
recorder.clockMs = () => nowMs += 0.001;
const rows = Array.from({ length: 16 }, () => recorder.traffic.open());

/** As a request on its way: received, appended, answered, sent. */
function record(row: number): void {
  const startedMs = recorder.nowMs - (row & 7) * 0.1;
  recorder.add(Slot.KAFKA_RECEIVED, 1200);
  recorder.traffic.add(row, TrafficKind.PRODUCED_BYTES, 1024);
  recorder.traffic.add(row, TrafficKind.PRODUCED_RECORDS, 1);
  recorder.noteAnswered(PRODUCE_KEY, startedMs);
  recorder.add(Slot.KAFKA_SENT, 60);
}

Deno.bench(`${REQUESTS} recorded requests (1 us here are 1 ns a request)`, () => {
  for (let i = 0; i < REQUESTS; i++) record(rows[i & 15]!);
});

Deno.bench(`${REQUESTS} recorded turns`, () => {
  for (let i = 0; i < REQUESTS; i++) {
    recorder.noteTime();
    recorder.add(Slot.TURNS, 1);
    recorder.add(Slot.CPU_BUSY, 0.0001);
    recorder.observe(Slot.TURN_TIME, 0.1);
  }
});
