import { strict as assert } from "node:assert";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { compress, COMPRESSION_NAMES } from "../bytes/compression.ts";
import type { Compression } from "../wire/record_batch.ts";
import { RecordBatchBuilder } from "../wire/record_batch_builder.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";
import { MetaKind } from "./log.ts";
import type { PartitionLog } from "./partition_log.ts";

function emptyNode(seed: number): { node: TestNode; log: PartitionLog } {
  const node = new TestNode({ seed });
  assert.equal(node.mount(1), true);
  const log = node.engines[0]!.createLog({
    groupId: 1,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: { ...TEST_LIMITS, segmentBytes: 40_000 },
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
  return { node, log };
}

/** Forty batches of three records; batch i begins at 10,000 + 100 i ms, its records 1 ms apart. */
function filledNode(seed: number): { node: TestNode; log: PartitionLog } {
  const { node, log } = emptyNode(seed);
  for (let i = 0; i < 40; i++) {
    const batch = { recordCount: 3, valueBytes: 1000, fill: i, timestampMs: 10_000 + 100 * i };
    const size = writeSampleBatch(node.memory, node.crc32c, 0, batch);
    while (log.append(0, size, 1, node.nowMs) < 0) node.settle();
  }
  node.settle();
  return { node, log };
}

Deno.test("offsetForTimestamp() finds the first record at or after a time, warm and cold", () => {
  const { node, log } = filledNode(21);
  const search = (timestampMs: number, limit = 120) => {
    const match = node.finish(node.log(1)!.offsetForTimestamp(timestampMs, limit))!;
    return [match.offset, match.timestampMs];
  };
  for (let life = 0; life < 2; life++) {
    assert.deepEqual(search(0), [0, 10_000]);
    assert.deepEqual(search(10_001), [1, 10_001]);
    assert.deepEqual(search(10_003), [3, 10_100]);
    assert.deepEqual(search(12_050), [63, 12_100]);
    assert.deepEqual(search(13_902), [119, 13_902]);
    assert.deepEqual(search(13_903), [-1, -1]);
    assert.deepEqual(search(12_050, 60), [-1, -1]);
    node.crash();
    assert.equal(node.mount(1), true);
  }
  assert.equal(log.maxTimestampMs, 13_902);
  assert.equal(node.log(1)!.maxTimestampOffset, 117);
});

Deno.test("offsetForTimestamp() looks into compressed batches", () => {
  const value = new Uint8Array(100);
  const plain = new RecordBatchBuilder();
  for (const timestamp of [1000, 1500, 1200, 2000]) plain.add({ key: null, value, timestamp });
  for (let compression = 0; compression < COMPRESSION_NAMES.length; compression++) {
    const { node, log } = emptyNode(25);
    const append = (bytes: Uint8Array) => {
      node.memory.bytes.set(bytes, 0);
      // The first append waits for its segment.
      for (let i = 0, offset = -1; i < 10 && offset < 0; i++) {
        offset = log.append(0, bytes.length, 1, node.nowMs);
        node.settle();
      }
    };
    const make = { compression: compression as Compression };
    append(plain.build({ ...make, compress: (records) => compress(compression, records) }));
    // A batch that claims a compression and is not compressed: only the batch can be named.
    if (compression > 0) append(plain.build({ ...make, compress: (records) => records.slice() }));
    const search = (timestampMs: number) => {
      const match = node.finish(log.offsetForTimestamp(timestampMs, log.endOffset))!;
      return [match.offset, match.timestampMs];
    };
    assert.deepEqual(search(1000), [0, 1000]);
    assert.deepEqual(search(1001), [1, 1500]);
    assert.deepEqual(search(1501), [3, 2000]);
    log.trimPrefix(2);
    assert.deepEqual(search(1001), [2, 1200]);
    log.trimPrefix(4);
    assert.deepEqual(search(1700), compression > 0 ? [4, 1700] : [-1, -1]);
  }
});

Deno.test("retention drops whole segments by size and by time, below the limit only", () => {
  const { node, log } = filledNode(22);
  const segments = log.segments();
  assert.ok(segments.length > 2);
  const none = { retentionMs: -1, retentionBytes: -1, limitOffset: 120 };
  assert.equal(log.retentionOffset(1e9, none), 0);
  const first = segments[0]!;
  const bytes = { ...none, retentionBytes: log.sizeBytes - first.sizeBytes };
  assert.equal(log.retentionOffset(1e9, bytes), first.endOffset);
  assert.equal(log.retentionOffset(1e9, { ...bytes, limitOffset: first.endOffset - 1 }), 0);
  assert.equal(log.retentionOffset(1e9, { ...bytes, retentionBytes: bytes.retentionBytes + 1 }), 0);
  const old = { ...none, retentionMs: 1000 };
  assert.equal(log.retentionOffset(first.maxTimestampMs + 1000, old), 0);
  assert.equal(log.retentionOffset(first.maxTimestampMs + 1001, old), first.endOffset);
  assert.equal(log.retentionOffset(1e9, old), 120);
  const before = log.sizeBytes;
  assert.equal(log.applyRetention(1e9, bytes), first.endOffset);
  for (let i = 0; i < 5; i++) node.settle();
  assert.equal(log.sizeBytes, before - first.sizeBytes);
  assert.equal(log.startOffset, first.endOffset);
  const files = node.disk.namesIn(log.directory).filter((name) => name.endsWith(".log"));
  assert.ok(!files.some((name) => name.startsWith("00000000000000000000-")));
});

Deno.test("a read stops at maxBytes and at the limit, and begins inside of a batch", () => {
  const { node, log } = filledNode(23);
  const size = node.readOnce(log, 0, 1)!.bytes.length;
  assert.deepEqual(node.readOnce(log, 4, size)!.next, 6);
  assert.deepEqual(node.readOnce(log, 4, 3 * size - 1)!.next, 9);
  assert.deepEqual(node.readOnce(log, 0, 1e6)!.next, 120);
  node.engines[0]!.checkpoint();
  node.settle();
  node.engines[0]!.cache.reclaim(node.engines[0]!.cache.arena.blockSizeMax);
  node.crash();
  assert.equal(node.mount(1), true);
  const cold = node.log(1)!;
  assert.deepEqual(node.readOnce(cold, 61, 2 * size)!.next, 66);
  assert.deepEqual(node.readOnce(cold, 119, 10)!.next, 120);
});

Deno.test("a log reset to follow a snapshot point is empty there, and continues from it", () => {
  const { node, log } = filledNode(24);
  const point = { index: 900, term: 6, offset: 700, metas: [], producers: null };
  assert.equal(node.finish(log.reset(point)), 0);
  assert.deepEqual([log.startOffset, log.endOffset, log.lastIndex], [700, 700, 900]);
  assert.equal(log.appendMeta(MetaKind.NO_OP, 7, new Uint8Array(0)), 901);
  const batch = { recordCount: 2, valueBytes: 10, fill: 1, timestampMs: 5 };
  const size = writeSampleBatch(node.memory, node.crc32c, 0, batch);
  let offset = -11;
  for (let i = 0; i < 10 && offset < 0; i++) {
    offset = log.append(0, size, 7, node.nowMs);
    node.settle();
  }
  assert.equal(offset, 700);
  node.crash();
  assert.equal(node.mount(2), true);
  const again = node.log(1)!;
  assert.deepEqual([again.startOffset, again.endOffset, again.lastIndex], [700, 702, 903]);
  assert.equal(node.readAll(again, 700)!.length, size);
  assert.deepEqual(node.report!.damages, []);
});
