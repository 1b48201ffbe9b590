import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import { Writer } from "../bytes/writer.ts";
import {
  encodeGroupMetadataValue,
  newGroupMetadataValue,
  newMemberMetadata,
} from "../wire/generated/group_metadata_value.ts";
import {
  encodeOffsetCommitValue,
  newOffsetCommitValue,
} from "../wire/generated/offset_commit_value.ts";
import { decodeRecord, groupRecord, offsetRecord } from "./records.ts";

const hex = (bytes: Uint8Array | null): string =>
  [...bytes!].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const joined = (...parts: string[]): string => parts.join("").replaceAll(" ", "");

const AT = { groupId: "g1", topic: "abc", partition: 258 };
const COMMITTED = {
  offset: 4294967297,
  leaderEpoch: 5,
  metadata: "hi",
  commitTimestampMs: 1_700_000_000_000,
  expireTimestampMs: -1,
};

Deno.test("offsetRecord() writes the bytes that Kafka writes", () => {
  const { key, value } = offsetRecord(AT, COMMITTED);
  assert.equal(hex(key), joined("0001", "0002 6731", "0003 616263", "00000102"));
  assert.equal(
    hex(value),
    joined("0003", "0000000100000001", "00000005", "0002 6869", "0000018bcfe56800"),
  );
  const expiring = offsetRecord(AT, { ...COMMITTED, expireTimestampMs: 258 });
  assert.equal(
    hex(expiring.value),
    joined("0001", "0000000100000001", "0002 6869", "0000018bcfe56800", "0000000000000102"),
  );
  assert.equal(offsetRecord(AT, null).value, null);
});

Deno.test("groupRecord() writes the bytes that Kafka writes", () => {
  const { key, value } = groupRecord("g1", {
    protocolType: "consumer",
    generation: 3,
    protocol: "range",
    leader: "m",
    currentStateTimestamp: 258,
    members: [newMemberMetadata({
      memberId: "m",
      groupInstanceId: null,
      clientId: "c",
      clientHost: "/h",
      rebalanceTimeout: 1,
      sessionTimeout: 2,
      subscription: Uint8Array.of(9),
      assignment: Uint8Array.of(8, 7),
    })],
  });
  assert.equal(hex(key), joined("0002", "0002 6731"));
  assert.equal(
    hex(value),
    joined(
      "0003",
      "0008 636f6e73756d6572",
      "00000003",
      "0005 72616e6765",
      "0001 6d",
      "0000000000000102",
      "00000001",
      "0001 6d",
      "ffff",
      "0001 63",
      "0002 2f68",
      "00000001",
      "00000002",
      "00000001 09",
      "00000002 0807",
    ),
  );
});

Deno.test("decodeRecord() reads every version of a committed offset", () => {
  const { key } = offsetRecord(AT, COMMITTED);
  for (let version = 0; version <= 4; version++) {
    const writer = new Writer();
    writer.int16(version);
    const fields = newOffsetCommitValue({ offset: 7, metadata: "x", commitTimestamp: 9 });
    if (version >= 3) fields.leaderEpoch = 2;
    if (version === 1) fields.expireTimestamp = 11;
    encodeOffsetCommitValue(writer, version, fields);
    const decoded = decodeRecord(key, writer.copyBytes());
    assert.deepEqual(decoded, {
      kind: "offset",
      ...AT,
      value: {
        offset: 7,
        leaderEpoch: version >= 3 ? 2 : -1,
        metadata: "x",
        commitTimestampMs: 9,
        expireTimestampMs: version === 1 ? 11 : -1,
      },
    });
  }
  const oldKey = key.slice();
  oldKey[1] = 0;
  assert.equal(decodeRecord(oldKey, null).kind, "offset");
});

Deno.test("decodeRecord() reads every version of a group", () => {
  const { key } = groupRecord("g1", null);
  for (let version = 0; version <= 4; version++) {
    const writer = new Writer();
    writer.int16(version);
    const value = newGroupMetadataValue({
      protocolType: "consumer",
      generation: 2,
      members: [newMemberMetadata({ memberId: "m", assignment: Uint8Array.of(1) })],
    });
    encodeGroupMetadataValue(writer, version, value);
    const decoded = decodeRecord(key, writer.copyBytes());
    assert.ok(decoded.kind === "group" && decoded.value !== null);
    assert.equal(decoded.value.generation, 2);
    assert.deepEqual([...decoded.value.members[0]!.assignment], [1]);
  }
});

Deno.test("decodeRecord() passes over newer kinds, and sees damage", () => {
  assert.deepEqual(decodeRecord(Uint8Array.of(0, 9, 0, 1, 65), null), {
    kind: "skipped",
    problem: "records of kind 9 are not kept here",
  });
  assert.equal(decodeRecord(Uint8Array.of(0), null).kind, "skipped");
  const { key, value } = offsetRecord(AT, COMMITTED);
  for (let size = 2; size < key.length; size++) {
    assert.equal(decodeRecord(key.slice(0, size), value).kind, "skipped");
  }
  for (let size = 0; size < value!.length; size++) {
    assert.equal(decodeRecord(key, value!.slice(0, size)).kind, "skipped");
  }
});

Deno.test("what decodeRecord() returns does not refer to its input", () => {
  const member = newMemberMetadata({
    memberId: "m",
    subscription: Uint8Array.of(1),
    assignment: Uint8Array.of(2),
  });
  const { key, value } = groupRecord("g", newGroupMetadataValue({ members: [member] }));
  const decoded = decodeRecord(key, value);
  value!.fill(0xff);
  assert.ok(decoded.kind === "group");
  assert.deepEqual([...decoded.value!.members[0]!.subscription], [1]);
  assert.deepEqual([...decoded.value!.members[0]!.assignment], [2]);
});

Deno.test("offsets survive being written and read", () => {
  const time = fc.integer({ min: 0, max: 2 ** 45 });
  const committed = fc.record({
    offset: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    metadata: fc.string({ unit: "grapheme", maxLength: 100 }),
    commitTimestampMs: time,
    leaderEpoch: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
    expireTimestampMs: fc.oneof(fc.constant(-1), time),
  });
  const at = fc.record({
    groupId: fc.string({ unit: "grapheme", maxLength: 50 }),
    topic: fc.string({ maxLength: 50 }),
    partition: fc.nat(),
  });
  fc.assert(
    fc.property(at, committed, (where, value) => {
      const record = offsetRecord(where, value);
      // Version 1, the only one with an expiry, has no leader epoch.
      const leaderEpoch = value.expireTimestampMs < 0 ? value.leaderEpoch : -1;
      const decoded = decodeRecord(record.key, record.value);
      assert.deepEqual(decoded, { kind: "offset", ...where, value: { ...value, leaderEpoch } });
    }),
    { seed: 7 },
  );
});
