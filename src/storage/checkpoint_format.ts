/**
 * The bytes of a checkpoint slot (`docs/formats/checkpoint.md`).
 *
 * A shard has two slots, each a file; the older one is overwritten. A slot is a run of 4 KiB blocks that
 * validate by themselves, like the journal's. Block 0 is the slot's head and is written last, when all
 * others are durable: it alone makes the slot valid.
 *
 * ```
 *   every block (little-endian)                 block 0, at 64
 *    0 u32 CRC-32C of bytes 4..4095             64 u64 LSN: replay starts after it
 *    4 u32 magic and version                    72 u64 rows
 *    8 u64 journal id                           80 u64 bytes of the row stream
 *   16 u64 sequence of the checkpoint           88 u32 blocks of the slot, with this one
 *   24 u32 index of the block in the slot       92 u32 mount epoch
 *   28 u32 zero                                 96 u32 digest of the other blocks' CRCs
 *   32 ... zero up to 63                      100 ... zero
 *   64 .. 4095 row stream (4032 bytes), from block 1 on
 *
 *   row:  u32 length | bytes | zeros to a multiple of 8
 * ```
 *
 * A block that rotted, or is of another checkpoint than the head, makes the slot damaged. (The sequence
 * alone does not bind them: after damage a sequence may be given out again.)
 * That costs nothing while the other one is valid: the journal keeps all that is newer than the older.
 *
 * @module
 */

import { BLOCK_SIZE } from "../io/disk.ts";

/** "GC", format 1. */
export const CHECKPOINT_MAGIC = 0x31434701;
export const CHECKPOINT_HEADER_SIZE = 64;
/** Bytes of the row stream in one block. */
export const CHECKPOINT_PAYLOAD_SIZE = BLOCK_SIZE - CHECKPOINT_HEADER_SIZE;

export const CHECKPOINT_MAGIC_OFFSET = 4;
export const CHECKPOINT_JOURNAL_ID_OFFSET = 8;
export const CHECKPOINT_SEQUENCE_OFFSET = 16;
export const CHECKPOINT_BLOCK_INDEX_OFFSET = 24;

export const HEAD_LSN_OFFSET = 64;
export const HEAD_ROW_COUNT_OFFSET = 72;
export const HEAD_STREAM_BYTES_OFFSET = 80;
export const HEAD_BLOCK_COUNT_OFFSET = 88;
export const HEAD_MOUNT_EPOCH_OFFSET = 92;
export const HEAD_DIGEST_OFFSET = 96;

/** Bytes before a row in the stream. */
export const ROW_PREFIX_SIZE = 4;

/** Bytes that a row takes in the stream. */
export function rowSize(length: number): number {
  return Math.ceil((ROW_PREFIX_SIZE + length) / 8) * 8;
}
