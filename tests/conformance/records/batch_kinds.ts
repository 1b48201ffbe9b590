/**
 * Kinds of batches that a broker must refuse, or take and mend.
 *
 * What Kafka answers to each stands in `kafka_answers.txt` (`record_answers.ts` asks it);
 * `tests/conformance/records_test.ts` holds the broker to that, but for the differences listed there.
 *
 * @module
 */

import { Compression } from "../../../src/wire/record_batch.ts";
import { type HandBatch, handMadeBatch } from "./hand_made_batch.ts";

export interface BatchKind {
  readonly name: string;
  readonly topic: "plain" | "compacted" | "bounded" | "stamped";
  readonly make: () => Uint8Array;
}

const HOUR_MS = 3_600_000;
/** The time of each batch's first record, unless its kind says otherwise. */
export const BASE_MS = Date.now();

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function patched(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at < 0 ? copy.length + at : at] = value;
  return copy;
}

/** Compressible, and longer than any magic number. */
const LONG = "abcdefgh".repeat(40);
const TWO = [{ value: LONG }, { value: LONG }];

/** Its first record has {@linkcode BASE_MS} unless it says otherwise. */
type Inside = Omit<HandBatch, "baseTimestamp"> & { readonly baseTimestamp?: number };

/** What is wrong inside, for batches without compression and for all that have one. */
const INSIDE: Readonly<Record<string, () => Inside>> = {
  "sound": () => ({ records: TWO }),
  "no key": () => ({ records: [{ key: null }, { key: null }] }),
  "a record longer than it says": () => ({ records: [{ lengthMore: -1 }, {}] }),
  "a record shorter than it says": () => ({ records: [{}, { lengthMore: 1 }] }),
  "a record that swallows the next": () => ({ records: [{ lengthMore: 3 }, {}] }),
  "a record length of -1": () => ({ records: [{ lengthMore: -14 }, {}] }),
  "a record length of 0": () => ({ records: [{}], plain: () => Uint8Array.of(0) }),
  "an endless varint": () => ({
    records: [{}],
    plain: () => new Uint8Array(20).fill(0xff),
  }),
  "bytes inside of a record behind its headers": () => ({ records: [{ tail: [0, 0] }, {}] }),
  "bytes behind the last record": () => ({
    records: TWO,
    plain: (bytes) => concat(bytes, Uint8Array.of(0)),
  }),
  "a zeroed block behind the last record": () => ({
    records: TWO,
    plain: (bytes) => concat(bytes, new Uint8Array(64)),
  }),
  "the last record cut": () => ({ records: TWO, plain: (bytes) => bytes.slice(0, -3) }),
  "fewer records than it counts": () => ({ records: TWO, count: 3 }),
  "more records than it counts": () => ({ records: [...TWO, {}], count: 2 }),
  "no records but a count": () => ({ records: [{}], plain: () => new Uint8Array(0) }),
  "a count that offsets contradict": () => ({ records: TWO, lastOffsetDelta: 4 }),
  "offsets from 1": () => ({ records: [{ offsetDelta: 1 }, { offsetDelta: 2 }] }),
  "the same offset twice": () => ({ records: [{ offsetDelta: 0 }, { offsetDelta: 0 }] }),
  "offsets that fall": () => ({ records: [{ offsetDelta: 1 }, { offsetDelta: 0 }] }),
  "a negative offset": () => ({ records: [{ offsetDelta: -1 }, {}] }),
  "a gap in offsets": () => ({ records: [{}, { offsetDelta: 5 }] }),
  "a gap in offsets that the header knows": () => ({
    records: [{}, { offsetDelta: 5 }],
    lastOffsetDelta: 5,
  }),
  "a key of length -2": () => ({ records: [{ key: "", keyLength: -2 }] }),
  "a key longer than its record": () => ({ records: [{ keyLength: 100 }, { value: LONG }] }),
  "a key longer than everything": () => ({ records: [{ keyLength: 1_000_000 }] }),
  "a value of length -2": () => ({ records: [{ value: "", valueLength: -2 }] }),
  "a value longer than its record": () => ({ records: [{ valueLength: 100 }, { value: LONG }] }),
  "a null value": () => ({ records: [{ value: null }] }),
  "-1 headers": () => ({ records: [{ headerCount: -1 }] }),
  "more headers than there are": () => ({ records: [{ headerCount: 2 }, {}] }),
  "a billion headers": () => ({ records: [{ headerCount: 1_000_000_000 }] }),
  "fewer headers than there are": () => ({
    records: [{ headers: [{ key: "a", value: "b" }], headerCount: 0 }],
  }),
  "a header without a key": () => ({ records: [{ headers: [{ key: null, value: "b" }] }] }),
  "a header without a value": () => ({ records: [{ headers: [{ key: "a", value: null }] }] }),
  "a record's attributes set": () => ({ records: [{ attributes: 0x7f }] }),
  "a max timestamp before its records": () => ({
    records: [{}, { timestampDelta: 1_000 }],
    maxTimestamp: 1,
  }),
  "a max timestamp behind its records": () => ({
    records: TWO,
    maxTimestamp: BASE_MS + 20 * HOUR_MS,
  }),
  "a record of the future": () => ({
    records: [{}, { timestampDelta: 3 * HOUR_MS }],
    maxTimestamp: BASE_MS,
  }),
  "a record of the past": () => ({ records: [{}, { timestampDelta: -3 * HOUR_MS }] }),
  "no timestamps": () => ({ records: TWO, baseTimestamp: -1, maxTimestamp: -1 }),
  "a negative timestamp": () => ({ records: TWO, baseTimestamp: -5, maxTimestamp: -5 }),
  "stamped by its producer": () => ({ records: TWO, attributes: 0x08 }),
};

const COMPRESSIONS = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;

/** What is wrong with the compression, whatever is inside. */
const PACKED: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
  "nothing": () => new Uint8Array(0),
  "a byte": () => Uint8Array.of(7),
  "no stream": () => new TextEncoder().encode("this was never compressed by anything at all"),
  "a cut stream": (bytes) => bytes.slice(0, bytes.length >> 1),
  "a stream without its last byte": (bytes) => bytes.slice(0, -1),
  "bytes behind the stream": (bytes) => concat(bytes, Uint8Array.of(1, 2, 3, 4)),
  "zeros behind the stream": (bytes) => concat(bytes, new Uint8Array(16)),
  "two streams": (bytes) => concat(bytes, bytes),
  "a changed first byte": (bytes) => patched(bytes, 0, bytes[0]! ^ 0x55),
  "a changed byte in the middle": (bytes) => {
    return patched(bytes, bytes.length >> 1, bytes[bytes.length >> 1]! ^ 0xff);
  },
  "a changed last byte": (bytes) => patched(bytes, -1, bytes.at(-1)! ^ 0xff),
};

function kinds(): BatchKind[] {
  const all: BatchKind[] = [];
  for (const [codec, compression] of Object.entries(COMPRESSIONS)) {
    const add = (topic: BatchKind["topic"], inside: string): void => {
      all.push({
        name: `${codec}, ${topic}: ${inside}`,
        topic,
        make: () => {
          const batch = INSIDE[inside]!();
          const attributes = (batch.attributes ?? 0) | compression;
          return handMadeBatch({ baseTimestamp: BASE_MS, ...batch, compression, attributes });
        },
      });
    };
    for (const inside of Object.keys(INSIDE)) add("plain", inside);
    for (const inside of ["sound", "no key"]) add("compacted", inside);
    for (
      const inside of [
        "a max timestamp before its records",
        "a max timestamp behind its records",
        "a record of the past",
        "a record of the future",
        "no timestamps",
        "a negative timestamp",
      ]
    ) add("bounded", inside);
    for (
      const inside of [
        "a max timestamp before its records",
        "a record of the past",
        "a record shorter than it says",
        "the same offset twice",
        "stamped by its producer",
      ]
    ) add("stamped", inside);
    if (compression === Compression.NONE) continue;
    for (const [packing, packed] of Object.entries(PACKED)) {
      all.push({
        name: `${codec}: ${packing}`,
        topic: "plain",
        make: () => handMadeBatch({ baseTimestamp: BASE_MS, records: TWO, compression, packed }),
      });
    }
  }
  return all;
}

export const BATCH_KINDS: readonly BatchKind[] = kinds();
