/**
 * Properties of the generated codec that hold for every message in every version.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import fc from "../../harness/fast_check.ts";
import { Cursor } from "../../../src/bytes/cursor.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import type { CatalogEntry } from "../../../src/wire/catalog_entry.ts";
import { CATALOG } from "../../../src/wire/generated/catalog.ts";
import { arbitraryMessage } from "./arbitrary_message.ts";

const SIZES = { elementsMax: 3, textMax: 8 };
/** Input of the decoders in the damage tests may not cost more elements than this. */
const ELEMENTS_MAX = 10_000;

interface Case {
  readonly entry: CatalogEntry;
  readonly version: number;
}

function everyVersion(): Case[] {
  return CATALOG.flatMap((entry) =>
    Array.from(
      { length: entry.maxVersion - entry.minVersion + 1 },
      (_, i) => ({ entry, version: entry.minVersion + i }),
    )
  );
}

function encode({ entry, version }: Case, message: object): Uint8Array {
  const writer = new Writer();
  entry.encode(writer, version, message);
  return writer.copyBytes();
}

function nameOf({ entry, version }: Case): string {
  return `${entry.name} v${version}`;
}

Deno.test("the catalog covers what it says", () => {
  assert.ok(CATALOG.length > 190);
  assert.ok(everyVersion().length > 400);
});

Deno.test("every message in every version decodes to what was encoded", () => {
  for (const one of everyVersion()) {
    fc.assert(
      fc.property(arbitraryMessage(one.entry, one.version, SIZES), (message) => {
        const cursor = Cursor.of(encode(one, message));
        const decoded = one.entry.decode(cursor, one.version);
        assert.ok(cursor.atEnd(), `${nameOf(one)} does not end where it was encoded to end`);
        assert.deepEqual(decoded, message, nameOf(one));
      }),
      { numRuns: 10 },
    );
  }
});

Deno.test("every message of defaults decodes to itself", () => {
  for (const one of everyVersion()) {
    const message = one.entry.structs[one.entry.name]!.create();
    const cursor = Cursor.of(encode(one, message));
    assert.deepEqual(one.entry.decode(cursor, one.version), message, nameOf(one));
    assert.ok(cursor.atEnd(), nameOf(one));
  }
});

Deno.test("a message that is cut anywhere is bad", () => {
  for (const one of everyVersion()) {
    const [message] = fc.sample(arbitraryMessage(one.entry, one.version, SIZES), 1);
    const bytes = encode(one, message!);
    for (let length = 0; length < bytes.length; length++) {
      const cursor = Cursor.of(bytes.subarray(0, length));
      one.entry.decode(cursor, one.version);
      assert.ok(cursor.bad, `${nameOf(one)} cut at ${length} of ${bytes.length}`);
    }
  }
});

Deno.test("a message with damaged bytes decodes within bounds and never throws", () => {
  for (const one of everyVersion()) {
    const [message] = fc.sample(arbitraryMessage(one.entry, one.version, SIZES), 1);
    const bytes = encode(one, message!);
    if (bytes.length === 0) continue;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const damaged = bytes.slice();
          for (const [at, value] of changes) damaged[at] = value;
          const cursor = Cursor.of(damaged, ELEMENTS_MAX);
          one.entry.decode(cursor, one.version);
          assert.ok(cursor.at <= damaged.length);
        },
      ),
      { numRuns: 20 },
    );
  }
});

Deno.test("a version that a message does not have is refused both ways", () => {
  for (const entry of CATALOG) {
    for (const version of [entry.minVersion - 1, entry.maxVersion + 1]) {
      const cursor = Cursor.of(new Uint8Array(1024));
      entry.decode(cursor, version);
      assert.ok(cursor.bad, `${entry.name} v${version}`);
      const message = entry.structs[entry.name]!.create();
      assert.throws(() => entry.encode(new Writer(), version, message), /there is no such version/);
    }
  }
});
