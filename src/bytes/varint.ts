/**
 * Sizes of variable-length integers, for writers that must know a length before they write.
 *
 * Kafka has two families. *Unsigned varints* (flexible versions: lengths, counts, tags) hold 32
 * bits, seven per byte, low first. *Varints* and *varlongs* (records inside a batch) are zigzag
 * encoded first, so that small negative numbers stay short. Reading is in `cursor.ts`, writing in
 * `writer.ts`.
 *
 * @module
 */

const TWO_TO_28 = 0x1000_0000;

/** Bytes of `value` (0 to 2^32 - 1) as an unsigned varint: 1 to 5. */
export function unsignedVarintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < TWO_TO_28 ? 4 : 5;
}

/** Bytes of `value` (an int32) as a zigzag varint: 1 to 5. */
export function varintSize(value: number): number {
  return unsignedVarintSize(((value << 1) ^ (value >> 31)) >>> 0);
}

/** Bytes of `value` (a safe integer) as a zigzag varlong: 1 to 8. */
export function varlongSize(value: number): number {
  // The zigzag form of a number and of its complement differ in the lowest bit alone, which changes no
  // size but that of 0, and that is one byte anyway.
  const magnitude = value < 0 ? -1 - value : value;
  let size = 1;
  for (let limit = 0x40; magnitude >= limit; limit *= 0x80) size++;
  return size;
}
