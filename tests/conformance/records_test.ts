/**
 * What producers say of their own records is checked: each kind of batch that Kafka refuses is refused with
 * Kafka's code, and what it mends (the max timestamp) is mended. What is found sound can be read.
 */

import { strict as assert } from "node:assert";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import { compress, decompress } from "../../src/bytes/compression.ts";
import { Cursor } from "../../src/bytes/cursor.ts";
import { WalkStatus } from "../../src/io/record_walk.ts";
import { loadShim } from "../../src/io/shim.ts";
import { openBufferWalk } from "../../src/io/shim_walk.ts";
import {
  BATCH_HEADER_SIZE,
  batchCompression,
  batchRecordCount,
  Compression,
} from "../../src/wire/record_batch.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { RecordReader } from "../../src/wire/record_reader.ts";
import { Broker } from "../harness/broker.ts";
import { readAnswers } from "./records/answers.ts";
import { probe } from "./records/probe.ts";

/** Where the broker answers otherwise than Kafka: names of kinds, what it answers, and why. */
const DIFFERENCES: readonly {
  readonly kinds: RegExp;
  readonly answer: string;
  readonly why: string;
}[] = [
  {
    kinds: /^none, .*: (?:offsets|the same offset|a negative offset|a gap in offsets$)/,
    answer: "INVALID_RECORD",
    why:
      "Kafka stores uncompressed records whose offsets do not count up: consumers lose their place",
  },
  {
    kinds: /: a (?:key|value) of length -2$/,
    answer: "INVALID_RECORD",
    why: "Kafka takes any negative length for null; other readers do not",
  },
  {
    kinds: /: a record (?:longer than|shorter than|that swallows)/,
    answer: "INVALID_RECORD",
    why: "Kafka stores it when it is compressed, and its own consumer then stops at it",
  },
  {
    kinds: /: an endless varint$/,
    answer: "INVALID_RECORD",
    why: "Kafka has another code for it when it is not compressed",
  },
  {
    kinds: /^(?:gzip|lz4): (?:bytes|zeros) behind the stream$|^lz4: two streams$/,
    answer: "UNKNOWN_SERVER_ERROR",
    why: "Kafka ignores what follows; other readers refuse the batch",
  },
];

Deno.test("every kind of batch is answered as Kafka answers it", async () => {
  await using broker = await Broker.start({ cores: 2 });
  const kafka = readAnswers();
  const wrong: string[] = [];
  for (const [name, { answer }] of await probe(broker.kafka)) {
    const difference = DIFFERENCES.find(({ kinds }) => kinds.test(name));
    const expected = difference?.answer ?? kafka.get(name);
    if (answer !== expected) wrong.push(`${name}: ${answer}, not ${expected}`);
  }
  assert.deepEqual(wrong, []);
});

const SEED = Number(Deno.env.get("GREGOR_MALFORMED_SEED") ?? 1);
const CHANGED_BATCHES = 5_000;
const UNPACKED_MAX = 1 << 20;
const NO_RULES = { keysRequired: false, oldestMs: -Infinity, newestMs: Infinity };

/** Reads a batch as a consumer does, all of it. */
function canBeRead(batch: Uint8Array): boolean {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const packed = batch.subarray(BATCH_HEADER_SIZE);
  const records = decompress(batchCompression(view, 0), packed, UNPACKED_MAX);
  if (records === null) return false;
  const reader = new RecordReader();
  reader.open(Cursor.of(records), 0, records.length, batchRecordCount(view, 0), 0, 0);
  let offset = 0;
  while (reader.next()) if (reader.offset !== offset++) return false;
  return reader.ok() && offset === batchRecordCount(view, 0);
}

function someBatch(random: Random, compression: Compression): Uint8Array {
  const builder = new RecordBatchBuilder();
  const text = (size: number) => Uint8Array.from({ length: size }, (_, at) => 97 + at % 7);
  for (let i = 0; i < 1 + random.nextBelow(6); i++) {
    const key = random.nextBelow(2) === 0 ? null : text(random.nextBelow(9));
    const headers = random.nextBelow(3) > 0 ? [] : [{ key: "name", value: text(3) }];
    builder.add({ key, value: text(random.nextBelow(200)), timestamp: 1000 + i, headers });
  }
  return builder.build({ compression, compress: (plain) => compress(compression, plain) });
}

Deno.test("whatever was changed in a batch: when its records are found sound, they can be read", () => {
  const random = new Xoshiro128(SEED);
  const shim = loadShim();
  const codecs = Object.values(Compression);
  let sound = 0;
  for (let i = 0; i < CHANGED_BATCHES; i++) {
    const batch = someBatch(random, codecs[i % codecs.length]!) as Uint8Array<ArrayBuffer>;
    for (let flips = random.nextBelow(3); flips >= 0; flips--) {
      const at = BATCH_HEADER_SIZE + random.nextBelow(batch.length - BATCH_HEADER_SIZE);
      batch[at]! ^= 1 << random.nextBelow(8);
    }
    const walk = openBufferWalk(shim, batch);
    let ended = walk.begin(0, batch.length, NO_RULES);
    while (!ended) ended = walk.resume(0, batch.length, NO_RULES);
    if (walk.status === WalkStatus.SOUND) {
      sound++;
      assert(canBeRead(batch), `seed ${SEED}: batch ${i} cannot be read: ${batch.toHex()}`);
    }
    walk.close();
  }
  assert(sound > CHANGED_BATCHES / 50 && sound < CHANGED_BATCHES / 2, `${sound} were sound`);
});
