/**
 * Where a zstd frame ends (RFC 8878, section 3), without decompressing it.
 *
 * ```
 * magic:4  descriptor:1  [window:1]  [dictionary id:0-4]  [content size:0-8]
 * blocks, each header:3 (bit 0 last, bits 1-2 type, rest size) and its bytes
 * [checksum:4]
 * ```
 *
 * @module
 */

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const BLOCK_RLE = 1;
const BLOCK_RESERVED = 3;
const DICTIONARY_ID_SIZES = [0, 1, 2, 4];
const CONTENT_SIZE_SIZES = [0, 2, 4, 8];

/** Position after the frame that begins at `at`; -1 when it is none, or is cut. */
export function zstdFrameEnd(bytes: Uint8Array, at: number): number {
  if (at + 8 > bytes.length) return -1;
  const magic = readUint(bytes, at, 4);
  if (magic - (magic % 16) === SKIPPABLE_MAGIC) {
    return within(bytes, at + 8 + readUint(bytes, at + 4, 4));
  }
  if (magic !== MAGIC) return -1;
  const descriptor = bytes[at + 4]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const contentSizeFlag = descriptor >> 6;
  let next = at + 5 + DICTIONARY_ID_SIZES[descriptor & 3]! + CONTENT_SIZE_SIZES[contentSizeFlag]!;
  if (!isSingleSegment) next++;
  else if (contentSizeFlag === 0) next++;
  while (next + 3 <= bytes.length) {
    const header = readUint(bytes, next, 3);
    const type = (header >> 1) & 3;
    if (type === BLOCK_RESERVED) return -1;
    next += 3 + (type === BLOCK_RLE ? 1 : header >> 3);
    if ((header & 1) === 1) return within(bytes, next + ((descriptor & 4) === 0 ? 0 : 4));
  }
  return -1;
}

function within(bytes: Uint8Array, end: number): number {
  return end <= bytes.length ? end : -1;
}

/** A little-endian number of `size` bytes, at most 4. */
function readUint(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = value * 256 + bytes[at + i]!;
  return value;
}
