/**
 * Frames that no client should send: whole requests of every API and version, and what becomes of them
 * when lengths lie, bytes are missing, changed or too many.
 *
 * @module
 */

import type { Random } from "../../../src/base/prng.ts";
import { crc32cOfBytes } from "../../../src/bytes/crc32c.ts";
import { kafkaHandlers } from "../../../src/shard/handlers.ts";
import type { Api } from "../../../src/wire/api.ts";
import { FETCH_VERSION_MAX, FETCH_VERSION_MIN } from "../../../src/wire/fetch_reader.ts";
import { FETCH, PRODUCE } from "../../../src/wire/generated/apis.ts";
import { requestHeaderVersion } from "../../../src/wire/header.ts";
import { PRODUCE_VERSION_MAX, PRODUCE_VERSION_MIN } from "../../../src/wire/produce_reader.ts";
import {
  ATTRIBUTES_OFFSET,
  BASE_SEQUENCE_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_LENGTH_OFFSET,
  BATCH_LENGTH_OVERHEAD,
  CRC_OFFSET,
  LAST_OFFSET_DELTA_OFFSET,
  MAGIC_OFFSET,
  PRODUCER_ID_OFFSET,
  RECORD_COUNT_OFFSET,
} from "../../../src/wire/record_batch.ts";
import { BATCH_KINDS } from "../records/batch_kinds.ts";
import { catalogEntry, type HostileMessages } from "./hostile_message.ts";
import { type LengthField, LengthWriter, withLength } from "./length_writer.ts";

/** Batches with strange records among the strange ones. */
const STRANGE_RECORDS = 30;

/** An API with the versions that the broker serves. */
export interface ServedApi {
  readonly api: Api<unknown, unknown>;
  readonly minVersion: number;
  readonly maxVersion: number;
}

export function servedApis(): ServedApi[] {
  const cold = kafkaHandlers(() => []).map(({ api, minVersion, maxVersion }) => ({
    api,
    minVersion,
    maxVersion,
  }));
  return [
    {
      api: PRODUCE as Api<unknown, unknown>,
      minVersion: PRODUCE_VERSION_MIN,
      maxVersion: PRODUCE_VERSION_MAX,
    },
    {
      api: FETCH as Api<unknown, unknown>,
      minVersion: FETCH_VERSION_MIN,
      maxVersion: FETCH_VERSION_MAX,
    },
    ...cold,
  ];
}

/** A whole request, and where its lengths stand. */
export interface WholeFrame {
  readonly api: Api<unknown, unknown>;
  readonly version: number;
  readonly bytes: Uint8Array;
  readonly lengths: readonly LengthField[];
}

export function wholeFrame(
  api: Api<unknown, unknown>,
  version: number,
  messages: HostileMessages,
): WholeFrame {
  const request = messages.message(catalogEntry(`${api.name}Request`), version);
  const writer = new LengthWriter();
  writer.int32(0);
  writer.int16(api.key);
  writer.int16(version);
  writer.int32(7);
  writer.nullableString("hostile", false);
  if (requestHeaderVersion(api, version) === 2) writer.unsignedVarint(0);
  api.encodeRequest(writer, version, request);
  writer.view.setInt32(0, writer.size - 4, false);
  return { api, version, bytes: writer.copyBytes(), lengths: writer.lengths };
}

/** Every length field replaced by 0, null, huge, off by one. */
export function* lyingLengths(frame: WholeFrame): Generator<Uint8Array> {
  for (const field of frame.lengths) {
    const max = field.kind === "int16" ? 32767 : 2147483647;
    const values = [0, 1, field.value + 1, field.value - 1, max, max - 1, field.value + 1000];
    if (field.kind === "varint") values.push(4294967295, 4294967294);
    else values.push(-1, -2, -max - 1);
    for (const value of values) {
      if (value === field.value) continue;
      yield withLength(frame.bytes, field, wrap(value, field));
    }
  }
}

/** Cut at every byte (or at `cutsMax` of them), with a size prefix that matches. */
export function* truncations(frame: WholeFrame, cutsMax: number): Generator<Uint8Array> {
  const size = frame.bytes.length - 4;
  const step = Math.max(1, Math.floor(size / cutsMax));
  for (let cut = 0; cut < size; cut += step) yield resized(frame.bytes, cut);
}

/** More bytes than the message has. */
export function* extensions(frame: WholeFrame, random: Random): Generator<Uint8Array> {
  for (const extra of [1, 2, 7, 100]) {
    const longer = resized(frame.bytes, frame.bytes.length - 4 + extra);
    for (let i = frame.bytes.length; i < longer.length; i++) longer[i] = random.nextBelow(256);
    yield longer;
  }
}

/** Single bytes after the correlation id changed to extremes and at random. */
export function* flips(
  frame: WholeFrame,
  random: Random,
  count: number,
): Generator<Uint8Array> {
  if (frame.bytes.length <= 12) return;
  for (let i = 0; i < count; i++) {
    const changed = frame.bytes.slice();
    const times = 1 + random.nextBelow(3);
    for (let j = 0; j < times; j++) {
      const at = 12 + random.nextBelow(changed.length - 12);
      const kind = random.nextBelow(5);
      if (kind === 0) changed[at] = 0xff;
      else if (kind === 1) changed[at] = 0x80;
      else if (kind === 2) changed[at] = 0;
      else if (kind === 3) changed[at]! ^= 1 << random.nextBelow(8);
      else changed[at] = random.nextBelow(256);
    }
    yield changed;
  }
}

/** Random bytes after a header that names a real API and version, or any. */
export function randomFrame(random: Random, apis: readonly ServedApi[]): Uint8Array {
  const size = 8 + random.nextBelow(random.nextBelow(10) === 0 ? 5000 : 120);
  const frame = new Uint8Array(4 + size);
  for (let i = 0; i < frame.length; i++) frame[i] = random.nextBelow(256);
  const view = new DataView(frame.buffer);
  view.setInt32(0, size, false);
  if (random.nextBelow(3) > 0) {
    const { api, minVersion, maxVersion } = apis[random.nextBelow(apis.length)]!;
    view.setInt16(4, api.key, false);
    view.setInt16(6, minVersion + random.nextBelow(maxVersion - minVersion + 1), false);
    if (size > 10) view.setInt16(12, random.nextBelow(4) - 1, false);
  }
  return frame;
}

/** A frame whose header names an API or a version that does not exist. */
export function strangeHeader(frame: WholeFrame, random: Random): Uint8Array {
  const changed = frame.bytes.slice();
  const view = new DataView(changed.buffer);
  const strange = [-32768, -1, 19, 42, 99, 1000, 32767][random.nextBelow(7)]!;
  view.setInt16(random.nextBelow(2) === 0 ? 4 : 6, strange, false);
  return changed;
}

/** Tag sections with many, nested-looking, overlong or truncated tags, at the end of a frame. */
export function* strangeTags(frame: WholeFrame): Generator<Uint8Array> {
  if (frame.version < frame.api.flexibleSince) return;
  const body = frame.bytes.subarray(0, frame.bytes.length - 1);
  const sections = [
    [1, 0, 0],
    [1, 5, 3, 1, 2, 3],
    [2, 5, 1, 0, 5, 1, 0],
    [2, 9, 0, 5, 0],
    [0xff, 0xff, 0xff, 0xff, 0x0f],
    [1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0],
    [1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f],
    [1, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
    [0x80],
    [1, 1, 16, ...new Array(16).fill(0xff)],
    [1, 0, 200, 1, ...new Array(200).fill(1)],
    [0xe8, 0x07, ...new Array(1000).fill([7, 0]).flat()],
  ];
  for (const section of sections) {
    const changed = new Uint8Array(body.length + section.length);
    changed.set(body);
    changed.set(section, body.length);
    new DataView(changed.buffer).setInt32(0, changed.length - 4, false);
    yield changed;
  }
}

/** Batches that lie, most of them under a right checksum: in their headers, and some in their records. */
export function strangeBatches(batch: Uint8Array, random: Random): Uint8Array[] {
  const changes: ((view: DataView) => void)[] = [
    (view) => view.setInt8(MAGIC_OFFSET, 0),
    (view) => view.setInt8(MAGIC_OFFSET, 1),
    (view) => view.setInt8(MAGIC_OFFSET, 3),
    (view) => view.setInt32(RECORD_COUNT_OFFSET, 0),
    (view) => view.setInt32(RECORD_COUNT_OFFSET, -1),
    (view) => view.setInt32(RECORD_COUNT_OFFSET, 2147483647),
    (view) => view.setInt32(LAST_OFFSET_DELTA_OFFSET, 2147483647),
    (view) => view.setInt32(LAST_OFFSET_DELTA_OFFSET, -2),
    (view) => {
      view.setInt32(LAST_OFFSET_DELTA_OFFSET, 2147483646);
      view.setInt32(RECORD_COUNT_OFFSET, 2147483647);
    },
    (view) => view.setInt32(BATCH_LENGTH_OFFSET, 0),
    (view) => view.setInt32(BATCH_LENGTH_OFFSET, -1),
    (view) => view.setInt32(BATCH_LENGTH_OFFSET, 2147483647),
    (view) => view.setInt32(BATCH_LENGTH_OFFSET, batch.length - BATCH_LENGTH_OVERHEAD - 1),
    (view) => view.setInt32(BATCH_LENGTH_OFFSET, batch.length - BATCH_LENGTH_OVERHEAD + 1),
    (view) => view.setInt32(BATCH_LENGTH_OFFSET, BATCH_HEADER_SIZE - BATCH_LENGTH_OVERHEAD),
    (view) => view.setBigInt64(PRODUCER_ID_OFFSET, -2n),
    (view) => view.setBigInt64(PRODUCER_ID_OFFSET, 9223372036854775807n),
    (view) => {
      view.setBigInt64(PRODUCER_ID_OFFSET, 5n);
      view.setInt16(PRODUCER_ID_OFFSET + 8, 0);
      view.setInt32(BASE_SEQUENCE_OFFSET, 2147483647);
    },
    ...[1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128, 0x7fff, -1].map((attributes) => (view: DataView) =>
      view.setInt16(ATTRIBUTES_OFFSET, attributes)
    ),
    ...Array.from({ length: 40 }, () => (view: DataView) => {
      const at = ATTRIBUTES_OFFSET + random.nextBelow(batch.length - ATTRIBUTES_OFFSET);
      view.setUint8(at, random.nextBelow(256));
    }),
  ];
  const made = changes.map((change) => {
    const copy = batch.slice();
    const view = new DataView(copy.buffer);
    change(view);
    view.setUint32(CRC_OFFSET, crc32cOfBytes(copy, ATTRIBUTES_OFFSET, copy.length, 0), false);
    return copy;
  });
  const wrongCrc = batch.slice();
  wrongCrc[CRC_OFFSET]! ^= 1;
  const twice = new Uint8Array(batch.length * 2);
  twice.set(batch);
  twice.set(batch, batch.length);
  const records = Array.from({ length: STRANGE_RECORDS }, () => {
    return BATCH_KINDS[random.nextBelow(BATCH_KINDS.length)]!.make();
  });
  return [
    ...made,
    ...records,
    wrongCrc,
    twice,
    batch.subarray(0, BATCH_HEADER_SIZE),
    batch.subarray(0, BATCH_HEADER_SIZE - 1),
    batch.subarray(0, 12),
    batch.subarray(0, batch.length - 1),
    new Uint8Array(0),
    new Uint8Array(100),
  ];
}

function wrap(value: number, field: LengthField): number {
  if (field.kind === "int16") return (value << 16) >> 16;
  return field.kind === "int32" ? value | 0 : value >>> 0;
}

function resized(frame: Uint8Array, size: number): Uint8Array {
  const changed = new Uint8Array(4 + size);
  changed.set(frame.subarray(0, 4 + size));
  new DataView(changed.buffer).setInt32(0, size, false);
  return changed;
}
