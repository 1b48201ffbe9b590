import { strict as assert } from "node:assert";
import { ProducerCheck } from "./producer_table.ts";
import { LOG_BUSY, MetaKind } from "./log.ts";
import { encodeProducers } from "./log_producers.ts";
import type { PartitionLog } from "./partition_log.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";

/** Their rows are longer than the largest block of a test node's memory, and than any journal record. */
const PRODUCERS = 24_000;
const SEGMENTS = 20_000;

function makeLog(node: TestNode): PartitionLog {
  const log = node.engines[0]!.createLog({
    groupId: 2,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: { ...TEST_LIMITS, segmentBytes: 64 * 1024 * 1024 },
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
  return log;
}

function appendOf(node: TestNode, log: PartitionLog, producerId: number): number {
  const { memory, crc32c } = node;
  const size = writeSampleBatch(memory, crc32c, 0, {
    recordCount: 1,
    valueBytes: 1,
    fill: 7,
    timestampMs: 5000,
    producerId,
    producerEpoch: 0,
    baseSequence: 0,
  });
  let offset: number = LOG_BUSY;
  for (let i = 0; offset === LOG_BUSY && i < 60; i++) {
    offset = log.append(0, size, log.lastTerm, node.nowMs);
    if (offset === LOG_BUSY) node.settle();
  }
  return offset;
}

function knows(node: TestNode, log: PartitionLog, producerId: number): void {
  const verdict = log.producers.check(producerId, 0, 0, 0, node.nowMs);
  assert.equal(verdict, ProducerCheck.DUPLICATE, `producer ${producerId}`);
  assert.equal(log.producers.duplicateOffset, producerId - 1);
}

function looksWhole(node: TestNode): PartitionLog {
  const log = node.log(2) as PartitionLog;
  assert.equal(log.endOffset, PRODUCERS);
  for (const id of [1, 2, PRODUCERS / 2, PRODUCERS - 1, PRODUCERS]) knows(node, log, id);
  assert.deepEqual([...node.damages, ...node.fatals], []);
  return log;
}

Deno.test("as many producers as there are records fit into a checkpoint, and into a start's", () => {
  const node = new TestNode({ seed: 71, journalBytes: 8 * 1024 * 1024 });
  assert.equal(node.mount(1), true);
  const log = makeLog(node);
  for (let id = 1; id <= PRODUCERS; id++) assert.equal(appendOf(node, log, id), id - 1);
  node.settle();
  // From the journal alone, from a checkpoint of a stop, and over another number of shards.
  node.crash();
  assert.equal(node.mount(1), true);
  looksWhole(node);
  for (const engine of node.engines) assert.equal(node.finish(engine.stop()), 0);
  node.crash();
  assert.equal(node.mount(2), true);
  const again = looksWhole(node);
  node.engines[0]!.checkpoint();
  for (let i = 0; i < 20; i++) node.settle();
  node.crash();
  assert.equal(node.mount(1), true);
  looksWhole(node);
  assert.ok(encodeProducers(again).length > node.engines[0]!.cache.arena.blockSizeMax);
});

Deno.test("a log of very many segments fits into a checkpoint, and its loss can be accepted", () => {
  const node = new TestNode({ seed: 72 });
  assert.equal(node.mount(1), true);
  const log = makeLog(node);
  appendOf(node, log, 1);
  node.settle();
  const [last] = log.chain.drop(() => true);
  for (let i = 0; i < SEGMENTS; i++) {
    const segment = log.newSegment(0, 1, 1, 1000 + i);
    segment.closed = true;
    segment.settled = true;
    log.chain.add(segment);
  }
  log.chain.add(last!);
  log.markSuspect();
  assert.equal(node.finish(node.engines[0]!.stop()), 0);
  node.crash();
  assert.equal(node.mount(1), true);
  const again = node.log(2) as PartitionLog;
  assert.equal(again.segmentList.length, SEGMENTS + 1);
  assert.equal(again.suspect, true);
  assert.equal(again.acceptLoss(), 0);
  assert.equal(appendOf(node, again, 2), 1);
  node.engines[0]!.checkpoint();
  for (let i = 0; i < 20; i++) node.settle();
  node.crash();
  assert.equal(node.mount(1), true);
  const mended = node.log(2) as PartitionLog;
  assert.equal(mended.suspect, false);
  assert.equal(mended.endOffset, 2);
  assert.deepEqual([...node.damages, ...node.fatals], []);
});
