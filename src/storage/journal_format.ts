/**
 * The journal's bytes (`docs/formats/journal.md` describes them in full).
 *
 * A journal is a ring of 4 KiB blocks, laid over prewritten extents (files). A *write* is the unit of
 * durability: some consecutive blocks of one extent, written and flushed together; its sequence number
 * is the LSN of every record in it. Every block has its own header at a fixed place, so that no payload
 * can imitate one, and says where it belongs, so that a misdirected one is not believed:
 *
 * ```
 *   block (4096 bytes, little-endian)
 *    0 u32 CRC-32C of bytes 4..4095        32 u64 oldest LSN not released when it was built
 *    4 u32 magic and version               40 u32 mount epoch
 *    8 u64 journal id                      44 u32 place in the ring (block)
 *   16 u64 LSN: sequence of the write      48 u16 index of the block in its write
 *   24 u64 stable LSN: everything up to    50 u16 blocks of the write
 *          it had completed when this      52 u32 chain: digest of the previous write's CRCs
 *          write was built                 56 u32 payload bytes of the write
 *                                          60 u32 zero
 *   64 .. 4095 payload (4032 bytes)
 * ```
 *
 * The blocks' payloads, put together, are the write's stream of records. A record starts at a multiple
 * of 8 bytes and its header does not cross a block's end: where fewer than 64 bytes are left in a
 * block, they are zero and the record starts with the next. Its payload may cross.
 *
 * ```
 *   record header (64 bytes)
 *    0 u8  type          8 u64 group id       24 u64 a       48 u64 d
 *    1 u8  flags        16 u32 incarnation    32 u64 b       56 u64 zero
 *    2 u16 small        20 u32 term           40 u64 c
 *    4 u32 payload bytes                      (all signed where a field may be -1)
 * ```
 *
 * What each field means in which type of record: `group_journal.ts`; `journal_record.ts` reads it by name.
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import { BLOCK_SIZE } from "../io/disk.ts";

/** "GJ", format 1. */
export const JOURNAL_MAGIC = 0x314a4701;
export const BLOCK_HEADER_SIZE = 64;
/** Payload bytes of one block. */
export const BLOCK_PAYLOAD_SIZE = BLOCK_SIZE - BLOCK_HEADER_SIZE;

export const CRC_OFFSET = 0;
export const MAGIC_OFFSET = 4;
export const JOURNAL_ID_OFFSET = 8;
export const LSN_OFFSET = 16;
export const STABLE_LSN_OFFSET = 24;
export const OLDEST_LSN_OFFSET = 32;
export const MOUNT_EPOCH_OFFSET = 40;
export const RING_BLOCK_OFFSET = 44;
export const BLOCK_INDEX_OFFSET = 48;
export const BLOCK_COUNT_OFFSET = 50;
export const CHAIN_OFFSET = 52;
export const PAYLOAD_LENGTH_OFFSET = 56;

export const RECORD_HEADER_SIZE = 64;
export const RECORD_ALIGNMENT = 8;
/** The largest `small` field. */
export const RECORD_SMALL_MAX = 0xffff;

export const RECORD_TYPE_OFFSET = 0;
export const RECORD_FLAGS_OFFSET = 1;
export const RECORD_SMALL_OFFSET = 2;
export const RECORD_PAYLOAD_LENGTH_OFFSET = 4;
export const RECORD_GROUP_OFFSET = 8;
export const RECORD_INCARNATION_OFFSET = 16;
export const RECORD_TERM_OFFSET = 20;
export const RECORD_A_OFFSET = 24;
export const RECORD_B_OFFSET = 32;
export const RECORD_C_OFFSET = 40;
export const RECORD_D_OFFSET = 48;

/** Payload of a REF record: a checksum (u32, little-endian), the batch's beginning, its first block. */
export const REF_HEADER_OFFSET = 8;
export const REF_HEADER_BYTES = 64;
export const REF_BLOCK_OFFSET = REF_HEADER_OFFSET + REF_HEADER_BYTES;

/** What a record says. */
export const JournalRecordType = {
  APPEND: 1,
  META: 2,
  HARD: 3,
  TRUNCATE: 4,
  PREFIX: 5,
  DELETE: 6,
  SEAL: 7,
  CREATE: 8,
  REF: 9,
} as const;
export type JournalRecordType = (typeof JournalRecordType)[keyof typeof JournalRecordType];

/** Whether records of this type may use the ring's last, reserved part. */
export function isReservedType(type: number): boolean {
  return type === JournalRecordType.HARD || type === JournalRecordType.TRUNCATE ||
    type === JournalRecordType.PREFIX || type === JournalRecordType.DELETE ||
    type === JournalRecordType.SEAL;
}

/** Bytes that a record takes in the stream, without padding before it. */
export function recordSize(payloadLength: number): number {
  return RECORD_HEADER_SIZE + Math.ceil(payloadLength / RECORD_ALIGNMENT) * RECORD_ALIGNMENT;
}

/** Where in the stream a record may start, at or after `streamAt`. */
export function recordStart(streamAt: number): number {
  const left = BLOCK_PAYLOAD_SIZE - (streamAt % BLOCK_PAYLOAD_SIZE);
  return left < RECORD_HEADER_SIZE ? streamAt + left : streamAt;
}

/** Blocks that hold `streamBytes` of payload; at least one. */
export function blocksOfStream(streamBytes: number): number {
  return streamBytes <= BLOCK_PAYLOAD_SIZE ? 1 : Math.ceil(streamBytes / BLOCK_PAYLOAD_SIZE);
}

/** Folds one block's CRC into the digest that chains a write to the next. */
export function foldChain(digest: number, crc: number): number {
  const mixed = Math.imul(digest ^ crc, 0x9e3779b1);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** Digest of a sealed write in the region: {@linkcode foldChain} over its blocks. */
export function chainOfWrite(memory: Memory, address: number, blockCount: number): number {
  let digest = 0;
  for (let i = 0; i < blockCount; i++) {
    digest = foldChain(digest, memory.view.getUint32(address + i * BLOCK_SIZE, true));
  }
  return digest;
}
