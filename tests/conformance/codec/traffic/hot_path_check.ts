/**
 * Produce and Fetch frames through what the broker itself uses in place of the generated codec: the
 * in-place readers, the in-place writers, and the readers of record batches.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { decompress } from "../../../../src/bytes/compression.ts";
import { crc32cOfBytes, softwareCrc32c } from "../../../../src/bytes/crc32c.ts";
import { Cursor } from "../../../../src/bytes/cursor.ts";
import { type Memory, wrapMemory } from "../../../../src/bytes/memory.ts";
import { type RecordRules, WalkStatus } from "../../../../src/io/record_walk.ts";
import { loadShim } from "../../../../src/io/shim.ts";
import { openBufferWalk } from "../../../../src/io/shim_walk.ts";
import { checkBatch } from "../../../../src/wire/check_batch.ts";
import { controlRecordType } from "../../../../src/wire/control_records.ts";
import { ErrorCode } from "../../../../src/wire/errors.ts";
import { FetchReader } from "../../../../src/wire/fetch_reader.ts";
import { FetchResponseWriter } from "../../../../src/wire/fetch_response.ts";
import { FETCH, PRODUCE } from "../../../../src/wire/generated/apis.ts";
import type { FetchRequest } from "../../../../src/wire/generated/fetch_request.ts";
import type { FetchResponse } from "../../../../src/wire/generated/fetch_response.ts";
import type { ProduceRequest } from "../../../../src/wire/generated/produce_request.ts";
import type { ProduceResponse } from "../../../../src/wire/generated/produce_response.ts";
import { requestBodyAddress, requestHeaderVersion } from "../../../../src/wire/header.ts";
import { ProduceReader } from "../../../../src/wire/produce_reader.ts";
import { ProduceResponseWriter } from "../../../../src/wire/produce_response.ts";
import {
  ATTRIBUTES_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_MAGIC,
  batchBaseOffset,
  batchBaseTimestamp,
  batchCompression,
  batchCrc,
  batchEndOffset,
  batchIsControl,
  batchMagic,
  batchRecordCount,
  batchSize,
} from "../../../../src/wire/record_batch.ts";
import { RecordReader } from "../../../../src/wire/record_reader.ts";
import { fetchedByReader, producedByReader } from "../../../../src/wire/test_readers.ts";
import { type DecodedFrame, nameOf, type WireFrame } from "./frame_codec.ts";

/** No batch of these tests is larger when decompressed. */
const RECORDS_SIZE_MAX = 64 * 1024 * 1024;
/** Room that a response takes beyond its frame: names and messages to write it from. */
const SCRATCH = 64 * 1024;

/** What was found in a frame. */
export interface HotPathCounts {
  readonly batches: number;
  readonly records: number;
  /** Bits of the compressions that were met. */
  readonly compressions: ReadonlySet<number>;
}

const NOTHING: HotPathCounts = { batches: 0, records: 0, compressions: new Set() };

/** Checks a frame of Produce or Fetch; of another API there is nothing to check. */
export function checkHotPath(frame: WireFrame, decoded: DecodedFrame): HotPathCounts {
  const { key } = decoded.api;
  if (key !== PRODUCE.key && key !== FETCH.key) return NOTHING;
  if (frame.direction === "request") checkReader(frame, decoded);
  else if (key === PRODUCE.key) checkProduceWriter(frame, decoded);
  else checkFetchWriter(frame, decoded);
  const counts = { batches: 0, records: 0, compressions: new Set<number>() };
  for (const records of recordsOf(frame, decoded)) {
    if (frame.direction === "request") checkAsProduced(nameOf(frame), records);
    readBatches(nameOf(frame), records, counts);
  }
  return counts;
}

/** Whether the reader of this frame's API takes these bytes as a whole request. */
export function readerTakes({ direction, apiKey, version, bytes }: WireFrame): boolean {
  assert.equal(direction, "request");
  const api = apiKey === PRODUCE.key ? PRODUCE : FETCH;
  const source = Cursor.of(bytes);
  const at = requestBodyAddress(source, 0, bytes.length, requestHeaderVersion(api, version));
  if (at < 0) return false;
  const reader = apiKey === PRODUCE.key ? new ProduceReader() : new FetchReader();
  return reader.open(source, at, bytes.length, version);
}

/** The reader in place says what the generated decoder says. */
function checkReader(frame: WireFrame, { api, version, bodyAt, message }: DecodedFrame): void {
  const name = nameOf(frame);
  const source = Cursor.of(frame.bytes);
  const { end } = source;
  const at = requestBodyAddress(source, 0, end, requestHeaderVersion(api, version));
  assert.equal(at, bodyAt, `${name}: where the body begins`);
  if (api.key === PRODUCE.key) {
    const reader = new ProduceReader();
    assert.ok(reader.open(source, at, end, version), `${name}: the reader does not take it`);
    const { topicData } = message as ProduceRequest;
    assert.equal(reader.topicCount, topicData.length, name);
    assert.deepEqual(producedByReader(reader, source, version), withOwnBytes(message), name);
  } else {
    const reader = new FetchReader();
    assert.ok(reader.open(source, at, end, version), `${name}: the reader does not take it`);
    const request = message as FetchRequest;
    assert.equal(reader.topicCount, request.topics.length, name);
    assert.deepEqual(fetchedByReader(reader, source, version, request), request, name);
  }
}

/** Decoded records are views of the frame; the same with bytes of their own, to compare. */
function withOwnBytes(message: object): object {
  const { topicData, ...rest } = message as ProduceRequest;
  const own = topicData.map(({ partitionData, ...topic }) => ({
    ...topic,
    partitionData: partitionData.map(({ records, ...partition }) => ({
      ...partition,
      records: records === null ? null : records.slice(),
    })),
  }));
  return { ...rest, topicData: own };
}

/** The writer in place makes the same bytes from the same answer. */
function checkProduceWriter(frame: WireFrame, decoded: DecodedFrame): void {
  const { version, correlationId } = decoded;
  const message = decoded.message as ProduceResponse;
  const memory = wrapMemory(new ArrayBuffer(frame.bytes.length + SCRATCH));
  const writer = new ProduceResponseWriter(memory);
  writer.begin(0, memory.bytes.length, version, correlationId, message.responses.length);
  for (const { name, topicId, partitionResponses } of message.responses) {
    if (version < 13) writer.topicByText(name, partitionResponses.length);
    else writer.topicByUuid(topicId, partitionResponses.length);
    for (const partition of partitionResponses) {
      // What no broker of one node says, and the writer hence cannot.
      if (partition.recordErrors.length > 0) return;
      const recordErrors = partition.recordErrors.map((each) => ({
        index: each.batchIndex,
        message: each.batchIndexErrorMessage!,
      }));
      writer.partition({ ...partition, ...partition.currentLeader, recordErrors });
    }
    writer.endTopic();
  }
  const size = writer.end(message.throttleTimeMs, message.nodeEndpoints);
  assert.equal(memory.bytes.subarray(4, size).toHex(), frame.bytes.toHex(), nameOf(frame));
}

function checkFetchWriter(frame: WireFrame, decoded: DecodedFrame): void {
  const { version, correlationId } = decoded;
  const message = decoded.message as FetchResponse;
  const { errorCode, sessionId, throttleTimeMs, responses } = message;
  const memory = wrapMemory(new ArrayBuffer(frame.bytes.length + SCRATCH));
  const writer = new FetchResponseWriter(memory);
  const parts: string[] = [];
  const topicCount = responses.length;
  const head = { correlationId, throttleTimeMs, errorCode, sessionId, topicCount };
  writer.begin(0, memory.bytes.length, version, head);
  let from = 4;
  for (const { topic, topicId, partitions } of responses) {
    if (version < 13) writer.topicByText(topic, partitions.length);
    else writer.topicByUuid(topicId, partitions.length);
    for (const partition of partitions) {
      const { epoch, endOffset } = partition.divergingEpoch;
      const result = {
        ...partition,
        ...partition.currentLeader,
        index: partition.partitionIndex,
        divergingEpoch: epoch,
        divergingEndOffset: endOffset,
      };
      const aborted = partition.abortedTransactions;
      writer.partition(result, aborted?.length ?? -1);
      for (const { producerId, firstOffset } of aborted ?? []) {
        writer.aborted(producerId, firstOffset);
      }
      // The records are sent from elsewhere, in between.
      writer.records(partition.preferredReadReplica, partition.records?.length ?? -1);
      parts.push(memory.bytes.subarray(from, writer.at).toHex(), partition.records?.toHex() ?? "");
      from = writer.at;
      writer.endPartition(result);
    }
    writer.endTopic();
  }
  const size = writer.end(message.nodeEndpoints);
  parts.push(memory.bytes.subarray(from, size).toHex());
  assert.equal(parts.join(""), frame.bytes.toHex(), nameOf(frame));
}

/** The records of every partition in a frame; none where its API or direction has none. */
export function recordsOf({ direction }: WireFrame, { api, message }: DecodedFrame): Uint8Array[] {
  const found: (Uint8Array | null)[] = [];
  if (api.key === PRODUCE.key && direction === "request") {
    for (const { partitionData } of (message as ProduceRequest).topicData) {
      found.push(...partitionData.map(({ records }) => records));
    }
  } else if (api.key === FETCH.key && direction === "response") {
    for (const { partitions } of (message as FetchResponse).responses) {
      found.push(...partitions.map(({ records }) => records));
    }
  }
  return found.filter((records) => records !== null);
}

const SHIM = loadShim();
const NO_RULES: RecordRules = { keysRequired: false, oldestMs: -Infinity, newestMs: Infinity };

/** The code that a broker gives for what a producer sent for one partition. */
export function produceCheck(records: Uint8Array): ErrorCode {
  const memory = copied(records);
  const code = checkBatch(memory, 0, records.length, softwareCrc32c(memory));
  if (code !== ErrorCode.NONE) return code;
  const walk = openBufferWalk(SHIM, memory.bytes);
  try {
    let ended = walk.begin(0, records.length, NO_RULES);
    while (!ended) ended = walk.resume(0, records.length, NO_RULES);
    return walk.status === WalkStatus.SOUND ? ErrorCode.NONE : ErrorCode.INVALID_RECORD;
  } finally {
    walk.close();
  }
}

function checkAsProduced(name: string, records: Uint8Array): void {
  assert.equal(produceCheck(records), ErrorCode.NONE, `${name}: a batch that is not taken`);
}

/** Reads every record of every batch: checksums, counts, offsets, headers, markers. */
function readBatches(
  name: string,
  records: Uint8Array,
  counts: { batches: number; records: number; compressions: Set<number> },
): void {
  const { bytes, view } = copied(records);
  let at = 0;
  while (at < bytes.length) {
    assert.ok(bytes.length - at >= BATCH_HEADER_SIZE, `${name}: half a batch`);
    assert.equal(batchMagic(view, at), BATCH_MAGIC, name);
    const end = at + batchSize(view, at);
    assert.ok(end <= bytes.length, `${name}: half a batch`);
    const crc = crc32cOfBytes(bytes, at + ATTRIBUTES_OFFSET, end, 0);
    assert.equal(crc, batchCrc(view, at), `${name}: the checksum`);
    counts.batches++;
    counts.compressions.add(batchCompression(view, at));
    counts.records += readRecords(name, view, at, bytes.subarray(at + BATCH_HEADER_SIZE, end));
    at = end;
  }
}

function readRecords(name: string, view: DataView, at: number, body: Uint8Array): number {
  const plain = decompress(batchCompression(view, at), body, RECORDS_SIZE_MAX);
  assert.ok(plain !== null, `${name}: a batch that does not decompress`);
  const source = Cursor.of(plain);
  const reader = new RecordReader();
  const count = batchRecordCount(view, at);
  const base = batchBaseOffset(view, at);
  reader.open(source, 0, plain.length, count, base, batchBaseTimestamp(view, at));
  let next = base;
  while (reader.next()) {
    assert.equal(reader.offset, next++, `${name}: offsets`);
    for (let header = 0; header < reader.headerCount; header++) assert.ok(reader.nextHeader());
    assert.equal(reader.nextHeader(), false);
    if (!batchIsControl(view, at)) continue;
    const { keyAt, keyLength } = reader;
    assert.ok(
      controlRecordType(plain.subarray(keyAt, keyAt + keyLength)) >= 0,
      `${name}: a marker`,
    );
  }
  assert.ok(reader.ok(), `${name}: records that are malformed`);
  assert.equal(next, batchEndOffset(view, at), `${name}: the number of records`);
  return count;
}

function copied(bytes: Uint8Array): Memory {
  const memory = wrapMemory(new ArrayBuffer(bytes.length));
  memory.bytes.set(bytes);
  return memory;
}
