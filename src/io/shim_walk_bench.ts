/**
 * Measures the cost of walking the records of one batch, by size and codec, next to its checksum.
 *
 *     deno bench -A src/io/shim_walk_bench.ts
 */

import { compress, COMPRESSION_NAMES } from "../bytes/compression.ts";
import { Compression } from "../wire/record_batch.ts";
import { RecordBatchBuilder } from "../wire/record_batch_builder.ts";
import { windowBytesMax } from "./record_walk.ts";
import { mapRegion, wrapRegion } from "./region.ts";
import { loadShim } from "./shim.ts";
import { openRegionWalk } from "./shim_walk.ts";

const TIMES = 1000;
const RULES = { keysRequired: false, oldestMs: -1e18, newestMs: 1e18 };
const SIZES = [
  { name: "1 KiB", bytes: 1024, value: 1024 },
  { name: "64 KiB", bytes: 64 * 1024, value: 1024 },
  { name: "64 KiB of small records", bytes: 64 * 1024, value: 100 },
];

const shim = loadShim();
mapRegion(shim, 1024 * 1024);
const { bytes } = wrapRegion(shim);
const walk = openRegionWalk(shim, windowBytesMax(Infinity));

/** Lines as services log them: words that come again, and numbers that do not. */
function batchOf(sizeBytes: number, valueBytes: number, compression: Compression): Uint8Array {
  const builder = new RecordBatchBuilder();
  for (let line = 0; builder.size < sizeBytes - 100;) {
    let text = "";
    for (; text.length < valueBytes; line++) {
      const number = (line * 2_654_435_761) >>> 0;
      text += `{"level":"info","service":"orders","request":"${number.toString(16)}"}\n`;
    }
    const length = Math.min(valueBytes, sizeBytes - builder.size - 80);
    const value = new TextEncoder().encode(text.slice(0, length));
    builder.add({ key: null, value, timestamp: 1_700_000_000_000 });
  }
  return builder.build({ compression, compress: (plain) => compress(compression, plain) });
}

for (const { name, bytes: size, value } of SIZES) {
  const plain = batchOf(size, value, Compression.NONE);
  Deno.bench({ name: `checksum, ${name}`, group: name }, (b) => {
    bytes.set(plain);
    b.start();
    for (let i = 0; i < TIMES; i++) shim.gregor_crc32c(0, 21, plain.length - 21);
    b.end();
  });
  for (const compression of Object.values(Compression)) {
    const batch = batchOf(size, value, compression);
    Deno.bench({ name: `${COMPRESSION_NAMES[compression]}, ${name}`, group: name }, (b) => {
      bytes.set(batch);
      b.start();
      for (let i = 0; i < TIMES; i++) walk.begin(0, batch.length, RULES);
      b.end();
    });
  }
}
