/**
 * Makes requests of the codec out of a case's JSON, with each broker's own ids in the placeholders.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { compress, COMPRESSION_NAMES } from "../../../src/bytes/compression.ts";
import { crc32cOfBytes } from "../../../src/bytes/crc32c.ts";
import { setInt64 } from "../../../src/bytes/int64.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import type { CatalogEntry, CatalogField } from "../../../src/wire/catalog_entry.ts";
import { encodeConsumerProtocolSubscription } from "../../../src/wire/generated/consumer_protocol_subscription.ts";
import { newConsumerProtocolSubscription } from "../../../src/wire/generated/consumer_protocol_subscription.ts";
import { setBatchCrc } from "../../../src/wire/record_batch.ts";
import {
  ATTRIBUTES_OFFSET,
  BASE_SEQUENCE_OFFSET,
  BASE_TIMESTAMP_OFFSET,
  BATCH_LENGTH_OFFSET,
  type Compression,
  LAST_OFFSET_DELTA_OFFSET,
  MAGIC_OFFSET,
  MAX_TIMESTAMP_OFFSET,
  PRODUCER_EPOCH_OFFSET,
  PRODUCER_ID_OFFSET,
  RECORD_COUNT_OFFSET,
} from "../../../src/wire/record_batch.ts";
import { type BatchOptions, RecordBatchBuilder } from "../../../src/wire/record_batch_builder.ts";
import { ZERO_UUID } from "../../../src/wire/uuid.ts";
import type { BatchJson, Json, JsonObject } from "./case.ts";

/** Puts one broker's values in place of a text's placeholders; a whole placeholder may be a number. */
export type Resolve = (text: string) => string | number;

/** A message of `entry`; every field that `json` does not name has its default. */
export function buildMessage(
  entry: CatalogEntry,
  version: number,
  json: JsonObject,
  resolve: Resolve,
): object {
  return buildStruct(entry, entry.name, version, json, { resolve, topic: "", partition: "0" });
}

/** What a value stands in. */
interface Around {
  readonly resolve: Resolve;
  /** The topic that is named last, and the partition. */
  readonly topic: string;
  readonly partition: string;
}

/** The same for the fields of a struct, which may itself name a topic or a partition. */
function within(
  around: Around,
  fields: readonly CatalogField[],
  version: number,
  json: JsonObject,
): Around {
  const valueOf = (...names: string[]): string | undefined => {
    const field = fields.find((one) => names.includes(one.name) && isIn(version, one.versions));
    return field === undefined ? undefined : `${json[field.name] ?? 0}`;
  };
  const id = /^%id:(.*)%$/.exec(valueOf("topicId") ?? "")?.[1];
  return {
    ...around,
    topic: valueOf("topic", "name") ?? id ?? around.topic,
    partition: valueOf("partition", "partitionIndex", "index") ?? around.partition,
  };
}

export function isIn(version: number, range: readonly [number, number]): boolean {
  return version >= range[0] && version <= range[1];
}

function buildStruct(
  entry: CatalogEntry,
  name: string,
  version: number,
  json: JsonObject,
  outside: Around,
): object {
  const { fields, create } = entry.structs[name]!;
  const around = within(outside, fields, version, json);
  const message = create() as Record<string, unknown>;
  for (const [key, value] of Object.entries(json)) {
    const field = fields.find((one) => one.name === key);
    assert.ok(field !== undefined, `${entry.name} has no field ${key} in ${name}`);
    if (!isIn(version, field.versions)) continue;
    message[key] = buildField(entry, field, version, value, around);
  }
  return message;
}

function buildField(
  entry: CatalogEntry,
  field: CatalogField,
  version: number,
  json: Json,
  around: Around,
): unknown {
  if (json !== null) return buildValue(entry, field.type, version, json, around);
  const nullable = field.nullable !== undefined && isIn(version, field.nullable);
  // What this version cannot leave out is empty in it.
  if (nullable) return null;
  if (field.type === "string") return "";
  if (field.type === "bytes" || field.type === "records") return new Uint8Array(0);
  return field.type.startsWith("[]") ? [] : 0;
}

function buildValue(
  entry: CatalogEntry,
  type: string,
  version: number,
  json: Json,
  around: Around,
): unknown {
  if (type.startsWith("[]")) {
    assert.ok(Array.isArray(json), `${entry.name}: ${JSON.stringify(json)} is no array`);
    return json.map((one) => buildValue(entry, type.slice(2), version, one, around));
  }
  switch (type) {
    case "bool":
      return json === true;
    case "string":
      return String(around.resolve(json as string));
    case "uuid": {
      const text = String(around.resolve(json as string));
      return /^[0-9a-f]{32}$/.test(text) ? text : ZERO_UUID;
    }
    case "bytes":
    case "records":
      return buildBytes(json as JsonObject, around.resolve);
    case "int8":
    case "int16":
    case "uint16":
    case "int32":
    case "uint32":
    case "int64":
    case "float64":
      return buildNumber(withPlace(json, around), around.resolve);
    default:
      return buildStruct(entry, type, version, json as JsonObject, around);
  }
}

/** An epoch is that of the partition beside it. */
function withPlace(json: Json, { topic, partition }: Around): Json {
  if (typeof json !== "string") return json;
  return json.replace(/^%epoch([^%]*)%$/, (_, sum) => `%epoch:${topic}#${partition}${sum}%`);
}

function buildNumber(json: Json, resolve: Resolve): number {
  if (typeof json === "number") return json;
  const number = Number(resolve(json as string));
  return Number.isNaN(number) ? 0 : number;
}

function buildBytes(json: JsonObject, resolve: Resolve): Uint8Array {
  if ("text" in json) return new TextEncoder().encode(String(resolve(json.text as string)));
  if ("hex" in json) return Uint8Array.fromHex(json.hex as string);
  if ("subscription" in json) return buildSubscription(json, resolve);
  assert.ok("batches" in json, `no bytes: ${JSON.stringify(json)}`);
  const batches = (json.batches as BatchJson[]).map((batch) => buildBatch(batch, resolve));
  const bytes = new Uint8Array(batches.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const batch of batches) {
    bytes.set(batch, at);
    at += batch.length;
  }
  return bytes;
}

/** What a consumer says in JoinGroup; `says` is a version that its fields are not of. */
function buildSubscription(json: JsonObject, resolve: Resolve): Uint8Array {
  const version = (json.version ?? 0) as number;
  const topics = (json.subscription as string[]).map((topic) => String(resolve(topic)));
  const writer = new Writer();
  writer.int16((json.says ?? version) as number);
  encodeConsumerProtocolSubscription(
    writer,
    version,
    newConsumerProtocolSubscription({ topics, userData: null }),
  );
  return writer.copyBytes();
}

function buildBatch(json: BatchJson, resolve: Resolve): Uint8Array {
  const builder = new RecordBatchBuilder();
  for (const record of json.records) {
    const fields = (typeof record === "object" && record !== null ? record : { value: record }) as
      & { key?: Json; value?: Json; timestamp?: Json }
      & JsonObject;
    builder.add({
      key: textBytes(fields.key),
      value: textBytes(fields.value),
      timestamp: buildNumber(fields.timestamp ?? "%now%", resolve),
    });
  }
  const bytes = builder.build({
    baseOffset: buildNumber(json.baseOffset ?? 0, resolve),
    producerId: buildNumber(json.producerId ?? -1, resolve),
    producerEpoch: buildNumber(json.producerEpoch ?? -1, resolve),
    baseSequence: buildNumber(json.baseSequence ?? -1, resolve),
    isTransactional: json.isTransactional === true,
    isControl: json.isControl === true,
    ...compressionNamed(json.compression),
  });
  return json.set === undefined
    ? bytes
    : changed(bytes, json.set as JsonObject, json.crc !== false);
}

/** How records are compressed, by the name that settings have for it. */
function compressionNamed(
  name: Json | undefined,
): Pick<BatchOptions, "compression" | "compress"> {
  if (name === undefined) return {};
  const compression = COMPRESSION_NAMES.indexOf(name as string);
  assert.ok(compression >= 0, `there is no compression ${name}`);
  return {
    compression: compression as Compression,
    compress: (records) => compress(compression, records),
  };
}

function textBytes(json: Json | undefined): Uint8Array | null {
  return json === undefined || json === null ? null : new TextEncoder().encode(String(json));
}

/** Fields of a batch's header by their names, and how each is written. */
const HEADER: Readonly<Record<string, (view: DataView, value: number) => void>> = {
  batchLength: (view, value) => view.setInt32(BATCH_LENGTH_OFFSET, value),
  magic: (view, value) => view.setInt8(MAGIC_OFFSET, value),
  attributes: (view, value) => view.setInt16(ATTRIBUTES_OFFSET, value),
  lastOffsetDelta: (view, value) => view.setInt32(LAST_OFFSET_DELTA_OFFSET, value),
  baseTimestamp: (view, value) => setInt64(view, BASE_TIMESTAMP_OFFSET, value),
  maxTimestamp: (view, value) => setInt64(view, MAX_TIMESTAMP_OFFSET, value),
  producerId: (view, value) => setInt64(view, PRODUCER_ID_OFFSET, value),
  producerEpoch: (view, value) => view.setInt16(PRODUCER_EPOCH_OFFSET, value),
  baseSequence: (view, value) => view.setInt32(BASE_SEQUENCE_OFFSET, value),
  recordCount: (view, value) => view.setInt32(RECORD_COUNT_OFFSET, value),
};

/** The batch with other values in its header, and the checksum that belongs to them or not. */
function changed(bytes: Uint8Array, set: JsonObject, isCrcRight: boolean): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const [name, value] of Object.entries(set)) HEADER[name]!(view, value as number);
  if (isCrcRight) {
    setBatchCrc(view, 0, crc32cOfBytes(bytes, ATTRIBUTES_OFFSET, bytes.length, 0));
  }
  return bytes;
}
