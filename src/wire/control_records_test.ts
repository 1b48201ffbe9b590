import { strict as assert } from "node:assert";
import { buildEndTransactionMarker, controlRecordType } from "./control_records.ts";
import { ControlRecordType } from "./record_batch.ts";

/** From Kafka's own MemoryRecords.withEndTransactionMarker, of the marker below. */
const KAFKA_MARKER =
  "000000000000000000000042ffffffff02196d9f4d0030000000000000018bcfe568000000018bcfe5680000000000000010e10007ffffffff000000012000000008000000010c00000000000900";

Deno.test("buildEndTransactionMarker() makes the bytes that Kafka makes", () => {
  const marker = buildEndTransactionMarker({
    isCommit: true,
    producerId: 4321,
    producerEpoch: 7,
    coordinatorEpoch: 9,
    timestampMs: 1_700_000_000_000,
  });
  assert.equal(marker.toHex(), KAFKA_MARKER);
});

Deno.test("controlRecordType() knows commit and abort, and nothing else", () => {
  const type = (hex: string) => controlRecordType(Uint8Array.fromHex(hex));
  assert.equal(type("00000000"), ControlRecordType.ABORT);
  assert.equal(type("00000001"), ControlRecordType.COMMIT);
  assert.equal(type("00000002"), -1);
  assert.equal(type("0000"), -1);
  assert.equal(type("ffff0001"), -1);
});
