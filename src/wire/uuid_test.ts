import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import { Cursor } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import {
  isUuid,
  readUuid,
  uuidFromBase64,
  uuidFromBytes,
  uuidToBase64,
  uuidToBytes,
  writeUuid,
  ZERO_UUID,
} from "./uuid.ts";

const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 });

Deno.test("a uuid survives bytes, base64 and the wire", () => {
  fc.assert(fc.property(sixteen, (bytes) => {
    const uuid = uuidFromBytes(bytes);
    assert.ok(isUuid(uuid));
    const out = new Uint8Array(18);
    uuidToBytes(uuid, out, 2);
    assert.deepEqual(out.subarray(2), bytes);
    const text = uuidToBase64(uuid);
    assert.equal(text, bytes.toBase64({ alphabet: "base64url", omitPadding: true }));
    assert.equal(uuidFromBase64(text), uuid);
    const writer = new Writer();
    writeUuid(writer, uuid);
    assert.equal(readUuid(Cursor.of(writer.copyBytes())), uuid);
  }));
});

Deno.test("what is no uuid is refused", () => {
  assert.equal(uuidFromBase64("AAAAAAAAAAAAAAAAAAAAAB"), null);
  assert.equal(uuidFromBase64("AAAAAAAAAAAAAAAAAAAAA"), null);
  assert.equal(uuidFromBase64("AAAAAAAAAAAAAAAAAAAAA="), null);
  assert.equal(uuidFromBase64("AAAAAAAAAAAAAAAAAAAAAA"), ZERO_UUID);
  assert.equal(isUuid(ZERO_UUID.toUpperCase() + "0"), false);
  const cursor = Cursor.of(new Uint8Array(15));
  assert.equal(readUuid(cursor), ZERO_UUID);
  assert.ok(cursor.bad);
});
