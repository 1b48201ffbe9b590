import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import { decodeUtf8, decodeUtf8Lossy, encodeUtf8, utf8Size } from "./utf8.ts";

const platformEncoder = new TextEncoder();
const platformDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function platformDecode(bytes: Uint8Array): string | null {
  try {
    return platformDecoder.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

Deno.test("encodeUtf8() writes what TextEncoder writes", () => {
  const anyUnits = fc.string({ unit: "binary", maxLength: 40 });
  const withSurrogates = fc.array(fc.constantFrom("a", "é", "語", "😀", "\ud83d", "\ude00"))
    .map((parts) => parts.join(""));
  fc.assert(fc.property(fc.oneof(anyUnits, withSurrogates), (text) => {
    const expected = platformEncoder.encode(text);
    assert.equal(utf8Size(text), expected.length);
    const bytes = new Uint8Array(expected.length + 2);
    assert.equal(encodeUtf8(text, bytes, 1), expected.length + 1);
    assert.deepEqual(bytes.subarray(1, -1), expected);
  }));
});

Deno.test("decodeUtf8() reads what TextDecoder reads, and refuses what it refuses", () => {
  const nearlyUtf8 = fc.tuple(
    fc.string({ unit: "grapheme", maxLength: 20 }),
    fc.array(fc.tuple(fc.nat(30), fc.nat(255)), { maxLength: 2 }),
  ).map(([text, changes]) => {
    const bytes = platformEncoder.encode(text);
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(nearlyUtf8, fc.uint8Array({ maxLength: 8 })), (bytes) => {
      assert.equal(decodeUtf8(bytes, 0, bytes.length), platformDecode(bytes));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("decodeUtf8() agrees with TextDecoder on pairs of bytes and on the edges of longer forms", () => {
  const bytes = new Uint8Array(2);
  // Five has no factor in common with 256: every byte comes up in both places.
  for (let pair = 0; pair < 0x1_0000; pair += 5) {
    bytes[0] = pair >> 8;
    bytes[1] = pair & 0xff;
    assert.equal(decodeUtf8(bytes, 0, 2), platformDecode(bytes));
  }
  for (
    const hex of [
      "e08080",
      "e0a080",
      "ed9fbf",
      "eda080",
      "edbfbf",
      "ee8080",
      "f0808080",
      "f0908080",
      "f48fbfbf",
      "f4908080",
      "f5808080",
      "efbbbf61",
      "c080",
    ]
  ) {
    const edge = Uint8Array.fromHex(hex);
    assert.equal(decodeUtf8(edge, 0, edge.length), platformDecode(edge), hex);
  }
});

Deno.test("decodeUtf8() reads long texts", () => {
  const text = "ä語😀".repeat(5000);
  const bytes = platformEncoder.encode(text);
  assert.equal(decodeUtf8(bytes, 0, bytes.length), text);
});

Deno.test("decodeUtf8Lossy() gives what a string of Kafka can hold, whatever the bytes", () => {
  const bytes = new Uint8Array(32767).fill(0x61);
  assert.equal(decodeUtf8Lossy(bytes, 0, bytes.length).length, 32767);
  bytes.fill(0xff);
  const text = decodeUtf8Lossy(bytes, 0, bytes.length);
  assert(utf8Size(text) <= 32767 && text.startsWith("\ufffd"));
  assert.equal(decodeUtf8Lossy(new Uint8Array([0x61, 0xff, 0x62]), 0, 3), "a\ufffdb");
});
