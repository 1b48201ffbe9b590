/**
 * What a node's disk holds between two lives, read by a reader of its own: slots, rows, journal writes.
 *
 * The simulation takes one picture before it damages the disk and one after, and foretells from the two
 * what a start may lose (`damage_forecast.ts`). It shares formats with the code under test, and no code
 * that decides anything.
 *
 * @module
 */

import { crc32cOfBytes } from "../../src/bytes/crc32c.ts";
import { getInt64Le } from "../../src/bytes/int64.ts";
import { wrapMemory } from "../../src/bytes/memory.ts";
import { BLOCK_SIZE } from "../../src/io/disk.ts";
import type { MemoryDisk } from "../../src/io/memory_disk.ts";
import {
  CHECKPOINT_BLOCK_INDEX_OFFSET,
  CHECKPOINT_HEADER_SIZE,
  CHECKPOINT_JOURNAL_ID_OFFSET,
  CHECKPOINT_MAGIC,
  CHECKPOINT_MAGIC_OFFSET,
  CHECKPOINT_SEQUENCE_OFFSET,
  HEAD_BLOCK_COUNT_OFFSET,
  HEAD_DIGEST_OFFSET,
  HEAD_LSN_OFFSET,
  HEAD_STREAM_BYTES_OFFSET,
  ROW_PREFIX_SIZE,
  rowSize,
} from "../../src/storage/checkpoint_format.ts";
import {
  BLOCK_COUNT_OFFSET,
  BLOCK_HEADER_SIZE,
  BLOCK_INDEX_OFFSET,
  BLOCK_PAYLOAD_SIZE,
  foldChain,
  JOURNAL_ID_OFFSET,
  JOURNAL_MAGIC,
  JournalRecordType,
  LSN_OFFSET,
  MAGIC_OFFSET,
  MOUNT_EPOCH_OFFSET,
  OLDEST_LSN_OFFSET,
  PAYLOAD_LENGTH_OFFSET,
  RECORD_HEADER_SIZE,
  RECORD_PAYLOAD_LENGTH_OFFSET,
  recordSize,
  recordStart,
  RING_BLOCK_OFFSET,
  STABLE_LSN_OFFSET,
} from "../../src/storage/journal_format.ts";
import { JournalRecord } from "../../src/storage/journal_record.ts";
import {
  decodeManifest,
  type Manifest,
  MANIFEST_COPY_PATH,
  MANIFEST_PATH,
  type ShardManifest,
} from "../../src/storage/manifest.ts";
import { LOGS_DIRECTORY } from "../../src/storage/engine.ts";
import { parseLogDirectory } from "../../src/storage/salvage.ts";
import { RowReader } from "../../src/storage/row_bytes.ts";
import { batchEndOffset, batchSize } from "../../src/wire/record_batch.ts";

/** What a checkpoint row says of its group, as far as losses are concerned. */
export interface PictureRow {
  readonly groupId: number;
  readonly incarnation: number;
  readonly sequence: number;
  readonly endOffset: number;
}

/** A checkpoint slot that is whole. */
export interface PictureSlot {
  readonly sequence: number;
  readonly lsn: number;
  readonly rows: ReadonlyMap<number, PictureRow>;
}

/** Where a large batch lies in its segment. */
export interface PictureLanding {
  readonly generation: number;
  readonly from: number;
  readonly to: number;
}

/** A record of a journal write. */
export interface PictureRecord {
  readonly type: number;
  readonly groupId: number;
  readonly incarnation: number;
  readonly sequence: number;
  /** The log's end after it, if it moves it; -1 otherwise. */
  readonly endOffset: number;
  /** Of a large batch: its place in its segment; null for others. */
  readonly landed: PictureLanding | null;
}

/** A journal write that is whole. */
export interface PictureWrite {
  readonly lsn: number;
  /** A digest of its blocks: equal for the same write. */
  readonly digest: number;
  readonly records: readonly PictureRecord[];
}

/** A sound block of the journal's present epoch. */
export interface PictureBlock {
  readonly path: string;
  readonly block: number;
  readonly lsn: number;
  readonly stableLsn: number;
}

export interface PictureShard {
  readonly manifest: ShardManifest;
  /** The two slots; null where there is none that is whole. */
  readonly slots: readonly (PictureSlot | null)[];
  readonly blocks: readonly PictureBlock[];
  readonly writes: ReadonlyMap<number, PictureWrite>;
  /** Everything up to here had completed, as far as the ring shows. */
  readonly stableLsn: number;
  /** Everything before it had been released: rows hold it. */
  readonly oldestLsn: number;
}

export interface DiskPicture {
  /** Empty when neither the manifest nor its copy can be read. */
  readonly shards: readonly PictureShard[];
  readonly hasManifest: boolean;
  /** Groups that have a directory, and of them those that have a segment with bytes. */
  readonly directories: ReadonlySet<number>;
  readonly segments: ReadonlySet<number>;
  readonly files: ReadonlySet<string>;
  /** Files of which the device does not give back everything. */
  readonly withheld: ReadonlySet<string>;
}

/** Takes a picture of a disk that nobody runs on. */
export function takePicture(disk: MemoryDisk): DiskPicture {
  const files = groupFiles(disk);
  const present = new Set(disk.paths());
  const found = findManifest(disk, present);
  if (found === null) return { shards: [], hasManifest: false, ...files };
  const { mountEpoch, shards } = found;
  return {
    ...files,
    hasManifest: true,
    shards: shards.map((manifest) => ({
      manifest,
      slots: manifest.checkpoints.map((path) =>
        present.has(path) ? readSlot(bytesOf(disk, path), manifest.journalId) : null
      ),
      ...readJournal(disk, manifest, mountEpoch, present),
    })),
  };
}

/** The manifest of a disk that nobody uses; null: there is none, or it is damaged. */
export function manifestOn(disk: MemoryDisk): Manifest | null {
  return findManifest(disk, new Set(disk.paths()));
}

/** The manifest, or its copy when it is gone or damaged. */
function findManifest(disk: MemoryDisk, present: ReadonlySet<string>): Manifest | null {
  for (const path of [MANIFEST_PATH, MANIFEST_COPY_PATH]) {
    const found = present.has(path) ? decodeManifest(bytesOf(disk, path)) : null;
    if (found?.kind === "found") return found.manifest;
  }
  return null;
}

type PictureFiles = Pick<DiskPicture, "directories" | "segments" | "files" | "withheld">;

function groupFiles(disk: MemoryDisk): PictureFiles {
  const directories = new Set<number>();
  const segments = new Set<number>();
  for (const name of disk.namesIn(LOGS_DIRECTORY)) {
    const identity = parseLogDirectory(name);
    if (identity === null) continue;
    directories.add(identity.groupId);
    for (const file of disk.namesIn(`${LOGS_DIRECTORY}/${name}`)) {
      const path = `${LOGS_DIRECTORY}/${name}/${file}`;
      if (file.endsWith(".log") && disk.size(path) > 0) segments.add(identity.groupId);
    }
  }
  const paths = disk.paths();
  const withheld = new Set(paths.filter((path) => isWithheld(disk, path)));
  return { directories, segments, files: new Set(paths), withheld };
}

function isWithheld(disk: MemoryDisk, path: string): boolean {
  for (let at = 0; at < disk.size(path); at += BLOCK_SIZE) {
    if (disk.isLost(path, at / BLOCK_SIZE)) return true;
  }
  return false;
}

/** A file's bytes, in whole blocks; zeros where it is not given back. */
export function bytesOf(disk: MemoryDisk, path: string): Uint8Array<ArrayBuffer> {
  const blocks = Math.ceil(disk.size(path) / BLOCK_SIZE);
  const bytes = new Uint8Array(blocks * BLOCK_SIZE);
  for (let block = 0; block < blocks; block++) {
    const found = disk.isLost(path, block) ? null : disk.blockAt(path, block);
    if (found !== null) bytes.set(found, block * BLOCK_SIZE);
  }
  return bytes;
}

function isSealed(bytes: Uint8Array, view: DataView, at: number): boolean {
  return view.getUint32(at, true) === crc32cOfBytes(bytes, at + 4, at + BLOCK_SIZE, 0);
}

function readSlot(bytes: Uint8Array<ArrayBuffer>, journalId: number): PictureSlot | null {
  if (bytes.length === 0) return null;
  const view = new DataView(bytes.buffer);
  const sequence = getInt64Le(view, CHECKPOINT_SEQUENCE_OFFSET);
  const blocks = view.getUint32(HEAD_BLOCK_COUNT_OFFSET, true);
  if (blocks * BLOCK_SIZE > bytes.length) return null;
  let digest = 0;
  const stream = new Uint8Array(Math.max(0, blocks - 1) * (BLOCK_SIZE - CHECKPOINT_HEADER_SIZE));
  for (let block = 0; block < Math.max(1, blocks); block++) {
    const at = block * BLOCK_SIZE;
    const sound = isSealed(bytes, view, at) &&
      view.getUint32(at + CHECKPOINT_MAGIC_OFFSET, true) === CHECKPOINT_MAGIC &&
      getInt64Le(view, at + CHECKPOINT_JOURNAL_ID_OFFSET) === journalId &&
      getInt64Le(view, at + CHECKPOINT_SEQUENCE_OFFSET) === sequence &&
      view.getUint32(at + CHECKPOINT_BLOCK_INDEX_OFFSET, true) === block;
    if (!sound) return null;
    if (block === 0) continue;
    digest = foldChain(digest, view.getUint32(at, true));
    const payload = bytes.subarray(at + CHECKPOINT_HEADER_SIZE, at + BLOCK_SIZE);
    stream.set(payload, (block - 1) * payload.length);
  }
  if (digest !== view.getUint32(HEAD_DIGEST_OFFSET, true)) return null;
  const rows = new Map<number, PictureRow>();
  const streamView = new DataView(stream.buffer);
  const streamBytes = getInt64Le(view, HEAD_STREAM_BYTES_OFFSET);
  for (let at = 0; at < streamBytes;) {
    const length = streamView.getUint32(at, true);
    const row = readRow(stream.slice(at + ROW_PREFIX_SIZE, at + ROW_PREFIX_SIZE + length));
    rows.set(row.groupId, row);
    at += rowSize(length);
  }
  return { sequence, lsn: getInt64Le(view, HEAD_LSN_OFFSET), rows };
}

/** The beginning of a row (docs/formats/checkpoint_row.md). */
function readRow(bytes: Uint8Array<ArrayBuffer>): PictureRow {
  const row = new RowReader(bytes);
  row.uint32();
  const groupId = row.int64();
  const incarnation = row.uint32();
  row.text();
  row.int64();
  row.int64();
  row.uint32();
  const sequence = row.int64();
  for (let i = 0; i < 5; i++) row.int64();
  return { groupId, incarnation, sequence, endOffset: row.int64() };
}

function readJournal(
  disk: MemoryDisk,
  manifest: ShardManifest,
  mountEpoch: number,
  present: ReadonlySet<string>,
): Pick<PictureShard, "blocks" | "writes" | "stableLsn" | "oldestLsn"> {
  const blocks: PictureBlock[] = [];
  const parts = new Map<number, { bytes: Uint8Array; index: number; count: number }[]>();
  const perExtent = manifest.extentBytes / BLOCK_SIZE;
  let stableLsn = 0;
  let oldestLsn = 0;
  manifest.extents.forEach((path, extent) => {
    for (let block = 0; present.has(path) && block < perExtent; block++) {
      const bytes = disk.blockAt(path, block);
      if (bytes === null || disk.isLost(path, block)) continue;
      const view = new DataView(bytes.buffer, bytes.byteOffset, BLOCK_SIZE);
      const live = view.getUint32(MAGIC_OFFSET, true) === JOURNAL_MAGIC &&
        getInt64Le(view, JOURNAL_ID_OFFSET) === manifest.journalId &&
        view.getUint32(MOUNT_EPOCH_OFFSET, true) === mountEpoch &&
        view.getUint32(RING_BLOCK_OFFSET, true) === extent * perExtent + block &&
        isSealed(bytes, view, 0);
      if (!live) continue;
      const lsn = getInt64Le(view, LSN_OFFSET);
      const stable = getInt64Le(view, STABLE_LSN_OFFSET);
      stableLsn = Math.max(stableLsn, stable);
      oldestLsn = Math.max(oldestLsn, getInt64Le(view, OLDEST_LSN_OFFSET));
      blocks.push({ path, block, lsn, stableLsn: stable });
      const part = {
        bytes,
        index: view.getUint16(BLOCK_INDEX_OFFSET, true),
        count: view.getUint16(BLOCK_COUNT_OFFSET, true),
      };
      const known = parts.get(lsn);
      if (known === undefined) parts.set(lsn, [part]);
      else known.push(part);
    }
  });
  const writes = new Map<number, PictureWrite>();
  for (const [lsn, found] of parts) {
    found.sort((a, b) => a.index - b.index);
    const { count } = found[0]!;
    if (found.length !== count || found.some((part, i) => part.index !== i)) continue;
    writes.set(lsn, readWrite(lsn, found.map(({ bytes }) => bytes)));
  }
  return { blocks, writes, stableLsn, oldestLsn };
}

function readWrite(lsn: number, blocks: readonly Uint8Array[]): PictureWrite {
  const memory = wrapMemory(new ArrayBuffer(blocks.length * BLOCK_PAYLOAD_SIZE));
  let digest = 0;
  blocks.forEach((bytes, i) => {
    memory.bytes.set(bytes.subarray(BLOCK_HEADER_SIZE), i * BLOCK_PAYLOAD_SIZE);
    digest = foldChain(digest, new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true));
  });
  const head = blocks[0]!;
  const length = new DataView(head.buffer, head.byteOffset).getUint32(PAYLOAD_LENGTH_OFFSET, true);
  const records: PictureRecord[] = [];
  const record = new JournalRecord(memory);
  for (let at = recordStart(0); at + RECORD_HEADER_SIZE <= length;) {
    records.push(readRecord(record.wrap(at, lsn)));
    const payload = memory.view.getUint32(at + RECORD_PAYLOAD_LENGTH_OFFSET, true);
    at = recordStart(at + recordSize(payload));
  }
  return { lsn, digest, records };
}

function readRecord(record: JournalRecord): PictureRecord {
  const { type, groupId, incarnation, view, payloadAddress } = record;
  let endOffset = -1;
  let landed = null;
  if (type === JournalRecordType.APPEND) {
    endOffset = batchEndOffset(view, record.batch.address);
  } else if (type === JournalRecordType.REF) {
    const { generation, position, referenceAddress: header } = record.batch;
    endOffset = batchEndOffset(view, header);
    landed = {
      generation,
      from: position,
      to: position + batchSize(view, header),
    };
  } else if (type === JournalRecordType.TRUNCATE) endOffset = record.cut.endOffset;
  else if (type === JournalRecordType.CREATE) {
    const from = payloadAddress;
    endOffset = readRow(record.bytes.slice(from, from + record.payloadLength)).endOffset;
  }
  return { type, groupId, incarnation, sequence: record.sequence, endOffset, landed };
}
