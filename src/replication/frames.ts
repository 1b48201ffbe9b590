/**
 * The frames that replicas send each other (`docs/formats/replication_frames.md`).
 *
 * A frame of ROWS holds messages of many groups, one row of 72 bytes each: votes, heartbeats, replies.
 *
 * ```text
 *   row (72 bytes, little-endian)
 *    0 u8  kind of message      24 i64 index
 *    1 u8  flags                32 i64 prevIndex
 *    2 u8  outcome              40 i64 commit
 *    3 u8  zero                 48 i64 match
 *    4 u32 sender's incarnation 56 i64 accepted
 *    8 i64 group                64 i64 token
 *   16 u32 term
 *   20 u32 indexTerm
 * ```
 *
 * An APPEND frame begins with a row, which is followed by meta entries, which are followed by records: batches as they
 * lie in the sender's log. Meta entries come first, so a frame ends at the latest where the next one follows records.
 *
 * ```text
 *    0 row (kind APPEND)
 *   72 u32 where the records begin (bytes from the start of the frame, a multiple of 8)
 *   76 u32 number of meta entries
 *   80 i64 offset of the first record after the entry `index`
 *   88 meta entries: u8 kind, 3 zero, u32 term, u32 bytes of payload, u32 zero, payload, zeros up to a multiple of 8
 *   .. records
 * ```
 *
 * What a peer sent is input: everything here says whether it makes sense, and nothing throws.
 *
 * @module
 */

import { getInt64Le, setInt64Le } from "../bytes/int64.ts";
import { MessageKind, Outcome, type RaftMessage } from "../raft/message.ts";
import { TERM_MAX } from "../raft/limits.ts";

/** Types of frames (`src/rpc/frame.ts`) that belong to replication. */
export const ReplicationFrame = {
  ROWS: 16,
  APPEND: 17,
  SNAPSHOT: 18,
  LIFE: 19,
  REFILL_ASK: 20,
  REFILL: 21,
} as const;
export type ReplicationFrame = typeof ReplicationFrame[keyof typeof ReplicationFrame];

export const ROW_SIZE = 72;
/** A LIFE frame: the sender's shard, and a zero (u32 each). */
export const LIFE_SIZE = 8;
/** Bytes of an APPEND before its meta entries. */
export const APPEND_HEAD_SIZE = 88;
/** Bytes of a meta entry before its payload. */
export const META_HEAD_SIZE = 16;
/** Meta entries in one frame. */
export const METAS_PER_FRAME_MAX = 64;

const GROUP_OFFSET = 8;
const RECORDS_AT_OFFSET = 72;
const META_COUNT_OFFSET = 76;
const FIRST_OFFSET_OFFSET = 80;

const PRE_FLAG = 1;
const TRANSFER_FLAG = 2;
const GRANTED_FLAG = 4;
const QUIET_FLAG = 8;
const FULL_FLAG = 16;

const KIND_MAX = MessageKind.SNAPSHOT;
const OUTCOME_MAX = Outcome.STALE;

/** Writes a message of a group. */
export function encodeRow(view: DataView, at: number, groupId: number, message: RaftMessage): void {
  view.setUint8(at, message.kind);
  view.setUint8(
    at + 1,
    (message.pre ? PRE_FLAG : 0) | (message.transfer ? TRANSFER_FLAG : 0) |
      (message.granted ? GRANTED_FLAG : 0) | (message.quiet ? QUIET_FLAG : 0) |
      (message.full ? FULL_FLAG : 0),
  );
  view.setUint8(at + 2, message.outcome);
  view.setUint8(at + 3, 0);
  view.setUint32(at + 4, message.incarnation, true);
  setInt64Le(view, at + GROUP_OFFSET, groupId);
  view.setUint32(at + 16, message.term, true);
  view.setUint32(at + 20, message.indexTerm, true);
  setInt64Le(view, at + 24, message.index);
  setInt64Le(view, at + 32, message.prevIndex);
  setInt64Le(view, at + 40, message.commit);
  setInt64Le(view, at + 48, message.match);
  setInt64Le(view, at + 56, message.accepted);
  setInt64Le(view, at + 64, message.token);
}

/** The group of a row. */
export function groupOfRow(view: DataView, at: number): number {
  return getInt64Le(view, at + GROUP_OFFSET);
}

/**
 * Reads the row at `at`.
 *
 * @param from the node that sent it
 * @returns whether it makes sense
 */
export function decodeRow(view: DataView, at: number, from: number, message: RaftMessage): boolean {
  const kind = view.getUint8(at);
  const outcome = view.getUint8(at + 2);
  if (kind === 0 || kind > KIND_MAX || outcome > OUTCOME_MAX) return false;
  const flags = view.getUint8(at + 1);
  message.kind = kind as MessageKind;
  message.outcome = outcome as Outcome;
  message.from = from;
  message.pre = (flags & PRE_FLAG) !== 0;
  message.transfer = (flags & TRANSFER_FLAG) !== 0;
  message.granted = (flags & GRANTED_FLAG) !== 0;
  message.quiet = (flags & QUIET_FLAG) !== 0;
  message.full = (flags & FULL_FLAG) !== 0;
  message.incarnation = view.getUint32(at + 4, true);
  message.term = view.getUint32(at + 16, true);
  message.indexTerm = view.getUint32(at + 20, true);
  message.index = getInt64Le(view, at + 24);
  message.prevIndex = getInt64Le(view, at + 32);
  message.commit = getInt64Le(view, at + 40);
  message.match = getInt64Le(view, at + 48);
  message.accepted = getInt64Le(view, at + 56);
  message.token = getInt64Le(view, at + 64);
  if (message.term > TERM_MAX || message.indexTerm > TERM_MAX) return false;
  return isIndex(groupOfRow(view, at)) && isIndex(message.index) && isIndex(message.prevIndex) &&
    isIndex(message.commit) && isIndex(message.match) && isIndex(message.accepted) &&
    isIndex(message.token);
}

function isIndex(value: number): boolean {
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}

/** Bytes of a meta entry in a frame. */
export function metaSize(payloadBytes: number): number {
  return META_HEAD_SIZE + roundUp8(payloadBytes);
}

/** What stands behind the row of an APPEND. */
export function encodeAppendHead(
  view: DataView,
  at: number,
  recordsAt: number,
  metaCount: number,
  firstOffset: number,
): void {
  view.setUint32(at + RECORDS_AT_OFFSET, recordsAt, true);
  view.setUint32(at + META_COUNT_OFFSET, metaCount, true);
  setInt64Le(view, at + FIRST_OFFSET_OFFSET, firstOffset);
}

export function encodeMeta(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  kind: number,
  term: number,
  payload: Uint8Array,
): void {
  bytes.fill(0, at, at + metaSize(payload.length));
  view.setUint8(at, kind);
  view.setUint32(at + 4, term, true);
  view.setUint32(at + 8, payload.length, true);
  bytes.set(payload, at + META_HEAD_SIZE);
}

export function metaKind(view: DataView, at: number): number {
  return view.getUint8(at);
}

export function metaTerm(view: DataView, at: number): number {
  return view.getUint32(at + 4, true);
}

export function metaPayloadBytes(view: DataView, at: number): number {
  return view.getUint32(at + 8, true);
}

/** Where the records of an APPEND begin, from the start of the frame. */
export function recordsAtOf(view: DataView, at: number): number {
  return view.getUint32(at + RECORDS_AT_OFFSET, true);
}

export function metaCountOf(view: DataView, at: number): number {
  return view.getUint32(at + META_COUNT_OFFSET, true);
}

export function firstOffsetOf(view: DataView, at: number): number {
  return getInt64Le(view, at + FIRST_OFFSET_OFFSET);
}

export function roundUp8(value: number): number {
  return (value + 7) & ~7;
}
