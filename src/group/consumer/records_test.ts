import { strict as assert } from "node:assert";
import { decodeRecord } from "../records.ts";
import { changeRecord } from "./records.ts";
import type { Change } from "./types.ts";

const TOPIC_ID = "0123456789abcdef0123456789abcdef";

const CHANGES: readonly Change[] = [
  { kind: "groupEpoch", value: { epoch: 7, metadataHash: 2 ** 52 + 1, creationTimeMs: 1_700 } },
  {
    kind: "member",
    memberId: "m",
    value: {
      instanceId: "i",
      rackId: null,
      clientId: "c",
      clientHost: "/127.0.0.1",
      topicNames: ["a", "b"],
      topicRegex: "x.*",
      rebalanceTimeoutMs: 5_000,
      serverAssignor: "range",
      classic: {
        sessionTimeoutMs: 10_000,
        supportedProtocols: [{ name: "range", metadata: Uint8Array.of(1, 2) }],
      },
    },
  },
  { kind: "targetEpoch", value: { epoch: 7, timestampMs: 1_800 } },
  { kind: "target", memberId: "m", value: new Map([[TOPIC_ID, [0, 2]]]) },
  {
    kind: "current",
    memberId: "m",
    value: {
      epoch: 6,
      previousEpoch: 5,
      state: 1,
      assigned: new Map([[TOPIC_ID, new Map([[0, 4], [2, 6]])]]),
      revoking: new Map([[TOPIC_ID, new Map([[1, 3]])]]),
    },
  },
  { kind: "regex", regex: "x.*", value: { topics: ["xa"], version: 3, timestampMs: 1_900 } },
];

const hex = (bytes: Uint8Array): string => bytes.toHex();

Deno.test("changes survive being written and read, and so do their tombstones", () => {
  for (const change of CHANGES) {
    const { key, value } = changeRecord("g", change);
    assert.deepEqual(decodeRecord(key, value), { kind: "change", groupId: "g", change });
    const gone = { ...change, value: null } as Change;
    const tombstone = changeRecord("g", gone);
    assert.deepEqual(tombstone, { key, value: null });
    assert.deepEqual(decodeRecord(key, null), { kind: "change", groupId: "g", change: gone });
  }
});

Deno.test("changeRecord() writes the bytes that Kafka writes", () => {
  const written = CHANGES.map((change) => {
    const { key, value } = changeRecord("g", change);
    return [hex(key), hex(value!)];
  });
  const bytes = (...parts: string[]): string => parts.join("");
  assert.deepEqual(written[0], [
    "0003000167",
    bytes("0000", "00000007", "02", "0008", "0010000000000001", "0108", "00000000000006a4"),
  ]);
  assert.deepEqual(written[2], [
    "0006000167",
    bytes("0000", "00000007", "01", "0008", "0000000000000708"),
  ]);
  assert.deepEqual(written[3], [
    "000700016700016d",
    bytes("0000", "02", TOPIC_ID, "03", "00000000", "00000002", "00", "00"),
  ]);
  const owned = (...numbers: string[]): string => bytes("02", TOPIC_ID, ...numbers);
  assert.deepEqual(written[4], [
    "000800016700016d",
    bytes(
      "0000",
      "00000006",
      "00000005",
      "01",
      owned("03", "00000000", "00000002", "01", "0009", "03", "00000004", "00000006"),
      owned("02", "00000001", "01", "0005", "02", "00000003"),
      "00",
    ),
  ]);
});

Deno.test("what no coordinator would have written is skipped, and so is every cut record", () => {
  for (const change of CHANGES) {
    const { key, value } = changeRecord("g", change);
    for (let size = 2; size < key.length; size++) {
      assert.equal(decodeRecord(key.slice(0, size), value).kind, "skipped");
    }
    for (let size = 0; size < value!.length; size++) {
      assert.equal(decodeRecord(key, value!.slice(0, size)).kind, "skipped");
    }
  }
  const refused: readonly Change[] = [
    { kind: "groupEpoch", value: { epoch: -1, metadataHash: 0, creationTimeMs: 0 } },
    {
      kind: "current",
      memberId: "m",
      value: {
        epoch: 1,
        previousEpoch: 1,
        state: 1,
        assigned: new Map([[TOPIC_ID, new Map([[0, 1]])]]),
        revoking: new Map([[TOPIC_ID, new Map([[0, 1]])]]),
      },
    },
  ];
  for (const change of refused) {
    const { key, value } = changeRecord("g", change);
    assert.equal(decodeRecord(key, value).kind, "skipped");
  }
});

Deno.test("topics as releases before 4.1 wrote them say nothing", () => {
  const read = decodeRecord(Uint8Array.of(0, 4, 0, 1, 103), Uint8Array.of(0, 0, 1, 0));
  assert.deepEqual(read, { kind: "change", groupId: "g", change: null });
});
