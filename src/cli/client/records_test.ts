import { strict as assert } from "node:assert";
import { type BatchOptions, RecordBatchBuilder } from "../../wire/record_batch_builder.ts";
import { Failure } from "../failure.ts";
import { codecByName } from "./codecs.ts";
import { readBatches } from "./records.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function batch(values: readonly string[], options: BatchOptions = {}): Uint8Array {
  const builder = new RecordBatchBuilder();
  values.forEach((value, at) =>
    builder.add({
      key: value === "" ? null : utf8(`k${value}`),
      value: value === "" ? null : utf8(value),
      timestamp: 1_000 + at,
      headers: [{ key: "h", value: utf8(value) }, { key: "none", value: null }],
    })
  );
  return builder.build(options);
}

function control(type: number, options: BatchOptions): Uint8Array {
  const builder = new RecordBatchBuilder();
  const key = new Uint8Array([0, 0, 0, type]);
  builder.add({ key, value: new Uint8Array(6), timestamp: 0 });
  return builder.build({ ...options, isControl: true, isTransactional: true });
}

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

function values(bytes: Uint8Array, offset: number, aborted: [number, number][] = []): string[] {
  const where = { topic: "t", partition: 0, offset };
  const list = aborted.map(([producerId, firstOffset]) => ({ producerId, firstOffset }));
  return readBatches(where, bytes, list).records.map((record) =>
    `${record.offset}=${record.value === null ? "null" : new TextDecoder().decode(record.value)}`
  );
}

Deno.test("readBatches() reads keys, values, headers, nulls and times", () => {
  const read = readBatches(
    { topic: "t", partition: 2, offset: 5 },
    batch(["a", ""], { baseOffset: 5 }),
    [],
  );
  assert.equal(read.nextOffset, 7);
  assert.deepEqual(read.records, [
    {
      topic: "t",
      partition: 2,
      offset: 5,
      timestamp: 1000,
      key: utf8("ka"),
      value: utf8("a"),
      headers: [{ key: "h", value: utf8("a") }, { key: "none", value: null }],
    },
    {
      topic: "t",
      partition: 2,
      offset: 6,
      timestamp: 1001,
      key: null,
      value: null,
      headers: [{ key: "h", value: utf8("") }, { key: "none", value: null }],
    },
  ]);
});

Deno.test("readBatches() leaves out what is before the offset, and a batch that is cut off", () => {
  const bytes = join(batch(["a", "b", "c"], { baseOffset: 0 }), batch(["d"], { baseOffset: 3 }));
  assert.deepEqual(values(bytes, 2), ["2=c", "3=d"]);
  for (const cut of [1, 20, 60]) {
    const where = { topic: "t", partition: 0, offset: 0 };
    const read = readBatches(where, bytes.subarray(0, bytes.length - cut), []);
    assert.equal(read.records.length, 3);
    assert.equal(read.nextOffset, 3);
  }
});

Deno.test("readBatches() reads what each codec has made small", () => {
  for (const name of ["gzip", "snappy", "lz4", "zstd"] as const) {
    const { id, compress } = codecByName(name);
    const bytes = batch(["x".repeat(5000), "y"], { compression: id, compress });
    assert.ok(bytes.length < 1000, "it was not compressed");
    assert.deepEqual(values(bytes, 1), ["1=y"]);
  }
});

Deno.test("readBatches() leaves out aborted transactions and every marker", () => {
  const one = { producerId: 1, producerEpoch: 0, isTransactional: true };
  const two = { producerId: 2, producerEpoch: 0, isTransactional: true };
  const bytes = join(
    batch(["a"], { ...one, baseOffset: 0 }),
    batch(["b"], { ...two, baseOffset: 1 }),
    control(0, { ...one, baseOffset: 2 }),
    control(1, { ...two, baseOffset: 3 }),
    batch(["c"], { ...one, baseOffset: 4 }),
    control(1, { ...one, baseOffset: 5 }),
  );
  assert.deepEqual(values(bytes, 0), ["0=a", "1=b", "4=c"]);
  assert.deepEqual(values(bytes, 0, [[1, 0]]), ["1=b", "4=c"]);
  const where = { topic: "t", partition: 0, offset: 0 };
  assert.equal(readBatches(where, bytes, []).nextOffset, 6);
});

Deno.test("readBatches() refuses a batch with a flipped bit", () => {
  const bytes = batch(["abc"]);
  bytes[bytes.length - 2]! ^= 1;
  assert.throws(() => values(bytes, 0), (error) => {
    assert.ok(error instanceof Failure);
    assert.equal(error.exitCode, 65);
    assert.match(error.message, /wrong checksum \(t\/0 at offset 0\)/);
    return true;
  });
});
