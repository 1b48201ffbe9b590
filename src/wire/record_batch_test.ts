import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import { decompress } from "../bytes/compression.ts";
import { softwareCrc32c } from "../bytes/crc32c.ts";
import { Cursor } from "../bytes/cursor.ts";
import { type Memory, wrapMemory } from "../bytes/memory.ts";
import { decodeUtf8 } from "../bytes/utf8.ts";
import { checkBatch } from "./check_batch.ts";
import { ErrorCode } from "./errors.ts";
import * as batch from "./record_batch.ts";
import {
  type BatchOptions,
  RecordBatchBuilder,
  type RecordContent,
} from "./record_batch_builder.ts";
import { RecordReader } from "./record_reader.ts";

const AT = 32;

/**
 * Two records ("k" = "v" with the header h = 1, and no key with an empty value), from Kafka's own
 * MemoryRecordsBuilder.
 */
const KAFKA_BATCH =
  "000000000000000000000045ffffffff025c6ec9d20000000000010000018bcfe568000000018bcfe56805ffffffffffffffffffffffffffff0000000218000000026b027602026802010c000a02010000";

function build(records: readonly RecordContent[], options: BatchOptions = {}): Uint8Array {
  const builder = new RecordBatchBuilder();
  for (const record of records) builder.add(record);
  assert.equal(builder.count, records.length);
  return builder.build(options);
}

function place(bytes: Uint8Array): Memory {
  const memory = wrapMemory(new ArrayBuffer(AT + bytes.length + 64));
  memory.bytes.set(bytes, AT);
  return memory;
}

function check(bytes: Uint8Array): number {
  const memory = place(bytes);
  return checkBatch(memory, AT, AT + bytes.length, softwareCrc32c(memory));
}

/** Changes a batch and mends its checksum. */
function changed(bytes: Uint8Array, change: (view: DataView) => void): Uint8Array {
  const copy = bytes.slice();
  const memory = wrapMemory(copy.buffer);
  change(memory.view);
  const from = batch.ATTRIBUTES_OFFSET;
  batch.setBatchCrc(memory.view, 0, softwareCrc32c(memory)(from, copy.length - from, 0));
  return copy;
}

/** The same two records from Kafka in each compression; the base timestamp is that of the first. */
const KAFKA_COMPRESSED: readonly string[] = [
  "000000000000000000000059ffffffff02cc7a58a80001000000010000018bcfe568000000018bcfe56805ffffffffffffffffffffffffffff000000021f8b08000000000000ff9360606060ca662a6362ca6062e461e06262646000003bdc3d2014000000",
  "00000000000000000000005bffffffff020f34c9380002000000010000018bcfe568000000018bcfe56805ffffffffffffffffffffffffffff0000000282534e4150505900000000010000000100000016144c18000000026b027602026802010c000a02010000",
  "000000000000000000000054ffffffff027767ddec0003000000010000018bcfe568000000018bcfe56805ffffffffffffffffffffffffffff0000000204224d186040821400008018000000026b027602026802010c000a0201000000000000",
  "000000000000000000000051ffffffff02490c124d0004000000010000018bcfe568000000018bcfe56805ffffffffffffffffffffffffffff0000000228b52ffd0058a0000018000000026b027602026802010c000a02010000010000",
];

const text = (value: string) => new TextEncoder().encode(value);
const TWO: RecordContent[] = [
  {
    key: text("k"),
    value: text("v"),
    timestamp: 1_700_000_000_000,
    headers: [{ key: "h", value: Uint8Array.of(1) }],
  },
  { key: null, value: text(""), timestamp: 1_700_000_000_005 },
];

Deno.test("RecordBatchBuilder makes the bytes that Kafka makes", () => {
  assert.equal(build(TWO).toHex(), KAFKA_BATCH);
});

Deno.test("the getters read what the builder wrote", () => {
  const bytes = build(TWO, {
    baseOffset: 2 ** 40,
    leaderEpoch: 7,
    producerId: 2 ** 35,
    producerEpoch: 3,
    baseSequence: 11,
    isTransactional: true,
  });
  const { view } = place(bytes);
  assert.equal(batch.batchSize(view, AT), bytes.length);
  assert.equal(batch.batchBaseOffset(view, AT), 2 ** 40);
  assert.equal(batch.batchEndOffset(view, AT), 2 ** 40 + 2);
  assert.equal(batch.batchLastOffsetDelta(view, AT), 1);
  assert.equal(batch.batchLeaderEpoch(view, AT), 7);
  assert.equal(batch.batchMagic(view, AT), 2);
  assert.equal(batch.batchCompression(view, AT), batch.Compression.NONE);
  assert.equal(batch.batchIsTransactional(view, AT), true);
  assert.equal(batch.batchIsControl(view, AT), false);
  assert.equal(batch.batchBaseTimestamp(view, AT), 1_700_000_000_000);
  assert.equal(batch.batchMaxTimestamp(view, AT), 1_700_000_000_005);
  assert.equal(batch.batchProducerId(view, AT), 2 ** 35);
  assert.equal(batch.batchProducerEpoch(view, AT), 3);
  assert.equal(batch.batchBaseSequence(view, AT), 11);
  assert.equal(batch.batchRecordCount(view, AT), 2);
  batch.setBatchBaseOffset(view, AT, 5);
  batch.setBatchLeaderEpoch(view, AT, 8);
  assert.equal(batch.batchEndOffset(view, AT), 7);
  assert.equal(batch.batchLeaderEpoch(view, AT), 8);
  batch.setBatchLogAppendTime(view, AT, 9);
  assert.equal(batch.batchMaxTimestamp(view, AT), 9);
  assert.equal(batch.batchIsTransactional(view, AT), true);
});

Deno.test("checkBatch() takes a batch, and what the broker sets does not break it", () => {
  assert.equal(check(build(TWO)), ErrorCode.NONE);
  const bytes = build(TWO, { producerId: 4, producerEpoch: 0, baseSequence: 0 });
  batch.setBatchLeaderEpoch(new DataView(bytes.buffer), 0, 99);
  assert.equal(check(bytes), ErrorCode.NONE);
});

Deno.test("checkBatch() refuses damage anywhere after the checksum, and a wrong size", () => {
  const bytes = build(TWO);
  for (let at = batch.CRC_OFFSET; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at]! ^= 0x10;
    assert.equal(check(damaged), ErrorCode.CORRUPT_MESSAGE, `byte ${at}`);
  }
  for (let length = 1; length < bytes.length; length++) {
    const saysFormat = length > batch.MAGIC_OFFSET;
    const error = saysFormat ? ErrorCode.CORRUPT_MESSAGE : ErrorCode.INVALID_RECORD;
    assert.equal(check(bytes.slice(0, length)), error, `cut at ${length}`);
  }
  const negative = bytes.slice();
  new DataView(negative.buffer).setInt32(batch.BATCH_LENGTH_OFFSET, -1);
  assert.equal(check(negative), ErrorCode.CORRUPT_MESSAGE);
});

Deno.test("checkBatch() refuses no batch, two batches, and other formats", () => {
  assert.equal(check(new Uint8Array(0)), ErrorCode.INVALID_RECORD);
  const bytes = build(TWO);
  const twice = new Uint8Array(bytes.length * 2);
  twice.set(bytes);
  twice.set(bytes, bytes.length);
  assert.equal(check(twice), ErrorCode.INVALID_RECORD);
  const old = bytes.slice();
  old[batch.MAGIC_OFFSET] = 1;
  assert.equal(check(old), ErrorCode.INVALID_RECORD);
  old[batch.MAGIC_OFFSET] = 3;
  assert.equal(check(old), ErrorCode.CORRUPT_MESSAGE);
});

Deno.test("checkBatch() refuses headers that contradict themselves", () => {
  const bytes = build(TWO);
  const idempotent = build(TWO, { producerId: 4, producerEpoch: 1, baseSequence: 0 });
  const cases: [string, Uint8Array, (view: DataView) => void, number][] = [
    ["count", bytes, (v) => v.setInt32(batch.RECORD_COUNT_OFFSET, 3), ErrorCode.INVALID_RECORD],
    [
      "delta",
      bytes,
      (v) => v.setInt32(batch.LAST_OFFSET_DELTA_OFFSET, 7),
      ErrorCode.INVALID_RECORD,
    ],
    ["empty", bytes, (v) => {
      v.setInt32(batch.RECORD_COUNT_OFFSET, 0);
      v.setInt32(batch.LAST_OFFSET_DELTA_OFFSET, -1);
    }, ErrorCode.INVALID_RECORD],
    ["more than fit", bytes, (v) => {
      v.setInt32(batch.RECORD_COUNT_OFFSET, 1000);
      v.setInt32(batch.LAST_OFFSET_DELTA_OFFSET, 999);
    }, ErrorCode.INVALID_RECORD],
    ["control", bytes, (v) => v.setInt16(batch.ATTRIBUTES_OFFSET, 0x20), ErrorCode.INVALID_RECORD],
    ["horizon", bytes, (v) => v.setInt16(batch.ATTRIBUTES_OFFSET, 0x40), ErrorCode.INVALID_RECORD],
    ["base offset", bytes, (v) => v.setInt32(4, 1), ErrorCode.INVALID_RECORD],
    [
      "compression",
      bytes,
      (v) => v.setInt16(batch.ATTRIBUTES_OFFSET, 5),
      ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
    ],
    [
      "transaction without producer",
      bytes,
      (v) => v.setInt16(batch.ATTRIBUTES_OFFSET, 0x10),
      ErrorCode.INVALID_RECORD,
    ],
    [
      "sequence",
      idempotent,
      (v) => v.setInt32(batch.BASE_SEQUENCE_OFFSET, -1),
      ErrorCode.INVALID_RECORD,
    ],
    [
      "epoch",
      idempotent,
      (v) => v.setInt16(batch.PRODUCER_EPOCH_OFFSET, -1),
      ErrorCode.INVALID_RECORD,
    ],
  ];
  for (const [what, from, change, code] of cases) {
    assert.equal(check(changed(from, change)), code, what);
  }
  assert.equal(check(changed(idempotent, () => {})), ErrorCode.NONE);
});

const arbitraryRecord: fc.Arbitrary<RecordContent> = fc.record({
  key: fc.option(fc.uint8Array({ maxLength: 200 })),
  value: fc.option(fc.uint8Array({ maxLength: 200 })),
  timestamp: fc.integer({ min: -1, max: 2 ** 45 }),
  headers: fc.array(
    fc.record({
      key: fc.string({ unit: "grapheme", maxLength: 10 }),
      value: fc.option(fc.uint8Array({ maxLength: 20 })),
    }, { noNullPrototype: true }),
    { maxLength: 3 },
  ),
}, { noNullPrototype: true });

/** All records of a batch, as the builder takes them. */
function readAll(reader: RecordReader, bytes: Uint8Array): RecordContent[] {
  const slice = (at: number, length: number) => length < 0 ? null : bytes.slice(at, at + length);
  const records: RecordContent[] = [];
  while (reader.next()) {
    assert.equal(reader.offset, 100 + records.length);
    const { timestamp, keyAt, keyLength, valueAt, valueLength } = reader;
    const headers: { key: string; value: Uint8Array | null }[] = [];
    while (reader.nextHeader()) {
      const key = decodeUtf8(
        bytes,
        reader.headerKeyAt,
        reader.headerKeyAt + reader.headerKeyLength,
      );
      headers.push({ key: key!, value: slice(reader.headerValueAt, reader.headerValueLength) });
    }
    const key = slice(keyAt, keyLength);
    records.push({ key, value: slice(valueAt, valueLength), timestamp, headers });
  }
  return records;
}

Deno.test("RecordReader reads what the builder wrote", () => {
  const reader = new RecordReader();
  fc.assert(fc.property(fc.array(arbitraryRecord, { minLength: 1, maxLength: 20 }), (records) => {
    const bytes = build(records);
    const source = Cursor.of(bytes);
    const base = batch.batchBaseTimestamp(source.view, 0);
    reader.open(source, batch.BATCH_HEADER_SIZE, bytes.length, records.length, 100, base);
    assert.deepEqual(readAll(reader, bytes), records);
    assert.ok(reader.ok());
    // Headers that are not visited are stepped over.
    reader.open(source, batch.BATCH_HEADER_SIZE, bytes.length, records.length, 100, base);
    let count = 0;
    while (reader.next()) count++;
    assert.equal(count, records.length);
    assert.ok(reader.ok());
    assert.equal(check(bytes), ErrorCode.NONE);
  }));
});

Deno.test("RecordReader finds any cut and survives any damage", () => {
  const reader = new RecordReader();
  const bytes = build(TWO);
  const from = batch.BATCH_HEADER_SIZE;
  for (let end = from; end < bytes.length; end++) {
    reader.open(Cursor.of(bytes), from, end, 2, 0, 0);
    while (reader.next());
    assert.equal(reader.ok(), false, `cut at ${end}`);
  }
  fc.assert(fc.property(fc.nat(bytes.length - from - 1), fc.nat(255), (at, value) => {
    const damaged = bytes.slice();
    damaged[from + at] = value;
    reader.open(Cursor.of(damaged), from, damaged.length, 2, 0, 0);
    let steps = 0;
    while (reader.next()) steps++;
    assert.ok(steps <= 2);
  }));
});

Deno.test("Kafka's compressed batches are taken, and read once decompressed", () => {
  const reader = new RecordReader();
  KAFKA_COMPRESSED.forEach((hex, at) => {
    const bytes = Uint8Array.fromHex(hex);
    assert.equal(check(bytes), ErrorCode.NONE);
    const { view } = Cursor.of(bytes);
    const compression = batch.batchCompression(view, 0);
    assert.equal(compression, at + 1);
    const plain = decompress(compression, bytes.subarray(batch.BATCH_HEADER_SIZE), 1000)!;
    const source = Cursor.of(plain);
    reader.open(source, 0, plain.length, 2, 100, batch.batchBaseTimestamp(view, 0));
    assert.deepEqual(readAll(reader, plain), [TWO[0], { ...TWO[1], headers: [] }]);
    assert.ok(reader.ok());
  });
});
