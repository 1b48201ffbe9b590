/**
 * Compression of record batches on the client's side.
 *
 * @module
 */

import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { Compression } from "../../wire/record_batch.ts";
import { EXIT_FAILED } from "../exit_codes.ts";
import { Failure } from "../failure.ts";

/** Codecs that records can be sent with, by name. */
export const CODEC_NAMES = ["none", "gzip", "zstd"] as const;
export type CodecName = (typeof CODEC_NAMES)[number];

export interface Codec {
  readonly id: Compression;
  compress(plain: Uint8Array): Uint8Array;
}

const CODECS: Readonly<Record<CodecName, Codec>> = {
  none: { id: Compression.NONE, compress: (plain) => plain },
  gzip: { id: Compression.GZIP, compress: (plain) => gzipSync(plain) },
  zstd: { id: Compression.ZSTD, compress: (plain) => zstdCompressSync(plain) },
};

export function codecByName(name: CodecName): Codec {
  return CODECS[name];
}

/** @throws Failure for a codec that cannot be read here */
export function decompress(compression: number, bytes: Uint8Array): Uint8Array {
  switch (compression) {
    case Compression.NONE:
      return bytes;
    case Compression.GZIP:
      return gunzipSync(bytes);
    case Compression.ZSTD:
      return zstdDecompressSync(bytes);
    default: {
      const name = Object.entries(Compression).find(([, id]) => id === compression)?.[0];
      throw new Failure(
        EXIT_FAILED,
        `cannot read records compressed with ${name?.toLowerCase() ?? `codec ${compression}`}`,
        "This command reads gzip and zstd.",
      );
    }
  }
}
