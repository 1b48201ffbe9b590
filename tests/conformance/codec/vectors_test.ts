/**
 * Fixed bytes.
 *
 * `vectors.txt` holds lines "Message version hex" that Kafka's own classes (kafka-clients and the
 * jars of the two coordinators) decoded and encoded to the same bytes. The frames below were
 * written down by hand from the protocol's grammar.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Cursor } from "../../../src/bytes/cursor.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { type Api, API_VERSIONS, METADATA, PRODUCE } from "../../../src/wire/generated/apis.ts";
import { newApiVersionsRequest } from "../../../src/wire/generated/api_versions_request.ts";
import {
  newApiVersion,
  newApiVersionsResponse,
} from "../../../src/wire/generated/api_versions_response.ts";
import { CATALOG } from "../../../src/wire/generated/catalog.ts";
import {
  newMetadataRequest,
  newMetadataRequestTopic,
} from "../../../src/wire/generated/metadata_request.ts";
import {
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
} from "../../../src/wire/generated/produce_request.ts";
import { encodeRequestFrame, encodeResponse } from "../../../src/wire/header.ts";

Deno.test("vectors confirmed by Kafka decode and encode to themselves", () => {
  const entries = new Map(CATALOG.map((entry) => [entry.name, entry]));
  const text = Deno.readTextFileSync(new URL("./vectors.txt", import.meta.url));
  const lines = text.trimEnd().split("\n");
  assert.ok(lines.length > 300);
  for (const line of lines) {
    const [name, version, hex] = line.split(" ") as [string, string, string];
    const entry = entries.get(name);
    assert.ok(entry !== undefined, name);
    const cursor = Cursor.of(Uint8Array.fromHex(hex));
    const message = entry.decode(cursor, Number(version));
    assert.ok(cursor.atEnd(), line);
    const writer = new Writer();
    entry.encode(writer, Number(version), message);
    assert.equal(writer.borrowBytes().toHex(), hex, line);
  }
});

/** A frame written with spaces, against what the codec makes. */
function sameFrame<Request>(
  api: Api<Request, unknown>,
  version: number,
  request: Request,
  expected: string,
): void {
  const frame = encodeRequestFrame(api, version, 1, "cli", request);
  assert.equal(frame.toHex(), expected.replaceAll(" ", ""));
}

Deno.test("encodeRequestFrame() makes an ApiVersions v0", () => {
  sameFrame(
    API_VERSIONS,
    0,
    newApiVersionsRequest(),
    "0000000d 0012 0000 00000001 0003 636c69",
  );
});

Deno.test("encodeRequestFrame() makes an ApiVersions v3 with a flexible header", () => {
  sameFrame(
    API_VERSIONS,
    3,
    newApiVersionsRequest({ clientSoftwareName: "kc", clientSoftwareVersion: "1" }),
    "00000014 0012 0003 00000001 0003 636c69 00  03 6b63 02 31 00",
  );
});

Deno.test("encodeRequestFrame() makes a Metadata v1, of one topic and of all", () => {
  sameFrame(
    METADATA,
    1,
    newMetadataRequest({ topics: [newMetadataRequestTopic({ name: "t" })] }),
    "00000014 0003 0001 00000001 0003 636c69  00000001 0001 74",
  );
  sameFrame(
    METADATA,
    1,
    newMetadataRequest({ topics: null }),
    "00000011 0003 0001 00000001 0003 636c69  ffffffff",
  );
});

Deno.test("encodeRequestFrame() makes a Metadata v12", () => {
  sameFrame(
    METADATA,
    12,
    newMetadataRequest({ topics: [newMetadataRequestTopic({ name: "t" })] }),
    "00000025 0003 000c 00000001 0003 636c69 00  " +
      "02 00000000000000000000000000000000 02 74 00 01 00 00",
  );
});

function produceOfThreeBytes() {
  const records = Uint8Array.of(1, 2, 3);
  return newProduceRequest({
    acks: -1,
    timeoutMs: 30_000,
    topicData: [
      newTopicProduceData({ name: "t", partitionData: [newPartitionProduceData({ records })] }),
    ],
  });
}

Deno.test("encodeRequestFrame() makes a Produce v3", () => {
  sameFrame(
    PRODUCE,
    3,
    produceOfThreeBytes(),
    "0000002b 0000 0003 00000001 0003 636c69  " +
      "ffff ffff 00007530 00000001 0001 74 00000001 00000000 00000003 010203",
  );
});

Deno.test("encodeRequestFrame() makes a Produce v9", () => {
  sameFrame(
    PRODUCE,
    9,
    produceOfThreeBytes(),
    "00000024 0000 0009 00000001 0003 636c69 00  " +
      "00 ffff 00007530 02 02 74 02 00000000 04 010203 00 00 00",
  );
});

Deno.test("encodeResponse() keeps the old header for ApiVersions alone", () => {
  const apiKeys = [newApiVersion({ apiKey: 18, minVersion: 0, maxVersion: 4 })];
  assert.equal(
    encodeResponse(API_VERSIONS, 3, 1, newApiVersionsResponse({ apiKeys })).toHex(),
    "00000001 0000 02 0012 0000 0004 00 00000000 00".replaceAll(" ", ""),
  );
});
