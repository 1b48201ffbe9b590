/**
 * Compression of record batches on the client's side.
 *
 * @module
 */

import {
  compress,
  COMPRESSION_NAMES,
  decompress as decompressWithin,
} from "../../bytes/compression.ts";
import type { Compression } from "../../wire/record_batch.ts";
import { EXIT_DATA_DAMAGED } from "../exit_codes.ts";
import { Failure } from "../failure.ts";

/** Codecs that records can be sent with, by name. */
export const CODEC_NAMES = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export type CodecName = (typeof CODEC_NAMES)[number];

/** Maximum decompressed bytes of one batch: what a broker's largest batch plausibly holds. */
const BATCH_SIZE_MAX = 2 ** 30;

export interface Codec {
  readonly id: Compression;
  compress(plain: Uint8Array): Uint8Array;
}

export function codecByName(name: CodecName): Codec {
  const id = COMPRESSION_NAMES.indexOf(name) as Compression;
  return { id, compress: (plain) => compress(id, plain) };
}

/** @throws Failure where the bytes are malformed, or the codec is none that Kafka has */
export function decompress(compression: number, bytes: Uint8Array): Uint8Array {
  const plain = decompressWithin(compression, bytes, BATCH_SIZE_MAX);
  if (plain !== null) return plain;
  const name = COMPRESSION_NAMES[compression] ?? `codec ${compression}`;
  throw new Failure(
    EXIT_DATA_DAMAGED,
    `cannot read a batch compressed with ${name}: it is malformed`,
  );
}
