/**
 * A SNAPSHOT frame: where a log begins whose first entries the sender has no longer.
 *
 * ```text
 *    0 row (kind SNAPSHOT): index and indexTerm of the last entry that it covers
 *   72 i64 first offset after it
 *   80 u32 number of meta entries   84 u32 zero
 *   88 meta entries, as in an APPEND, each preceded by its index (i64) and its offset (i64)
 * ```
 *
 * Records follow in APPENDs, from the log start on, and with them the state of their producers.
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
import { MessageKind, RaftMessage } from "../raft/message.ts";

const HEAD_SIZE = ROW_SIZE + 16;
const PLACE_SIZE = 16;
const METAS_MAX = 16;
const KINDS: readonly MetaKind[] = [MetaKind.NO_OP, MetaKind.CONFIGURATION, MetaKind.PREFIX];

/** The start of a log, with the last meta entry of each kind before it. */
export function encodeSnapshot(log: Log, sender: RaftMessage): Uint8Array<ArrayBuffer> {
  const index = log.startIndex;
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
  const row = new RaftMessage().copyFrom(sender);
  row.kind = MessageKind.SNAPSHOT;
  row.index = index;
  row.indexTerm = log.startTerm;
  encodeRow(view, 0, log.groupId, row);
  setInt64Le(view, ROW_SIZE, log.startOffset);
  view.setUint32(ROW_SIZE + 8, metas.length, true);
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
  if (!(offset >= 0 && offset <= index) || count > METAS_MAX) return null;
  const end = address + length;
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
    if (!isPlaced || !KINDS.includes(kind)) return null;
    last = metaIndex;
    const payload = bytes.slice(at + META_HEAD_SIZE, at + META_HEAD_SIZE + payloadBytes);
    metas.push({ kind, index: metaIndex, term: metaTerm(view, at), offset: metaOffset, payload });
    at += metaSize(payloadBytes);
  }
  if (at !== end) return null;
  return { index, term: indexTerm, offset, metas, producers: null };
}
