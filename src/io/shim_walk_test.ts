import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { compress } from "../bytes/compression.ts";
import { xxHash32 } from "../bytes/xxhash32.ts";
import { decoderBytesMax, WalkStatus, windowBytesMax } from "./record_walk.ts";
import { loadShim } from "./shim.ts";
import { openBufferWalk } from "./shim_walk.ts";

const NO_RULES = { keysRequired: false, oldestMs: -Infinity, newestMs: Infinity };
const HEADER_SIZE = 61;
const GZIP = 1;
const SNAPPY = 2;
const LZ4 = 3;
const ZSTD = 4;
const RECORDS = 300;
const random = new Xoshiro128(7);
const shim = loadShim();

/** Records whose values compress well, or hardly. */
function someRecords(random?: Xoshiro128): Uint8Array {
  const bytes: number[] = [];
  for (let i = 0; i < RECORDS; i++) {
    const value = Array.from({ length: 40 }, (_, at) => random?.nextBelow(256) ?? 97 + at % 5);
    const offset = i < 64 ? [2 * i] : [0x80 | ((2 * i) & 0x7f), i >> 6];
    const body = [0, 2 * (i % 60), ...offset, 1, 2 * value.length, ...value, 0];
    bytes.push(2 * body.length & 0x7f | (body.length >= 64 ? 0x80 : 0));
    if (body.length >= 64) bytes.push(body.length >> 6);
    bytes.push(...body);
  }
  return Uint8Array.from(bytes);
}

function batch(compression: number, packed: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_SIZE + packed.length);
  bytes[22] = compression;
  new DataView(bytes.buffer).setInt32(57, RECORDS);
  bytes.set(packed, HEADER_SIZE);
  return bytes;
}

function statusOf(compression: number, packed: Uint8Array, windowMax?: number): number {
  const bytes = batch(compression, packed);
  const walk = openBufferWalk(shim, bytes, windowMax);
  try {
    let ended = walk.begin(0, bytes.length, NO_RULES);
    while (!ended) ended = walk.resume(0, bytes.length, NO_RULES);
    return walk.status;
  } finally {
    walk.close();
  }
}

Deno.test("the largest of the records' timestamps is returned", () => {
  const bytes = batch(LZ4, compress(LZ4, someRecords()));
  const walk = openBufferWalk(shim, bytes);
  assert(walk.begin(0, bytes.length, NO_RULES));
  assert.equal(walk.maxTimestampMs, 59);
  walk.close();
});

function concat(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function little32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function big32(value: number): Uint8Array {
  return little32(value).reverse();
}

Deno.test("each compression's stream is read, whether it compresses well or not", () => {
  for (const plain of [someRecords(), someRecords(random)]) {
    for (const compression of [0, GZIP, SNAPPY, LZ4, ZSTD]) {
      assert.equal(statusOf(compression, compress(compression, plain)), WalkStatus.SOUND);
    }
  }
});

Deno.test("a stream that is cut anywhere is not sound, and one that is changed ends in a verdict", () => {
  const plain = someRecords();
  for (const compression of [GZIP, SNAPPY, LZ4, ZSTD]) {
    const packed = compress(compression, plain);
    for (let length = 0; length < packed.length; length++) {
      const status = statusOf(compression, packed.slice(0, length));
      assert.notEqual(status, WalkStatus.SOUND, `compression ${compression} cut at ${length}`);
    }
    for (let i = 0; i < 2000; i++) {
      const changed = packed.slice();
      changed[random.nextBelow(changed.length)]! ^= 1 << random.nextBelow(8);
      statusOf(compression, changed);
    }
    const noise = Uint8Array.from({ length: 500 }, () => random.nextBelow(256));
    assert.equal(statusOf(compression, noise), WalkStatus.UNDECODABLE);
  }
});

Deno.test("several gzip members and zstd frames are one stream; nothing else may follow", () => {
  const plain = someRecords();
  const half = plain.length >> 1;
  for (const compression of [GZIP, ZSTD]) {
    const [first, second] = [plain.slice(0, half), plain.slice(half)]
      .map((part) => compress(compression, part)) as [Uint8Array, Uint8Array];
    const both = concat(first, second);
    assert.equal(statusOf(compression, both), WalkStatus.SOUND);
    assert.equal(statusOf(compression, concat(both, [0])), WalkStatus.UNDECODABLE);
  }
});

Deno.test("gzip headers with every field are read", () => {
  const plain = compress(GZIP, someRecords());
  const rest = plain.slice(10);
  const head = (flags: number) => [0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255];
  const named = concat(head(0x1c), [3, 0, 1, 2, 3], [65, 66, 0], [67, 0], rest);
  assert.equal(statusOf(GZIP, named), WalkStatus.SOUND);
  assert.equal(statusOf(GZIP, concat(head(0x20), rest)), WalkStatus.UNDECODABLE);
  assert.equal(statusOf(GZIP, concat(head(0x08), [65, 66])), WalkStatus.UNDECODABLE);
});

Deno.test("snappy comes in Kafka's framing, or as it is", () => {
  const plain = someRecords();
  // Literals alone: a length, then pieces of up to 60 bytes.
  const raw = (bytes: Uint8Array): Uint8Array => {
    const size = [0x80 | bytes.length & 0x7f, 0x80 | bytes.length >> 7 & 0x7f, bytes.length >> 14];
    const parts: (Uint8Array | number[])[] = [size];
    for (let at = 0; at < bytes.length; at += 60) {
      const piece = bytes.slice(at, at + 60);
      parts.push([(piece.length - 1) << 2], piece);
    }
    return concat(...parts);
  };
  const head = [0x82, ...new TextEncoder().encode("SNAPPY"), 0, 0, 0, 0, 1, 0, 0, 0, 1];
  const framed = (...parts: Uint8Array[]) =>
    concat(head, ...parts.flatMap((part) => [big32(raw(part).length), raw(part)]));
  const half = plain.length >> 1;
  assert.equal(statusOf(SNAPPY, raw(plain)), WalkStatus.SOUND);
  const two = framed(plain.slice(0, half), plain.slice(half));
  assert.equal(statusOf(SNAPPY, two), WalkStatus.SOUND);
  assert.equal(statusOf(SNAPPY, concat(two, [0, 0, 0])), WalkStatus.UNDECODABLE);
  // It announces 4 GB.
  assert.equal(
    statusOf(SNAPPY, Uint8Array.of(255, 255, 255, 255, 15, 0, 1)),
    WalkStatus.UNDECODABLE,
  );
});

Deno.test("the checksums and the size that an lz4 frame carries are held against it", () => {
  const plain = someRecords();
  const frame = (flags: number, wrong = 0): Uint8Array => {
    const size = flags & 8 ? concat(little32(plain.length + wrong), little32(0)) : [];
    const descriptor = concat([flags, 0x50], size);
    const check = xxHash32(descriptor, 0, descriptor.length) >>> 8 & 0xff;
    const sum = little32(xxHash32(plain, 0, plain.length) ^ wrong);
    const block = concat(
      little32((0x8000_0000 + plain.length) >>> 0),
      plain,
      flags & 16 ? sum : [],
    );
    const end = concat(little32(0), flags & 4 ? sum : []);
    return concat([4, 0x22, 0x4d, 0x18], descriptor, [check], block, end);
  };
  for (const flags of [0x60, 0x68, 0x64, 0x70, 0x7c]) {
    assert.equal(statusOf(LZ4, frame(flags)), WalkStatus.SOUND, `${flags}`);
    const expected = flags === 0x60 ? WalkStatus.SOUND : WalkStatus.UNDECODABLE;
    assert.equal(statusOf(LZ4, frame(flags, 1)), expected, `${flags}, changed`);
  }
  // Blocks that lean on each other, another version, reserved bits, a dictionary.
  for (const flags of [0x40, 0x20, 0x62, 0x61]) {
    assert.equal(statusOf(LZ4, frame(flags)), WalkStatus.UNDECODABLE, `${flags}`);
  }
});

Deno.test("walks are opened, closed, and opened again", () => {
  for (let i = 0; i < 3000; i++) openBufferWalk(shim, new Uint8Array(0)).close();
});

/** A zstd frame that asks for a window of 2^`log` bytes, with a frame to be skipped that makes it large. */
function windowed(log: number, plain: Uint8Array): Uint8Array {
  const size = plain.length << 3 | 1;
  const block = [size & 0xff, (size >> 8) & 0xff, size >> 16];
  const skipped = concat([0x50, 0x2a, 0x4d, 0x18], little32(70_000), new Uint8Array(70_000));
  return concat([0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3], block, plain, skipped);
}

Deno.test("a zstd window is no larger than the shard's memory allows, and never than that of Kafka's clients", () => {
  const plain = someRecords();
  for (
    const [arenaMib, log] of [[16, 23], [64, 23], [128, 23], [255, 23], [256, 24], [1024, 26], [
      8192,
      27,
    ], [2 ** 20, 27]] as const
  ) {
    const windowMax = windowBytesMax(arenaMib * 2 ** 20);
    assert.equal(windowMax, 2 ** log);
    assert.equal(statusOf(ZSTD, windowed(log, plain), windowMax), WalkStatus.SOUND);
    assert.equal(statusOf(ZSTD, windowed(log + 1, plain), windowMax), WalkStatus.WINDOW);
    assert.equal(decoderBytesMax(arenaMib * 2 ** 20), 2 * windowMax);
  }
});

Deno.test("a snappy block that would take more memory than the shard has for it is too large", () => {
  const size = 9 * 2 ** 20;
  const varint = [
    (size & 0x7f) | 0x80,
    ((size >> 7) & 0x7f) | 0x80,
    ((size >> 14) & 0x7f) | 0x80,
    size >> 21,
  ];
  const packed = concat(varint, new Uint8Array(size / 20));
  assert.equal(statusOf(SNAPPY, packed, windowBytesMax(0)), WalkStatus.TOO_LARGE);
  // Decoding is tried where there is room, and finds that it is none.
  assert.equal(statusOf(SNAPPY, packed, windowBytesMax(2 ** 30)), WalkStatus.UNDECODABLE);
});
