import { strict as assert } from "node:assert";
import { readImage } from "./elf.ts";

/** A 64-bit little-endian ELF file with the given segments: type, flags, position, address, bytes, memory. */
function elfOf(segments: readonly (readonly number[])[], type = 3): Uint8Array<ArrayBuffer> {
  const file = new Uint8Array(0x3000);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  view.setUint16(16, type, true);
  view.setBigUint64(24, 0x1040n, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(56, segments.length, true);
  segments.forEach(([kind, flags, position, address, bytes, memory], index) => {
    const at = 64 + index * 56;
    view.setUint32(at, kind!, true);
    view.setUint32(at + 4, flags!, true);
    [position, address, address, bytes, memory].forEach((value, word) => {
      view.setBigUint64(at + 8 + word * 8, BigInt(value!), true);
    });
  });
  return file;
}

const HEAD = [1, 4, 0, 0, 0x800, 0x800] as const;

Deno.test("segments are read with their places and protections", () => {
  const image = readImage(
    elfOf([[6, 4, 64, 64, 168, 168], HEAD, [1, 5, 0x1000, 0x1000, 0x900, 0x900], [
      1,
      6,
      0x1a00,
      0x2a00,
      0x100,
      0x1700,
    ]]),
    "x",
  );
  assert.deepEqual(image, {
    size: 0x5000,
    entry: 0x1040,
    headers: 64,
    headerCount: 4,
    loads: [
      { position: 0, at: 0, length: 0x800, memory: 0x800, protection: 1 },
      { position: 0x1000, at: 0x1000, length: 0x900, memory: 0x900, protection: 5 },
      { position: 0x1a00, at: 0x2a00, length: 0x100, memory: 0x1700, protection: 3 },
    ],
  });
});

Deno.test("what the launcher could not place is refused", () => {
  const cases: [Uint8Array<ArrayBuffer>, RegExp][] = [
    [new Uint8Array(100), /no position-independent/],
    [elfOf([HEAD], 2), /no position-independent/],
    [elfOf([[1, 4, 0, 0x1000, 0x800, 0x800]]), /does not begin/],
    [elfOf([]), /does not begin/],
    [elfOf([HEAD, [1, 6, 0x900, 0x900, 16, 16]]), /two segments in one page/],
  ];
  for (const [file, problem] of cases) assert.throws(() => readImage(file, "x"), problem);
});
