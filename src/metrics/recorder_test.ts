import { strict as assert } from "node:assert";
import v8 from "node:v8";
import { API_KEYS_MAX, API_LATENCY, METRICS, RECORDED, RECORDED_SIZE, Slot } from "./catalog.ts";
import { HISTOGRAM_SIZE, SUM_AT } from "./histogram_buckets.ts";
import { RECORDER_BYTES, ShardRecorder } from "./recorder.ts";
import { TrafficKind } from "./traffic.ts";

/** If each allocated one small object, garbage would be collected about 150 times. */
const REQUESTS = 5_000_000;
/** The runtime's own: compiled code, for instance. */
const COLLECTIONS_MAX = 15;

Deno.test("every series has a place of its own", () => {
  const taken = new Uint8Array(RECORDED_SIZE);
  taken.fill(1, API_LATENCY, API_LATENCY + API_KEYS_MAX * HISTOGRAM_SIZE);
  for (const { metric, labels, at } of RECORDED) {
    assert.equal(labels.length, metric.labels.length, metric.name);
    const end = at + (metric.type === "histogram" ? HISTOGRAM_SIZE : 1);
    for (let slot = at; slot < end; slot++) assert.equal(taken[slot]!++, 0, metric.name);
  }
  assert.ok(taken.every((count) => count === 1));
});

Deno.test("names are Prometheus' and unique; what is not Redpanda's begins with gregor_", () => {
  const names = METRICS.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const { name, labels, help } of METRICS) {
    assert.match(name, /^(?:redpanda|gregor)_[a-z][a-z0-9_]*$/);
    assert.ok(labels.every((label) => /^[a-z][a-z_]*$/.test(label)), name);
    assert.match(help, /^[A-Z0-9][^|]*[^.|]$/, name);
  }
});

Deno.test("what is recorded is seen in the memory that it was given", () => {
  const shared = new SharedArrayBuffer(RECORDER_BYTES);
  const recorder = new ShardRecorder(shared);
  const seen = new Float64Array(shared);
  recorder.add(Slot.KAFKA_RECEIVED, 100);
  recorder.add(Slot.KAFKA_RECEIVED, 23);
  recorder.set(Slot.LOGS, 7);
  assert.equal(seen[Slot.KAFKA_RECEIVED], 123);
  assert.equal(seen[Slot.LOGS], 7);
});

Deno.test("a request's time is from when it was taken to when its answer leaves", () => {
  const recorder = new ShardRecorder();
  let clockMs = 1000;
  recorder.clockMs = () => clockMs;
  recorder.noteTime();
  const startedMs = recorder.nowMs;
  clockMs = 1002.5;
  recorder.noteTime();
  recorder.noteAnswered(3, startedMs);
  const at = API_LATENCY + 3 * HISTOGRAM_SIZE;
  assert.equal(recorder.values[at + SUM_AT], 2500);
  // Keys that are no API's of Kafka are not counted, wherever they come from.
  recorder.noteAnswered(API_KEYS_MAX, startedMs);
  recorder.noteAnswered(-1, startedMs);
  const sum = recorder.values.reduce((total, value) => total + value, 0);
  assert.equal(sum, 2501);
});

Deno.test("no time is too short or too long to be recorded", () => {
  const recorder = new ShardRecorder();
  for (const ms of [-5, 0, 0.0004, 1e12, Infinity]) recorder.observe(Slot.FLUSH_TIME, ms);
  const counts = recorder.values.subarray(Slot.FLUSH_TIME, Slot.FLUSH_TIME + SUM_AT);
  assert.equal(counts[0], 3);
  assert.equal(counts.at(-1), 2);
});

Deno.test("recording allocates nothing", () => {
  const recorder = new ShardRecorder(new SharedArrayBuffer(RECORDER_BYTES));
  const clock = new Float64Array([1000]);
  recorder.clockMs = () => clock[0]!;
  const row = recorder.traffic.open();
  const slot = { startedMs: 0.5 };
  const record = (count: number): void => {
    for (let i = 0; i < count; i++) {
      slot.startedMs = recorder.nowMs;
      clock[0]! += 0.37;
      recorder.noteTime();
      recorder.add(Slot.KAFKA_RECEIVED, 1200);
      recorder.traffic.add(row, TrafficKind.PRODUCED_BYTES, 1024);
      recorder.noteAnswered(i & 63, slot.startedMs);
    }
  };
  record(100_000);
  const profiler = new v8.GCProfiler();
  profiler.start();
  record(REQUESTS);
  const collections = profiler.stop()!.statistics.length;
  assert.ok(collections <= COLLECTIONS_MAX, `garbage was collected ${collections} times`);
  assert.equal(recorder.traffic.get(row, TrafficKind.PRODUCED_BYTES), (REQUESTS + 100_000) * 1024);
});
