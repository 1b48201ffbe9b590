/**
 * Snapshots of state machines, so that loading one does not read its whole log (docs/formats/state_snapshot.md).
 *
 * A snapshot is a file beside the logs, `snapshots/GROUP.INCARNATION`: a header block, then the records that make
 * the state. It is written under another name, flushed, and renamed over the previous one, so that a crash
 * leaves the old one or the new one. It is never required, because the log holds everything in it. A problem
 * with it is an outcome with a reason, and the log is read instead.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import { getInt64Le, setInt64Le } from "../bytes/int64.ts";
import type { Memory } from "../bytes/memory.ts";
import { BLOCK_SIZE, type Disk } from "../io/disk.ts";
import { ECANCELED, EEXIST, EIO, ENOENT } from "../io/errno.ts";
import { io, type Task, until } from "../io/task.ts";

export const SNAPSHOTS_DIRECTORY = "snapshots";
/** The newest format that this program reads, and the one that it writes. */
export const SNAPSHOT_FORMAT_VERSION = 1;

/** Bytes that are read or written at once; between two pieces the shard does other things. */
const PIECE_SIZE = 64 * 1024;
/** The largest snapshot that is read (bytes). */
const SNAPSHOT_SIZE_MAX = 2 ** 30;
/** Lengths before each record. */
const RECORD_HEADER_SIZE = 8;

const MAGIC = 0x504e5347; // "GSNP"
const AT_CRC = 0;
const AT_MAGIC = 4;
const AT_VERSION = 8;
const AT_GROUP = 12;
const AT_INCARNATION = 16;
const AT_APPLIED_INDEX = 24;
const AT_NEXT_OFFSET = 32;
const AT_COVERED_OFFSET = 40;
const AT_COVERED_TERM = 48;
const AT_PAYLOAD_CRC = 52;
const AT_PAYLOAD_BYTES = 56;
const AT_RECORDS = 64;

/** What snapshots are read and written with. */
export interface SnapshotContext {
  readonly disk: Disk;
  readonly memory: Memory;
  readonly crc32c: Crc32c;
  readonly blocks: SnapshotBlocks;
}

/** Memory for a piece of a snapshot. */
export interface SnapshotBlocks {
  /** A block in the region, or negative when there is none at the moment. */
  allocateResponse(size: number): number;
  releaseResponse(address: number): void;
  whenReleased(again: () => void): void;
}

/** Which log the state belongs to. */
export interface SnapshotOwner {
  readonly groupId: number;
  readonly incarnation: number;
}

/** The position of a state in its log. */
export interface SnapshotPoint {
  /** Every entry up to this index is in the state. */
  readonly appliedIndex: number;
  /** First offset that is not necessarily in the state; applying continues here. */
  readonly nextOffset: number;
}

/** First offset of which the snapshot holds nothing. Records below it may have been added while it was written. */
export interface SnapshotCover {
  /** First offset of which nothing is in the snapshot; at least {@linkcode SnapshotPoint.nextOffset}. */
  readonly coveredOffset: number;
  /** Term of the last record before it; 0 when there is none. */
  readonly coveredTerm: number;
}

/** A record of a state; null bytes as in a log's records. */
export interface SnapshotRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
}

export interface Snapshot extends SnapshotPoint, SnapshotCover {
  readonly path: string;
  readonly sizeBytes: number;
  /** Slices of the bytes that were read. */
  readonly records: Iterable<SnapshotRecord>;
}

export type SnapshotRead =
  | { readonly kind: "found"; readonly snapshot: Snapshot }
  | { readonly kind: "none" }
  /** `problem`: for people. */
  | { readonly kind: "unusable"; readonly path: string; readonly problem: string };

export function snapshotPath({ groupId, incarnation }: SnapshotOwner): string {
  return `${SNAPSHOTS_DIRECTORY}/${groupId}.${incarnation}`;
}

/**
 * Writes a snapshot, replacing the one before; it is durable when this ends.
 *
 * @param records drawn piece by piece over many turns
 * @param cover asked when all are drawn; null when they are not all there were
 * @returns the size (bytes), or a negative errno: then the one before is still there
 */
export function* writeSnapshot(
  context: SnapshotContext,
  owner: SnapshotOwner,
  point: SnapshotPoint,
  records: Iterable<SnapshotRecord>,
  cover: () => SnapshotCover | null,
): Task<number> {
  const { disk } = context;
  const made = yield* io((done) => disk.makeDirectory(SNAPSHOTS_DIRECTORY, done));
  if (made < 0 && made !== -EEXIST) return made;
  if (made >= 0) {
    const synced = yield* io((done) => disk.syncDirectory("", done));
    if (synced < 0) return synced;
  }
  const path = snapshotPath(owner);
  const temporary = `${path}.new`;
  const handle = yield* io((done) => disk.open(temporary, true, done));
  if (handle < 0) return handle;
  const address = yield* allocate(context);
  const size = yield* writeFile(context, { handle, address }, owner, point, records, cover);
  context.blocks.releaseResponse(address);
  yield* io((done) => disk.close(handle, done));
  let result = size;
  if (result >= 0) result = yield* io((done) => disk.rename(temporary, path, done));
  if (result >= 0) result = yield* io((done) => disk.syncDirectory(SNAPSHOTS_DIRECTORY, done));
  if (result >= 0) return size;
  yield* io((done) => disk.unlink(temporary, done));
  return result;
}

/** Reads a log's snapshot and checks every byte of it. */
export function* readSnapshot(context: SnapshotContext, owner: SnapshotOwner): Task<SnapshotRead> {
  const { disk } = context;
  const path = snapshotPath(owner);
  const handle = yield* io((done) => disk.open(path, false, done));
  if (handle === -ENOENT) return { kind: "none" };
  const unusable = (problem: string): SnapshotRead => ({ kind: "unusable", path, problem });
  if (handle < 0) return unusable(`it cannot be opened: errno ${-handle}`);
  const address = yield* allocate(context);
  const read = yield* readFile(context, { handle, address }, owner, disk.size(path));
  context.blocks.releaseResponse(address);
  yield* io((done) => disk.close(handle, done));
  if (typeof read === "string") return unusable(read);
  return { kind: "found", snapshot: { ...read, path } };
}

interface OpenFile {
  readonly handle: number;
  /** A piece in the region. */
  readonly address: number;
}

function* allocate({ blocks }: SnapshotContext): Task<number> {
  for (;;) {
    const address = blocks.allocateResponse(PIECE_SIZE);
    if (address >= 0) return address;
    yield* until<void>((done) => blocks.whenReleased(done));
  }
}

function* writeFile(
  context: SnapshotContext,
  { handle, address }: OpenFile,
  owner: SnapshotOwner,
  point: SnapshotPoint,
  records: Iterable<SnapshotRecord>,
  cover: () => SnapshotCover | null,
): Task<number> {
  const { disk, memory, crc32c } = context;
  const truncated = yield* io((done) => disk.truncate(handle, 0, done));
  if (truncated < 0) return truncated;
  let position = BLOCK_SIZE;
  let filled = 0;
  let crc = 0;
  let bytes = 0;
  let count = 0;
  const head = new Uint8Array(RECORD_HEADER_SIZE);
  const headView = new DataView(head.buffer);
  function* flush(): Task<number> {
    crc = crc32c(address, filled, crc);
    const length = Math.ceil(filled / BLOCK_SIZE) * BLOCK_SIZE;
    memory.bytes.fill(0, address + filled, address + length);
    const at = position;
    const written = yield* io((done) => disk.write(handle, at, address, length, false, done));
    position += length;
    bytes += filled;
    filled = 0;
    return written < 0 ? written : written === length ? 0 : -EIO;
  }
  for (const { key, value } of records) {
    count++;
    headView.setInt32(0, key?.length ?? -1, true);
    headView.setInt32(4, value?.length ?? -1, true);
    for (const part of [head, key, value]) {
      if (part === null) continue;
      for (let from = 0; from < part.length;) {
        const taken = Math.min(part.length - from, PIECE_SIZE - filled);
        memory.bytes.set(part.subarray(from, from + taken), address + filled);
        filled += taken;
        from += taken;
        if (filled < PIECE_SIZE) continue;
        const flushed = yield* flush();
        if (flushed < 0) return flushed;
      }
    }
  }
  if (filled > 0) {
    const flushed = yield* flush();
    if (flushed < 0) return flushed;
  }
  const covered = cover();
  if (covered === null) return -ECANCELED;
  const { coveredOffset, coveredTerm } = covered;
  assert(coveredOffset >= point.nextOffset, "a snapshot covers what it goes on from");
  const { view } = memory;
  memory.bytes.fill(0, address, address + BLOCK_SIZE);
  view.setUint32(address + AT_MAGIC, MAGIC, true);
  view.setUint32(address + AT_VERSION, SNAPSHOT_FORMAT_VERSION, true);
  view.setUint32(address + AT_GROUP, owner.groupId, true);
  view.setUint32(address + AT_INCARNATION, owner.incarnation, true);
  setInt64Le(view, address + AT_APPLIED_INDEX, point.appliedIndex);
  setInt64Le(view, address + AT_NEXT_OFFSET, point.nextOffset);
  setInt64Le(view, address + AT_COVERED_OFFSET, coveredOffset);
  view.setUint32(address + AT_COVERED_TERM, coveredTerm, true);
  view.setUint32(address + AT_PAYLOAD_CRC, crc, true);
  setInt64Le(view, address + AT_PAYLOAD_BYTES, bytes);
  setInt64Le(view, address + AT_RECORDS, count);
  view.setUint32(address + AT_CRC, crc32c(address + AT_MAGIC, BLOCK_SIZE - AT_MAGIC, 0), true);
  const written = yield* io((done) => disk.write(handle, 0, address, BLOCK_SIZE, false, done));
  if (written !== BLOCK_SIZE) return written < 0 ? written : -EIO;
  const synced = yield* io((done) => disk.sync(handle, done));
  return synced < 0 ? synced : BLOCK_SIZE + bytes;
}

type Read = Omit<Snapshot, "path">;

/** The file's contents, or what is wrong with it. */
function* readFile(
  context: SnapshotContext,
  { handle, address }: OpenFile,
  owner: SnapshotOwner,
  fileSize: number,
): Task<Read | string> {
  const { disk, memory, crc32c } = context;
  const { view } = memory;
  const first = yield* io((done) => disk.read(handle, 0, address, BLOCK_SIZE, done));
  if (first < 0) return `it cannot be read: errno ${-first}`;
  if (first < BLOCK_SIZE) return "it is cut short";
  const crc = crc32c(address + AT_MAGIC, BLOCK_SIZE - AT_MAGIC, 0);
  if (view.getUint32(address + AT_CRC, true) !== crc) return "its first block is damaged";
  if (view.getUint32(address + AT_MAGIC, true) !== MAGIC) return "it is no snapshot";
  const version = view.getUint32(address + AT_VERSION, true);
  if (version > SNAPSHOT_FORMAT_VERSION) return `its format ${version} is of a newer version`;
  const groupId = view.getUint32(address + AT_GROUP, true);
  const incarnation = view.getUint32(address + AT_INCARNATION, true);
  if (groupId !== owner.groupId || incarnation !== owner.incarnation) {
    return `it is of group ${groupId}, incarnation ${incarnation}`;
  }
  const appliedIndex = getInt64Le(view, address + AT_APPLIED_INDEX);
  const nextOffset = getInt64Le(view, address + AT_NEXT_OFFSET);
  const coveredOffset = getInt64Le(view, address + AT_COVERED_OFFSET);
  const coveredTerm = view.getUint32(address + AT_COVERED_TERM, true);
  const payloadCrc = view.getUint32(address + AT_PAYLOAD_CRC, true);
  const size = getInt64Le(view, address + AT_PAYLOAD_BYTES);
  const count = getInt64Le(view, address + AT_RECORDS);
  // Nobody is believed about a length before the file is as long.
  if (size > fileSize - BLOCK_SIZE) return "it is cut short";
  if (size > SNAPSHOT_SIZE_MAX) return `it has more than ${SNAPSHOT_SIZE_MAX} bytes`;
  const payload = new Uint8Array(size);
  let sum = 0;
  for (let at = 0; at < size; at += PIECE_SIZE) {
    const wanted = Math.min(PIECE_SIZE, size - at);
    const length = Math.ceil(wanted / BLOCK_SIZE) * BLOCK_SIZE;
    const position = BLOCK_SIZE + at;
    const read = yield* io((done) => disk.read(handle, position, address, length, done));
    if (read < 0) return `it cannot be read: errno ${-read}`;
    if (read < wanted) return "it is cut short";
    sum = crc32c(address, wanted, sum);
    payload.set(memory.bytes.subarray(address, address + wanted), at);
  }
  if (sum !== payloadCrc) return "it does not match its checksum";
  const sound = nextOffset >= 0 && coveredOffset >= nextOffset && addsUp(payload, count);
  if (!sound) return "its first block makes no sense";
  const records = { [Symbol.iterator]: () => recordsOf(payload, count) };
  return {
    appliedIndex,
    nextOffset,
    coveredOffset,
    coveredTerm,
    sizeBytes: BLOCK_SIZE + size,
    records,
  };
}

/** Whether the payload is `count` records and nothing else. */
function addsUp(payload: Uint8Array, count: number): boolean {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + RECORD_HEADER_SIZE > payload.length) return false;
    const key = view.getInt32(at, true);
    const value = view.getInt32(at + 4, true);
    at += RECORD_HEADER_SIZE + Math.max(0, key) + Math.max(0, value);
  }
  return at === payload.length;
}

function* recordsOf(payload: Uint8Array, count: number): Generator<SnapshotRecord> {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  let at = 0;
  const take = (length: number): Uint8Array | null => {
    if (length < 0) return null;
    const part = payload.subarray(at, at + length);
    at += length;
    return part;
  };
  for (let i = 0; i < count; i++) {
    const keyLength = view.getInt32(at, true);
    const valueLength = view.getInt32(at + 4, true);
    at += RECORD_HEADER_SIZE;
    const key = take(keyLength);
    const value = take(valueLength);
    yield { key, value };
  }
}
