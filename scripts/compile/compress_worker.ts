/**
 * A thread of the compressor: bytes in, a zstd frame with a checksum out.
 *
 * @module
 */

import { constants, zstdCompressSync } from "node:zlib";
import type { Order } from "./compressor.ts";

declare const self: DedicatedWorkerGlobalScope;

self.onmessage = ({ data }: MessageEvent<Order>) => {
  const params = {
    [constants.ZSTD_c_compressionLevel]: data.level,
    [constants.ZSTD_c_checksumFlag]: 1,
  };
  self.postMessage(new Uint8Array(zstdCompressSync(data.bytes, { params })));
};
