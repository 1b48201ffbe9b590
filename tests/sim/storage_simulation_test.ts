import { strict as assert } from "node:assert";
import { MetaKind } from "../../src/storage/log.ts";
import type { PartitionLog } from "../../src/storage/partition_log.ts";
import { writeSampleBatch } from "./sample_batch.ts";
import { TEST_LIMITS, TestNode } from "./storage_node.ts";
import { StorageSimulation } from "./storage_simulation.ts";

/** Every so many seeds one is run twice. */
const TWICE_STRIDE = 10;
const NO_PAYLOAD = new Uint8Array(0);

Deno.test("random work, crashes and restarts keep every durable record, the same in every run", () => {
  // GREGOR_TEST_SEEDS=FIRST-LAST (or COUNT) runs others than the usual ones.
  const chosen = /^(?:(\d+)-)?(\d+)$/.exec(Deno.env.get("GREGOR_TEST_SEEDS") ?? "200");
  assert.ok(chosen !== null, "GREGOR_TEST_SEEDS is neither COUNT nor FIRST-LAST");
  const met = {
    largeBatches: 0,
    trimsToEnd: 0,
    retentions: 0,
    cuts: 0,
    dooms: 0,
    failures: 0,
    hiccups: 0,
  };
  let twice = 0;
  const last = Number(chosen[2]);
  for (let seed = Number(chosen[1] ?? 1); seed <= last; seed++) {
    const simulation = runSeed(seed);
    for (const what of Object.keys(met) as (keyof typeof met)[]) met[what] += simulation[what];
    if (seed % TWICE_STRIDE !== 0) continue;
    const again = runSeed(seed);
    assert.equal(again.hash, simulation.hash, `seed ${seed}: two runs differ`);
    assert.equal(again.operations, simulation.operations);
    twice++;
  }
  for (const [what, count] of Object.entries(met)) assert.ok(count > 0, `no ${what} in any run`);
  console.log(`${twice} seeds were run twice, and were equal`);
});

function runSeed(seed: number): StorageSimulation {
  const simulation = new StorageSimulation(seed);
  try {
    simulation.run(5, 800);
  } catch (error) {
    throw new Error(`seed ${seed}, life ${simulation.lives}`, { cause: error });
  }
  return simulation;
}

/** A small life that has everything: appends over a checkpoint, a cut, a trim, a roll. */
function smallLife(node: TestNode): { log: PartitionLog; told: number } | null {
  const engine = node.engines[0];
  if (engine === undefined) return null;
  let log = engine.logs.get(1);
  log ??= engine.createLog({
    groupId: 1,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: { ...TEST_LIMITS, segmentBytes: 8192 },
    listener: null,
  });
  if (log.lastTerm === 0) log.appendMeta(MetaKind.NO_OP, 1, NO_PAYLOAD);
  const put = (valueBytes: number): void => {
    const { memory, crc32c } = node;
    const batch = { recordCount: 1, valueBytes, fill: log.endOffset, timestampMs: 9 };
    const size = writeSampleBatch(memory, crc32c, 0, batch);
    for (let i = 0; i < 5 && !node.disk.crashed; i++) {
      if (log.append(0, size, log.lastTerm, node.nowMs) >= 0) break;
      node.settle();
    }
    if (log.endOffset % 2 === 0) node.settle();
  };
  for (let i = 0; i < 8; i++) put(700 + 300 * i);
  node.settle();
  engine.checkpoint();
  for (let i = 0; i < 4; i++) put(500);
  node.settle();
  if (!node.disk.crashed && log.lastIndex > 4) node.finish(log.truncate(log.lastIndex - 2));
  for (let i = 0; i < 3; i++) put(1500);
  node.settle();
  const told = log.durableEndOffset;
  return { log, told };
}

Deno.test("a crash at every single operation of the disk leaves what was durable", () => {
  const whole = new TestNode({ seed: 11 });
  assert.equal(whole.mount(1), true);
  const before = whole.disk.operations;
  smallLife(whole);
  const operations = whole.disk.operations - before;
  assert.ok(operations > 30, `only ${operations} operations`);
  for (let crashAt = 0; crashAt < operations; crashAt++) {
    const node = new TestNode({ seed: 11 });
    assert.equal(node.mount(1), true);
    node.disk.crashAfterOps(crashAt);
    const life = smallLife(node)!;
    const cut = life.log.gate.refusal !== 0;
    const durable = life.log.durableEndOffset;
    node.crash();
    assert.equal(node.mount(1), true, `crash at ${crashAt}`);
    assert.deepEqual(node.report!.damages, []);
    const log = node.log(1);
    if (log === undefined) {
      assert.equal(durable, 0);
      continue;
    }
    if (!cut) assert.ok(log.endOffset >= durable, `crash at ${crashAt}: durable records lost`);
    const bytes = node.readAll(log, log.startOffset);
    assert.ok(bytes !== null, `crash at ${crashAt}: unreadable`);
    // The life after goes on from there, and comes back whole.
    const next = smallLife(node)!;
    node.settle();
    const kept = node.readAll(next.log, 0);
    node.crash();
    assert.equal(node.mount(2), true);
    assert.deepEqual(node.readAll(node.log(1)!, 0), kept);
  }
});
