import { strict as assert } from "node:assert";
import { readdirSync, readFileSync } from "node:fs";
import { decodeCommand, encodeCommand, type MetadataRecord, RecordType } from "./records.ts";

const FORMAT_PAGE = new URL("../../docs/formats/metadata_log.md", import.meta.url);
const SCHEMAS = new URL("../wire/schemas/", import.meta.url);

function exampleOf(page: string): Uint8Array {
  const [, hex] = /```hex\n([^`]*)```/.exec(page)!;
  return Uint8Array.from(hex!.trim().split(/\s+/), (digits) => parseInt(digits, 16));
}

const topicId = "5f6e1c0a9b3d4e2f8a7b6c5d4e3f2a1b";
const EXAMPLE: MetadataRecord[] = [
  { type: RecordType.TOPIC, body: { topicId, name: "orders" } },
  {
    type: RecordType.CONFIG,
    body: { resourceType: 2, resourceName: "orders", name: "retention.ms", value: "1000" },
  },
  {
    type: RecordType.PARTITION,
    body: {
      topicId,
      partitionIndex: 0,
      groupId: 7,
      replicas: [0],
      incarnations: [],
      epochFloor: 0,
    },
  },
];

Deno.test("the example of the format's page is what is written, and reads as it says", () => {
  const example = exampleOf(readFileSync(FORMAT_PAGE, "utf8"));
  assert.deepEqual(encodeCommand(EXAMPLE), example);
  const decoded = decodeCommand(example);
  assert.ok(decoded.ok);
  assert.deepEqual(decoded.records, EXAMPLE);
});

Deno.test("which life of a node is meant, what its program can do, and how far epochs got are tagged fields", () => {
  const records: MetadataRecord[] = [
    {
      type: RecordType.NODE,
      body: {
        nodeId: 2,
        incarnation: topicId,
        rack: null,
        endpoints: [{ name: "rpc", host: "h", port: 1 }],
        logicalVersion: 3,
        logicalVersionMin: 2,
      },
    },
    {
      type: RecordType.PARTITION,
      body: {
        topicId,
        partitionIndex: 0,
        groupId: 7,
        replicas: [0, 2],
        incarnations: [5, 6],
        epochFloor: 90,
      },
    },
    { type: RecordType.TOPIC_REMOVED, body: { topicId, epochFloor: 90 } },
    { type: RecordType.GROUP_IDS, body: { nextGroupId: 8, epochFloor: 90 } },
  ];
  const decoded = decodeCommand(encodeCommand(records));
  assert.ok(decoded.ok);
  assert.deepEqual(decoded.records, records);
});

Deno.test("record types are the schemas' keys, each used once, and all are on the page", () => {
  const page = readFileSync(FORMAT_PAGE, "utf8");
  const keys: number[] = [];
  for (const file of readdirSync(SCHEMAS)) {
    const text = readFileSync(new URL(file, SCHEMAS), "utf8").replace(/^\s*\/\/.*$/gm, "");
    const schema = JSON.parse(text) as {
      readonly type: string;
      readonly name: string;
      readonly apiKey: number;
    };
    if (schema.type !== "metadata") continue;
    keys.push(schema.apiKey);
    assert.match(page, new RegExp(`\\| ${schema.apiKey} \\| ${schema.name} \\|`));
  }
  assert.deepEqual(keys.sort((a, b) => a - b), Object.values(RecordType));
});

Deno.test("decodeCommand() skips tagged fields that it does not know", () => {
  const bytes = encodeCommand([EXAMPLE[0]!]);
  // The last byte counts the tagged fields: one, number 9, of two bytes.
  const extended = new Uint8Array([...bytes.subarray(0, -1), 1, 9, 2, 0xab, 0xcd]);
  const decoded = decodeCommand(extended);
  assert.ok(decoded.ok);
  assert.deepEqual(decoded.records, [EXAMPLE[0]]);
});

Deno.test("decodeCommand() never throws and never accepts a command that was cut short", () => {
  const bytes = encodeCommand(EXAMPLE);
  for (let size = 0; size < bytes.length; size++) {
    assert.equal(decodeCommand(bytes.subarray(0, size)).ok, false);
  }
  for (let at = 0; at < bytes.length; at++) {
    for (const mask of [0x01, 0x80, 0xff]) {
      const damaged = bytes.slice();
      damaged[at]! ^= mask;
      const decoded = decodeCommand(damaged);
      if (decoded.ok) assert.notDeepEqual(decoded.records, EXAMPLE);
    }
  }
});
