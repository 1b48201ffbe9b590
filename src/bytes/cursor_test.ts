import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import { Cursor } from "./cursor.ts";
import { Writer } from "./writer.ts";
import { unsignedVarintSize, varintSize, varlongSize } from "./varint.ts";
import { wrapMemory } from "./memory.ts";

function written(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer();
  write(writer);
  return writer.copyBytes();
}

Deno.test("Writer and Cursor agree on unsigned varints, and the size function on their size", () => {
  const uint32 = fc.oneof(
    fc.integer({ min: 0, max: 0xffff_ffff }),
    fc.constantFrom(0, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000, 0xfff_ffff, 0x1000_0000),
  );
  fc.assert(fc.property(uint32, (value) => {
    const bytes = written((writer) => writer.unsignedVarint(value));
    const cursor = Cursor.of(bytes);
    assert.equal(cursor.unsignedVarint(), value);
    assert.ok(cursor.atEnd());
    assert.equal(bytes.length, unsignedVarintSize(value));
  }));
  assert.equal(written((writer) => writer.unsignedVarint(300)).toHex(), "ac02");
  assert.equal(written((writer) => writer.unsignedVarint(0xffff_ffff)).toHex(), "ffffffff0f");
});

Deno.test("Writer and Cursor agree on zigzag varints", () => {
  fc.assert(fc.property(fc.integer(), (value) => {
    const bytes = written((writer) => writer.varint(value));
    const cursor = Cursor.of(bytes);
    assert.equal(cursor.varint(), value);
    assert.ok(cursor.atEnd());
    assert.equal(bytes.length, varintSize(value));
  }));
  assert.equal(written((writer) => writer.varint(-1)).toHex(), "01");
  assert.equal(written((writer) => writer.varint(1)).toHex(), "02");
});

Deno.test("Writer and Cursor agree on zigzag varlongs of safe integers", () => {
  const powers = Array.from({ length: 52 }, (_, i) => [2 ** i, -(2 ** i), 2 ** i - 1]).flat();
  const safe = fc.oneof(fc.maxSafeInteger(), fc.constantFrom(...powers));
  fc.assert(
    fc.property(safe, (value) => {
      const bytes = written((writer) => writer.varlong(value));
      const cursor = Cursor.of(bytes);
      // Minus zero is nobody's timestamp.
      assert.equal(cursor.varlong() + 0, value + 0);
      assert.ok(cursor.atEnd());
      assert.equal(bytes.length, varlongSize(value));
    }),
    { numRuns: 500 },
  );
});

Deno.test("Cursor reads the extremes of int64, rounded", () => {
  assert.equal(Cursor.of(Uint8Array.fromHex("ffffffffffffffffff01")).varlong(), -(2 ** 63));
  assert.equal(Cursor.of(Uint8Array.fromHex("feffffffffffffffff01")).varlong(), 2 ** 63);
  assert.equal(Cursor.of(Uint8Array.fromHex("7fffffffffffffff")).int64(), 2 ** 63);
  assert.equal(written((writer) => writer.int64(2 ** 63)).toHex(), "7fffffffffffffff");
  assert.equal(written((writer) => writer.int64(-(2 ** 63))).toHex(), "8000000000000000");
});

Deno.test("Cursor refuses varints that are too long or cut", () => {
  for (const hex of ["ffffffff10", "ffffffffff01", "80", ""]) {
    const cursor = Cursor.of(Uint8Array.fromHex(hex));
    assert.equal(cursor.unsignedVarint(), 0);
    assert.ok(cursor.bad, hex);
  }
  for (const hex of ["ffffffffffffffffff02", "ffffffffffffffffffff01", "8080"]) {
    const cursor = Cursor.of(Uint8Array.fromHex(hex));
    assert.equal(cursor.varlong(), 0);
    assert.ok(cursor.bad, hex);
  }
});

Deno.test("Cursor stays bad: nothing moves and everything is empty", () => {
  const cursor = Cursor.of(new Uint8Array(16).fill(1));
  cursor.skip(17);
  assert.ok(cursor.bad);
  const at = cursor.at;
  assert.equal(cursor.int8(), 0);
  assert.equal(cursor.int64(), 0);
  assert.equal(cursor.string(false), "");
  assert.equal(cursor.nullableString(true), "");
  assert.equal(cursor.byteString(true).length, 0);
  assert.equal(cursor.arrayLength(true), 0);
  assert.equal(cursor.unsignedVarint(), 0);
  cursor.skipTags();
  assert.equal(cursor.at, at);
  assert.equal(cursor.atEnd(), false);
});

Deno.test("Cursor refuses null where there must be something", () => {
  const bad = (hex: string, read: (cursor: Cursor) => unknown) => {
    const cursor = Cursor.of(Uint8Array.fromHex(hex));
    read(cursor);
    assert.ok(cursor.bad, hex);
  };
  bad("fffe", (cursor) => cursor.string(false));
  bad("ffff", (cursor) => cursor.string(false));
  bad("00", (cursor) => cursor.string(true));
  bad("00", (cursor) => cursor.byteString(true));
  bad("fffffffe", (cursor) => cursor.arrayLength(false));
  bad("ffffffff", (cursor) => cursor.arrayLength(false));
  bad("0003c328", (cursor) => cursor.string(false));
});

Deno.test("Cursor reads any negative length as null, and text that is not UTF-8 with replacements", () => {
  const read = <Value>(hex: string, take: (cursor: Cursor) => Value): Value => {
    const cursor = Cursor.of(Uint8Array.fromHex(hex));
    const value = take(cursor);
    assert.ok(cursor.atEnd(), hex);
    return value;
  };
  assert.equal(read("fffe", (cursor) => cursor.nullableString(false)), null);
  assert.equal(read("fffffffe", (cursor) => cursor.nullableByteString(false)), null);
  assert.equal(read("80000000", (cursor) => cursor.nullableArrayLength(false)), -1);
  assert.equal(read("feffffff0f", (cursor) => cursor.nullableString(true)), null);
  assert.equal(read("000267e9", (cursor) => cursor.string(false)), "g\ufffd");
  assert.equal(read("03c328", (cursor) => cursor.nullableString(true)), "\ufffd(");
});

Deno.test("Cursor never believes a count that the bytes or the budget do not cover", () => {
  const announced = Uint8Array.fromHex("7fffffff00000000");
  assert.equal(Cursor.of(announced).arrayLength(false), 0);
  const hundred = new Uint8Array(104);
  hundred[3] = 100;
  assert.equal(Cursor.of(hundred).arrayLength(false), 100);
  const cursor = Cursor.of(hundred, 99);
  assert.equal(cursor.arrayLength(false), 0);
  assert.ok(cursor.bad);
});

Deno.test("Cursor skips unknown tags, and refuses tags that reach too far", () => {
  const cursor = Cursor.of(Uint8Array.fromHex("020501aa0702bbcc11"));
  cursor.skipTags();
  assert.equal(cursor.int8(), 0x11);
  assert.ok(cursor.atEnd());
  for (const hex of ["010503aabb", "7f0000", "ffffffff0f"]) {
    const short = Cursor.of(Uint8Array.fromHex(hex));
    short.skipTags();
    assert.ok(short.bad, hex);
  }
});

Deno.test("a bounded Writer stops at its end and says so", () => {
  const memory = wrapMemory(new ArrayBuffer(16));
  const writer = new Writer(memory, 4, 10);
  writer.int32(0x01020304);
  writer.int32(0x05060708);
  assert.ok(writer.overflow);
  writer.int8(9);
  assert.equal(writer.size, 4);
  assert.equal(memory.bytes.toHex(), "00000000010203040000000000000000");
  writer.reset(memory, 0, 16);
  writer.string("héé", true);
  assert.equal(writer.borrowBytes().toHex(), "0668c3a9c3a9");
});

Deno.test("a growable Writer keeps what it wrote while it grows", () => {
  const writer = new Writer();
  for (let i = 0; i < 1000; i++) writer.int32(i);
  const cursor = Cursor.of(writer.copyBytes());
  for (let i = 0; i < 1000; i++) assert.equal(cursor.int32(), i);
  assert.ok(cursor.atEnd());
});

Deno.test("Writer puts the size before a tagged field of any length", () => {
  for (const length of [0, 1, 127, 128, 20_000]) {
    const value = new Uint8Array(length).fill(7);
    const bytes = written((writer) => {
      writer.unsignedVarint(1);
      const start = writer.beginTag(3);
      writer.raw(value);
      writer.endTag(start);
    });
    const cursor = Cursor.of(bytes);
    assert.equal(cursor.tagCount(), 1);
    assert.equal(cursor.unsignedVarint(), 3);
    const end = cursor.tagEnd();
    assert.equal(end, bytes.length);
    assert.deepEqual(cursor.borrow(length), value);
    assert.ok(cursor.atEnd());
  }
});

Deno.test("Writer refuses a string longer than the protocol can say", () => {
  const writer = new Writer();
  writer.string("x".repeat(32767), false);
  assert.throws(() => writer.string("x".repeat(32768), false), RangeError);
});

Deno.test("a compact string longer than any string of Kafka is malformed", () => {
  const writer = new Writer();
  writer.unsignedVarint(32768 + 1);
  writer.raw(new Uint8Array(32768).fill(0x61));
  const cursor = Cursor.of(writer.copyBytes());
  cursor.string(true);
  assert(!cursor.ok());
});

Deno.test("a message for people is cut to what a string may hold", () => {
  for (const [length, read] of [[4096, 4096], [4097, 4097], [40_000, 4097]] as const) {
    const writer = new Writer();
    writer.nullableMessage("x".repeat(length), true);
    const cursor = Cursor.of(writer.copyBytes());
    assert.equal(cursor.string(true).length, read);
    assert(cursor.atEnd());
  }
});

Deno.test("a section of more tagged fields than Kafka takes is malformed, however many bytes follow", () => {
  const withTags = (count: number): Uint8Array =>
    written((writer) => {
      writer.unsignedVarint(count);
      for (let tag = 0; tag < count; tag++) {
        writer.unsignedVarint(tag);
        writer.unsignedVarint(0);
      }
    });
  const taken = Cursor.of(withTags(10_000));
  taken.skipTags();
  assert(taken.atEnd());
  const refused = Cursor.of(withTags(10_001));
  refused.skipTags();
  assert(!refused.ok());
});

Deno.test("an array longer than a message may have elements is malformed before anything is made of it", () => {
  const bytes = new Uint8Array(4 + 1_000_001);
  new DataView(bytes.buffer).setInt32(0, 1_000_001, false);
  const cursor = Cursor.of(bytes);
  assert.equal(cursor.arrayLength(false), 0);
  assert(!cursor.ok());
});

Deno.test("a growable writer with a limit drops what exceeds it, and says so", () => {
  const writer = new Writer(null, 0, 0, 1000);
  for (let i = 0; i < 250; i++) writer.int32(i);
  assert(!writer.overflow);
  writer.int32(250);
  assert(writer.overflow);
  assert.equal(writer.size, 1000);
});
