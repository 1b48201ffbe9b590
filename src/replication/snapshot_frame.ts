/**
 * A SNAPSHOT frame: where a log begins whose first entries the sender has no longer.
 *
 * ```text
 *    0 row (kind SNAPSHOT): index and indexTerm of the last entry that it covers
 *   72 i64 first offset after it
 *   80 u32 number of meta entries   84 u32 bytes of the state of producers
 *   88 meta entries, as in an APPEND, each preceded by its index (i64) and its offset (i64)
 *   .. state of producers, as in a checkpoint row
 * ```
 *
 * Records follow in APPENDs, from the entry after `index` on. The state of producers is that of everything committed, so
 * it is ahead of the first of them.
 *
 * @module
 */

import { getInt64Le, setInt64Le } from "../bytes/int64.ts";
import { type Log, type MetaEntry, MetaKind, type SnapshotPoint } from "../storage/log.ts";
import {
  encodeMeta,
  encodeRow,
  META_HEAD_SIZE,
  metaKind,
  metaPayloadBytes,
  metaSize,
  metaTerm,
  ROW_SIZE,
} from "./frames.ts";
import type { RaftMessage } from "../raft/message.ts";
import { isProducerTable } from "../storage/producer_snapshot.ts";
import { TERM_MAX } from "../raft/limits.ts";

const HEAD_SIZE = ROW_SIZE + 16;
const PLACE_SIZE = 16;
const METAS_MAX = 16;
const KINDS: readonly MetaKind[] = [MetaKind.NO_OP, MetaKind.CONFIGURATION, MetaKind.PREFIX];

/**
 * A snapshot without the state of producers, which follows: where a log begins, with the last meta entry of each kind
 * before it.
 *
 * @param header names the last entry before the log
 */
export function encodeSnapshot(
  log: Log,
  header: RaftMessage,
  { offset, producersBytes }: { readonly offset: number; readonly producersBytes: number },
): Uint8Array<ArrayBuffer> {
  const { index } = header;
  const metas: MetaEntry[] = [];
  for (const kind of KINDS) {
    const meta = log.lastMeta(kind, index);
    if (meta !== null) metas.push(meta);
  }
  metas.sort((a, b) => a.index - b.index);
  let size = HEAD_SIZE;
  for (const { payload } of metas) size += PLACE_SIZE + metaSize(payload.length);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  encodeRow(view, 0, log.groupId, header);
  setInt64Le(view, ROW_SIZE, offset);
  view.setUint32(ROW_SIZE + 8, metas.length, true);
  view.setUint32(ROW_SIZE + 12, producersBytes, true);
  let at = HEAD_SIZE;
  for (const { kind, term, payload, index, offset } of metas) {
    setInt64Le(view, at, index);
    setInt64Le(view, at + 8, offset);
    encodeMeta(view, bytes, at + PLACE_SIZE, kind, term, payload);
    at += PLACE_SIZE + metaSize(payload.length);
  }
  return bytes;
}

/** Reads what follows the row of a SNAPSHOT; null when it makes no sense. */
export function decodeSnapshot(
  view: DataView,
  bytes: Uint8Array<ArrayBuffer>,
  address: number,
  length: number,
  { index, indexTerm }: Pick<RaftMessage, "index" | "indexTerm">,
): SnapshotPoint | null {
  if (length < HEAD_SIZE) return null;
  const offset = getInt64Le(view, address + ROW_SIZE);
  const count = view.getUint32(address + ROW_SIZE + 8, true);
  const producersBytes = view.getUint32(address + ROW_SIZE + 12, true);
  if (!(offset >= 0 && offset <= index) || count > METAS_MAX) return null;
  if (producersBytes > length - HEAD_SIZE) return null;
  const end = address + length - producersBytes;
  const metas: MetaEntry[] = [];
  let at = address + HEAD_SIZE;
  let last = 0;
  for (let i = 0; i < count; i++) {
    if (end - at < PLACE_SIZE + META_HEAD_SIZE) return null;
    const metaIndex = getInt64Le(view, at);
    const metaOffset = getInt64Le(view, at + 8);
    at += PLACE_SIZE;
    const payloadBytes = metaPayloadBytes(view, at);
    if (payloadBytes > end - at - META_HEAD_SIZE) return null;
    const kind = metaKind(view, at) as MetaKind;
    const isPlaced = metaIndex > last && metaIndex <= index && metaOffset >= 0 &&
      metaOffset <= offset;
    if (!isPlaced || !KINDS.includes(kind) || metaTerm(view, at) > TERM_MAX) return null;
    last = metaIndex;
    const payload = bytes.slice(at + META_HEAD_SIZE, at + META_HEAD_SIZE + payloadBytes);
    metas.push({ kind, index: metaIndex, term: metaTerm(view, at), offset: metaOffset, payload });
    at += metaSize(payloadBytes);
  }
  if (at !== end) return null;
  const producers = producersBytes === 0 ? null : bytes.slice(end, end + producersBytes);
  if (producers !== null && !isProducerTable(producers)) return null;
  return { index, term: indexTerm, offset, metas, producers };
}
