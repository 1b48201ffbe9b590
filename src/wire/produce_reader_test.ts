import { strict as assert } from "node:assert";
import { Cursor } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import {
  encodeProduceRequest,
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
  type ProduceRequest,
} from "./generated/produce_request.ts";
import { PRODUCE_VERSION_MAX, PRODUCE_VERSION_MIN, ProduceReader } from "./produce_reader.ts";
import { producedByReader } from "./test_readers.ts";

const ID = "000102030405060708090a0b0c0d0e0f";

function request(version: number, transactionalId: string | null): ProduceRequest {
  const topic = (name: string, sizes: (number | null)[]) =>
    newTopicProduceData({
      ...(version < 13 ? { name } : { topicId: ID }),
      partitionData: sizes.map((size, at) =>
        newPartitionProduceData({
          index: at * 7,
          records: size === null ? null : new Uint8Array(size).fill(at + 1),
        })
      ),
    });
  return newProduceRequest({
    transactionalId,
    acks: -1,
    timeoutMs: 1500,
    topicData: [topic("first", [3, null, 200]), topic("zwölf", []), topic("third", [0])],
  });
}

/** The body after ten bytes that do not belong to it. */
function encoded(version: number, message: ProduceRequest): Cursor {
  const writer = new Writer();
  for (let i = 0; i < 10; i++) writer.int8(0x55);
  encodeProduceRequest(writer, version, message);
  return Cursor.of(writer.copyBytes());
}

Deno.test("ProduceReader finds what the codec encoded, in every version", () => {
  const reader = new ProduceReader();
  for (let version = PRODUCE_VERSION_MIN; version <= PRODUCE_VERSION_MAX; version++) {
    for (const transactionalId of [null, "", "tx-1"]) {
      const message = request(version, transactionalId);
      const source = encoded(version, message);
      assert.ok(reader.open(source, 10, source.end, version), `v${version}`);
      assert.equal(reader.topicCount, 3);
      assert.equal(reader.partitionTotal, 4);
      assert.deepEqual(producedByReader(reader, source, version), message);
      reader.rewind();
      assert.deepEqual(producedByReader(reader, source, version), message);
    }
  }
});

Deno.test("ProduceReader steps over partitions that are not visited", () => {
  const reader = new ProduceReader();
  for (const version of [3, 9, 13]) {
    const source = encoded(version, request(version, null));
    assert.ok(reader.open(source, 10, source.end, version));
    assert.ok(reader.nextTopic());
    assert.equal(reader.partitionCount, 3);
    assert.ok(reader.nextPartition());
    assert.ok(reader.nextTopic());
    assert.equal(reader.partitionCount, 0);
    assert.ok(reader.nextTopic());
    assert.equal(reader.partitionCount, 1);
    assert.equal(reader.nextTopic(), false);
    assert.equal(reader.nextPartition(), false);
  }
});

Deno.test("ProduceReader refuses a request that is cut, and ignores bytes after it", () => {
  const reader = new ProduceReader();
  for (const version of [3, 8, 9, 12, 13]) {
    const source = encoded(version, request(version, "tx"));
    for (let end = 10; end < source.end; end++) {
      assert.equal(reader.open(source, 10, end, version), false, `v${version} cut at ${end}`);
    }
    const longer = new Uint8Array(source.bytes.length + 1);
    longer.set(source.bytes);
    assert.equal(reader.open(Cursor.of(longer), 10, longer.length, version), true);
  }
});

Deno.test("ProduceReader refuses versions that it does not know, and null arrays", () => {
  const reader = new ProduceReader();
  const source = encoded(3, request(3, null));
  assert.equal(reader.open(source, 10, source.end, 2), false);
  assert.equal(reader.open(source, 10, source.end, 14), false);
  const nullTopics = Cursor.of(Uint8Array.fromHex("ffffffff00000000ffffffff"));
  assert.equal(reader.open(nullTopics, 0, nullTopics.end, 3), false);
});
