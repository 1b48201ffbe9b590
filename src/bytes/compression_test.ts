import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import { compress, COMPRESSION_NAMES, decompress } from "./compression.ts";
import { xxHash32 } from "./xxhash32.ts";

const SIZE_MAX = 1 << 20;
const CODECS = [1, 2, 3, 4];

interface Vector {
  readonly codec: number;
  readonly compressed: Uint8Array;
  readonly plain: Uint8Array;
}

/**
 * `compression_vectors.txt`: lines "codec size hex", the compressed form of the bytes `i % 251` for
 * i below size. All from kafka-clients but the last two: raw snappy from its own library, and an
 * lz4 frame of linked blocks with every checksum from the reference implementation.
 */
function vectors(): Vector[] {
  const text = Deno.readTextFileSync(new URL("./compression_vectors.txt", import.meta.url));
  return text.trimEnd().split("\n").map((line) => {
    const [name, size, hex] = line.split(" ") as [string, string, string];
    return {
      codec: COMPRESSION_NAMES.indexOf(name),
      compressed: Uint8Array.fromHex(hex),
      plain: new Uint8Array(Number(size)).map((_, i) => i % 251),
    };
  });
}

Deno.test("decompress() reads what other implementations wrote", () => {
  assert.equal(vectors().length, 6);
  for (const { codec, compressed, plain } of vectors()) {
    assert.deepEqual(decompress(codec, compressed, SIZE_MAX), plain, COMPRESSION_NAMES[codec]);
  }
});

Deno.test("decompress() gives nothing beyond its limit, and all up to it", () => {
  for (const { codec, compressed, plain } of vectors()) {
    assert.equal(decompress(codec, compressed, plain.length - 1), null, COMPRESSION_NAMES[codec]);
    assert.equal(decompress(codec, compressed, 0), null);
    assert.deepEqual(decompress(codec, compressed, plain.length), plain);
  }
});

Deno.test("decompress() refuses input that is cut", () => {
  for (const { codec, compressed, plain } of vectors()) {
    const step = Math.max(1, compressed.length >> 6);
    for (let length = 1; length < compressed.length; length += step) {
      const output = decompress(codec, compressed.subarray(0, length), SIZE_MAX);
      // A framed snappy stream has no end mark: cut between chunks it is a shorter stream.
      if (codec === 2 && output !== null) {
        assert.deepEqual(output, plain.subarray(0, output.length));
      } else assert.equal(output, null, `${COMPRESSION_NAMES[codec]} cut at ${length}`);
    }
  }
});

Deno.test("decompress() survives any damage", () => {
  const all = vectors();
  fc.assert(
    fc.property(
      fc.nat(all.length - 1),
      fc.double({ min: 0, max: 0.999 }),
      fc.nat(255),
      (i, at, value) => {
        const { codec, compressed } = all[i]!;
        const damaged = compressed.slice();
        damaged[Math.floor(at * damaged.length)] = value;
        const output = decompress(codec, damaged, 100_000);
        assert.ok(output === null || output.length <= 100_000);
      },
    ),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.constantFrom(...CODECS), fc.uint8Array({ maxLength: 64 }), (codec, bytes) => {
      const output = decompress(codec, bytes, 1000);
      assert.ok(output === null || output.length <= 1000);
    }),
  );
});

/** Bytes with repetitions near and far, and without. */
const arbitraryInput = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.array(fc.constantFrom("ab", "record", "\n", "0123456789abcdef"), { maxLength: 200 })
    .map((words) => new TextEncoder().encode(words.join(""))),
  fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.integer({ min: 1, max: 2000 }))
    .map(([piece, times]) =>
      new Uint8Array(piece.length * times).map((_, i) => piece[i % piece.length]!)
    ),
);

Deno.test("decompress() gives back what compress() took", () => {
  for (const codec of [0, ...CODECS]) {
    fc.assert(
      fc.property(arbitraryInput, (input) => {
        assert.deepEqual(
          new Uint8Array(decompress(codec, compress(codec, input), SIZE_MAX)!),
          input,
        );
      }),
      { numRuns: 60 },
    );
  }
});

Deno.test("compress() makes repetitive input much smaller", () => {
  const input = new TextEncoder().encode('{"level":"info","message":"started"}\n'.repeat(3000));
  for (const codec of CODECS) assert.ok(compress(codec, input).length < input.length / 10);
});

Deno.test("decompress() reads zstd frames that follow one another, and no unknown compression", () => {
  const two = [compress(4, Uint8Array.of(1, 2)), compress(4, Uint8Array.of(3))];
  const joined = Uint8Array.of(...two[0]!, ...two[1]!);
  assert.deepEqual([...decompress(4, joined, 10)!], [1, 2, 3]);
  assert.equal(decompress(4, joined, 2), null);
  assert.equal(decompress(5, joined, 10), null);
});

Deno.test("xxHash32() gives the published values", () => {
  const hash = (text: string) => {
    const bytes = new TextEncoder().encode(text);
    return xxHash32(bytes, 0, bytes.length);
  };
  assert.equal(hash(""), 0x02cc5d05);
  assert.equal(hash("a"), 0x550d7456);
  assert.equal(hash("abc"), 0x32d153ff);
  assert.equal(hash("Nobody inspects the spammish repetition"), 0xe2293b2f);
});
