/**
 * Reads a journal back after a restart: which records were durable, where the tail was torn, and what
 * is damaged.
 *
 * Two passes over the ring:
 *
 * 1. Every block is checked by itself. A block counts if its CRC holds and it names this journal, its
 *    own place in the ring, and the epoch that is replayed; all other blocks are stale, foreign or damaged. From
 *    the blocks come the LSN range, the newest `stable` and `oldest` LSN, and where each write starts.
 * 2. From the oldest needed LSN on, each write is read again and its records go to the visitor.
 *
 * ```
 *   LSN   oldest needed ........ b ......... stable ........ newest found
 *         replayed               broken: damage      broken: torn tail, the rest is cut
 *         (at or below `stable`, b had completed, so it was whole once: it is never a tail)
 * ```
 *
 * A write is broken when a block of it is missing, its length does not fit, or it is not the one that
 * its successor was chained to. After damage the replay continues with the next whole write; the visitor gets
 * the lost LSN range, and the replay decides which groups are suspect. A
 * write that had completed just before the crash, with none built after it, cannot be distinguished from a torn
 * one if it is damaged: a shard that goes idle writes a SEAL for that reason.
 *
 * A block that the device cannot read, or that its file lacks, is not what a torn write leaves: a torn write gives
 * something back. Such blocks cost what the rest of the ring proves that they held; and the write after the newest one
 * found, if it may have been there: nothing tells whether it had completed. A block that can be read and should be
 * another one of that write proves that it had not.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import { getInt64Le } from "../bytes/int64.ts";
import type { Memory } from "../bytes/memory.ts";
import { BLOCK_SIZE, type Disk } from "../io/disk.ts";
import { ENOMEM } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import {
  BLOCK_COUNT_OFFSET,
  BLOCK_HEADER_SIZE,
  BLOCK_INDEX_OFFSET,
  BLOCK_PAYLOAD_SIZE,
  blocksOfStream,
  CHAIN_OFFSET,
  chainOfWrite,
  JOURNAL_ID_OFFSET,
  JOURNAL_MAGIC,
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
} from "./journal_format.ts";
import { JournalRecord } from "./journal_record.ts";
import { JOURNAL_WRITE_BYTES_MAX } from "./journal.ts";
import type { JournalExtent } from "./journal_ring.ts";

/** Replays the newest epoch found, whichever it is. */
export const NEWEST_EPOCH = 0;

/** The most blocks that a write has (`journal.ts`). */
const WRITE_BLOCKS_MAX = JOURNAL_WRITE_BYTES_MAX / BLOCK_SIZE;
/** Once this many blocks of an extent are unreadable, the others are not tried one by one: each takes seconds. */
const UNREADABLE_BLOCKS_SOUGHT = 64;

/** The smallest LSN there is. */
const FIRST_LSN = 1;

/** Records that had completed, or may have, and cannot be read any more. */
export interface JournalDamage {
  /** The extent's path, and where in it the first broken block should be (-1: not known). */
  readonly path: string;
  readonly position: number;
  /** The next extent, when the writes may have begun there: one that does not fit leaves the rest of its extent. */
  readonly orPath: string | null;
  /** LSNs that are lost, both included. */
  readonly firstLsn: number;
  readonly lastLsn: number;
}

export interface JournalVisitor {
  /**
   * One record, in order; its view and payload are valid until this returns, or until the task it returns ends
   * (a negative errno ends the scan).
   */
  record(record: JournalRecord): Task<number> | void;
  /** Lost records, between those visited before and after. */
  damage(damage: JournalDamage): void;
}

export interface JournalScanOptions {
  readonly disk: Disk;
  readonly memory: Memory;
  readonly crc32c: Crc32c;
  /** The handle of one that cannot be opened is a negative errno. */
  readonly extents: readonly JournalExtent[];
  readonly journalId: number;
  /** The epoch to replay, as the manifest names it, or {@linkcode NEWEST_EPOCH}. */
  readonly mountEpoch: number;
  /** The oldest LSN that a checkpoint row still needs; older ones are skipped. 0 when none is known. */
  readonly fromLsn: number;
  /**
   * The epoch's first LSN, as the manifest names it. With it the ring is held to what the checkpoint
   * proves: the writes below `fromLsn` were made, so a ring that knows of none of them lost its tail.
   */
  readonly firstLsn?: number;
  /** A buffer in the region, aligned to the block, not smaller than the largest write. */
  readonly bufferAddress: number;
  readonly bufferBytes: number;
}

/** What a device does not give back of an extent. */
export interface UnreadableExtent {
  readonly path: string;
  /** The first byte of it, and how many blocks, of how many. */
  readonly position: number;
  readonly blocks: number;
  readonly blocksOfExtent: number;
  /** Positive; 0 when the file ends before. */
  readonly errno: number;
}

export interface JournalScan {
  /** A negative errno when reading failed; nothing else is to be believed then. Otherwise zero. */
  readonly error: number;
  /** Bytes that the buffer must have; more than it had: nothing was replayed, for want of memory. */
  readonly bufferBytesNeeded: number;
  /** The epoch that was replayed; zero when the ring holds no block of this journal. */
  readonly mountEpoch: number;
  /** The largest epoch of this journal in the ring; the next mount's must be larger. */
  readonly newestEpoch: number;
  /** The largest LSN that any block of this journal names; the next mount starts after it. */
  readonly newestLsn: number;
  /** Replayed, or reported lost, up to this LSN; before the oldest needed one if nothing was found. */
  readonly replayedLsn: number;
  /** Everything up to here had completed, as far as the ring shows. */
  readonly stableLsn: number;
  /** Everything before it had been released: checkpoint rows hold it, or it is lost. */
  readonly oldestLsn: number;
  /** Something was cut after `replayedLsn`. */
  readonly tornTail: boolean;
  readonly recordCount: number;
  readonly damages: readonly JournalDamage[];
  /** Extents that cannot be read, or not all of them: one entry for each. */
  readonly unreadable: readonly UnreadableExtent[];
}

/** Scans a journal; see the module's comment. */
export function* scanJournal(
  options: JournalScanOptions,
  visitor: JournalVisitor,
): Task<JournalScan> {
  const scan = new Scan(options, visitor);
  let error = yield* scan.index();
  if (error === 0) error = yield* scan.replay();
  return scan.result(error);
}

interface Head {
  readonly lsn: number;
  readonly block: number;
  readonly count: number;
  readonly chain: number;
}

/** The blocks that were found of the newest write. */
interface NewestWrite {
  readonly lsn: number;
  /** Its first ring block, and how many it has. */
  readonly start: number;
  readonly count: number;
  /** So many of them are there. */
  sound: number;
}

const NO_WRITE: NewestWrite = { lsn: 0, start: 0, count: 0, sound: 0 };

class Scan {
  readonly #options: JournalScanOptions;
  readonly #visitor: JournalVisitor;
  readonly #record: JournalRecord;
  // First ring block of each extent, and the ring's size at the end.
  readonly #firstBlocks: number[] = [];
  // The epoch's writes, according to their first blocks; and the newest, according to any.
  #heads: Head[] = [];
  #newest: NewestWrite = NO_WRITE;
  #epoch = 0;
  #newestEpoch = 0;
  #newestLsn = 0;
  #stableLsn = 0;
  #oldestLsn = 0;
  #replayedLsn = 0;
  #recordCount = 0;
  #tornTail = false;
  #bufferBytesNeeded = 0;
  #damages: JournalDamage[] = [];
  // By extent, what the first pass could not read of it; and the ring blocks of that, in order.
  readonly #unreadable = new Map<number, UnreadableExtent>();
  readonly #unread: { readonly from: number; readonly to: number }[] = [];
  // Ring blocks in the buffer during the second pass, and the write at hand among them.
  #windowBlock = 0;
  #windowEnd = 0;
  #writeAddress = 0;

  constructor(options: JournalScanOptions, visitor: JournalVisitor) {
    assert(
      options.bufferAddress % BLOCK_SIZE === 0 && options.bufferBytes % BLOCK_SIZE === 0 &&
        options.bufferBytes > 0,
      "scan buffer is not aligned",
    );
    this.#options = options;
    this.#visitor = visitor;
    this.#record = new JournalRecord(options.memory);
    let block = 0;
    for (const extent of options.extents) {
      this.#firstBlocks.push(block);
      block += extent.sizeBytes / BLOCK_SIZE;
    }
    this.#firstBlocks.push(block);
  }

  result(error: number): JournalScan {
    return {
      error,
      bufferBytesNeeded: this.#bufferBytesNeeded,
      mountEpoch: this.#epoch,
      newestEpoch: this.#newestEpoch,
      newestLsn: this.#newestLsn,
      replayedLsn: this.#replayedLsn,
      stableLsn: this.#stableLsn,
      oldestLsn: this.#oldestLsn,
      tornTail: this.#tornTail,
      recordCount: this.#recordCount,
      damages: this.#damages,
      unreadable: [...this.#unreadable.values()],
    };
  }

  /** The first pass; zero or a negative errno. */
  *index(): Task<number> {
    const { extents, bufferBytes } = this.#options;
    for (let e = 0; e < extents.length; e++) {
      const { handle, sizeBytes } = extents[e]!;
      if (handle < 0) {
        this.#noteUnreadable(e, 0, sizeBytes, handle);
        continue;
      }
      for (let position = 0; position < sizeBytes; position += bufferBytes) {
        yield* this.#indexRange(e, position, Math.min(bufferBytes, sizeBytes - position));
      }
    }
    this.#heads.sort((a, b) => a.lsn - b.lsn);
    return 0;
  }

  /** Looks at the blocks of a range; where the device fails, at its halves. */
  *#indexRange(e: number, position: number, length: number): Task<void> {
    const { disk, extents, bufferAddress } = this.#options;
    const { handle, sizeBytes } = extents[e]!;
    const read = yield* io((done) => {
      disk.read(handle, position, bufferAddress, length, done);
    });
    if (read < 0) {
      const known = this.#unreadable.get(e)?.blocks ?? 0;
      if (length === BLOCK_SIZE || known >= UNREADABLE_BLOCKS_SOUGHT) {
        this.#noteUnreadable(e, position, length, read);
        return;
      }
      const half = Math.ceil(length / 2 / BLOCK_SIZE) * BLOCK_SIZE;
      yield* this.#indexRange(e, position, half);
      yield* this.#indexRange(e, position + half, length - half);
      return;
    }
    // An extent that is shorter than it should be lacks its last blocks: stale, or damage.
    const whole = read - (read % BLOCK_SIZE);
    for (let at = 0; at < whole; at += BLOCK_SIZE) {
      this.#indexBlock(bufferAddress + at, this.#firstBlocks[e]! + (position + at) / BLOCK_SIZE);
    }
    const isShort = whole < length && position + length <= sizeBytes;
    if (isShort) this.#noteUnreadable(e, position + whole, length - whole, 0);
  }

  #noteUnreadable(e: number, position: number, length: number, result: number): void {
    const { path, sizeBytes } = this.#options.extents[e]!;
    const known = this.#unreadable.get(e);
    this.#unreadable.set(e, {
      path,
      position: known?.position ?? position,
      blocks: (known?.blocks ?? 0) + length / BLOCK_SIZE,
      blocksOfExtent: sizeBytes / BLOCK_SIZE,
      errno: known?.errno ?? -result,
    });
    const from = this.#firstBlocks[e]! + position / BLOCK_SIZE;
    this.#unread.push({ from, to: from + length / BLOCK_SIZE });
  }

  /** How many blocks in a row cannot be read, from one on. */
  #unreadFrom(block: number): number {
    let end = block;
    for (const range of this.#unread) if (range.from <= end && end < range.to) end = range.to;
    return end - block;
  }

  /**
   * Whether the write with this LSN, which no later one follows, may have completed and be where nothing can be
   * read.
   */
  #mayBeGone(lsn: number): boolean {
    if (this.#unread.length === 0) return false;
    const { extents, firstLsn } = this.#options;
    if (this.#newest.lsn === lsn) {
      const { start, count, sound } = this.#newest;
      let unread = 0;
      for (let i = 0; i < count; i++) if (this.#unreadFrom(start + i) > 0) unread++;
      // A block that can be read and is none of its own was never written: it had not completed.
      return unread > 0 && sound + unread === count;
    }
    // The first write of a mount stands at the ring's beginning.
    if (lsn === firstLsn) return this.#unreadFrom(0) > 0;
    const before = this.#heads.findLast((head) => head.lsn < lsn);
    if (before === undefined) return true;
    const end = before.block + before.count;
    const e = this.#extentOf(before.block);
    const left = this.#firstBlocks[e + 1]! - end;
    // Writes before it that are not found either explain as many blocks.
    const explained = lsn - 1 - before.lsn;
    if (left > 0 && this.#unreadFrom(end) > explained) return true;
    // One that did not fit into the rest of its extent began the next one, unless an older one is known to be there.
    const next = (e + 1) % extents.length;
    const start = this.#firstBlocks[next]!;
    return left < WRITE_BLOCKS_MAX && this.#unreadFrom(start) > explained && !this.#isLostAt(start);
  }

  /** Whether a write that is known to be lost lies at a ring block. */
  #isLostAt(block: number): boolean {
    const total = this.#firstBlocks.at(-1)!;
    return this.#damages.some(({ firstLsn, lastLsn }) => {
      const before = this.#headOf(firstLsn - 1);
      const behind = this.#headOf(lastLsn + 1);
      if (before === undefined || behind === undefined) return false;
      const from = before.block + before.count;
      return (block - from + total) % total < (behind.block - from + total) % total;
    });
  }

  /** The second pass; zero or a negative errno. */
  *replay(): Task<number> {
    const { fromLsn, firstLsn } = this.#options;
    if (firstLsn !== undefined && fromLsn > firstLsn && this.#newest.lsn < fromLsn - 1) {
      this.#reportDamage(Math.max(firstLsn, this.#newest.lsn + 1), fromLsn - 1);
    }
    let expected = Math.max(fromLsn, firstLsn ?? FIRST_LSN, this.#oldestLsn);
    for (const head of this.#heads) {
      if (head.lsn < expected) continue;
      this.#bufferBytesNeeded = Math.max(this.#bufferBytesNeeded, head.count * BLOCK_SIZE);
    }
    if (this.#bufferBytesNeeded > this.#options.bufferBytes) return -ENOMEM;
    for (let i = 0; i < this.#heads.length; i++) {
      const head = this.#heads[i]!;
      if (head.lsn < expected) continue;
      // A write is missing: beyond the stable LSN that is the end.
      if (head.lsn > expected && expected > this.#stableLsn) break;
      const whole = yield* this.#readWrite(head.block, head.count, head.lsn);
      if (whole < 0) return whole;
      if (whole === 0 || !this.#isChained(head.lsn, head.count, this.#heads[i + 1])) {
        if (head.lsn > this.#stableLsn) break;
        continue;
      }
      if (head.lsn > expected) this.#reportDamage(expected, head.lsn - 1);
      const visited = yield* this.#visitWrite(head.lsn, head.block, head.count);
      if (visited < 0) return visited;
      expected = head.lsn + 1;
    }
    if (expected <= this.#stableLsn) {
      this.#reportDamage(expected, this.#stableLsn);
      expected = this.#stableLsn + 1;
    }
    if (this.#mayBeGone(expected)) {
      this.#reportDamage(expected, expected);
      expected++;
    }
    this.#replayedLsn = Math.max(0, expected - 1);
    this.#tornTail = this.#newest.lsn >= expected;
    return 0;
  }

  /** Whether the write at hand is the one that its successor, where there is one, was built on. */
  #isChained(
    lsn: number,
    count: number,
    next: { lsn: number; chain: number } | undefined,
  ): boolean {
    if (next === undefined || next.lsn !== lsn + 1) return true;
    return next.chain === chainOfWrite(this.#options.memory, this.#writeAddress, count);
  }

  #indexBlock(at: number, ringBlock: number): void {
    if (!this.#isOurs(at, ringBlock)) return;
    const view = this.#options.memory.view;
    const epoch = view.getUint32(at + MOUNT_EPOCH_OFFSET, true);
    const lsn = getInt64Le(view, at + LSN_OFFSET);
    this.#newestEpoch = Math.max(this.#newestEpoch, epoch);
    this.#newestLsn = Math.max(this.#newestLsn, lsn);
    const wanted = this.#options.mountEpoch;
    if (wanted !== NEWEST_EPOCH ? epoch !== wanted : epoch < this.#epoch) return;
    if (epoch !== this.#epoch) this.#forget(epoch);
    this.#stableLsn = Math.max(this.#stableLsn, getInt64Le(view, at + STABLE_LSN_OFFSET));
    this.#oldestLsn = Math.max(this.#oldestLsn, getInt64Le(view, at + OLDEST_LSN_OFFSET));
    const index = view.getUint16(at + BLOCK_INDEX_OFFSET, true);
    const count = view.getUint16(at + BLOCK_COUNT_OFFSET, true);
    if (lsn > this.#newest.lsn) this.#newest = { lsn, start: ringBlock - index, count, sound: 0 };
    if (lsn === this.#newest.lsn) this.#newest.sound++;
    if (index !== 0) return;
    const chain = view.getUint32(at + CHAIN_OFFSET, true);
    this.#heads.push({ lsn, block: ringBlock, count, chain });
  }

  /** A newer epoch than those seen so far: what was gathered belongs to an older one. */
  #forget(epoch: number): void {
    this.#epoch = epoch;
    this.#heads = [];
    this.#newest = NO_WRITE;
    this.#stableLsn = 0;
    this.#oldestLsn = 0;
  }

  /** Whether the block in the region is sound, of this journal, and in its place. */
  #isOurs(at: number, ringBlock: number): boolean {
    const { memory, crc32c, journalId } = this.#options;
    const view = memory.view;
    return view.getUint32(at + MAGIC_OFFSET, true) === JOURNAL_MAGIC &&
      view.getUint32(at + RING_BLOCK_OFFSET, true) === ringBlock &&
      getInt64Le(view, at + JOURNAL_ID_OFFSET) === journalId &&
      view.getUint32(at, true) === crc32c(at + 4, BLOCK_SIZE - 4, 0);
  }

  /** Makes the write's bytes present in the buffer: 1 whole, 0 broken, or a negative errno. */
  *#readWrite(block: number, count: number, lsn: number): Task<number> {
    const present = yield* this.#readWindow(block, count);
    if (present <= 0) return present;
    const view = this.#options.memory.view;
    const address = this.#writeAddress;
    const payload = view.getUint32(address + PAYLOAD_LENGTH_OFFSET, true);
    if (payload === 0 || blocksOfStream(payload) !== count) return 0;
    for (let i = 0; i < count; i++) {
      const at = address + i * BLOCK_SIZE;
      const whole = this.#isOurs(at, block + i) &&
        getInt64Le(view, at + LSN_OFFSET) === lsn &&
        view.getUint32(at + MOUNT_EPOCH_OFFSET, true) === this.#epoch &&
        view.getUint16(at + BLOCK_INDEX_OFFSET, true) === i &&
        view.getUint16(at + BLOCK_COUNT_OFFSET, true) === count &&
        view.getUint32(at + PAYLOAD_LENGTH_OFFSET, true) === payload;
      if (!whole) return 0;
    }
    return 1;
  }

  /**
   * Points `#writeAddress` at the blocks, reading a whole buffer from there on unless they are part of
   * the last one; 1 done, 0 when they are not there, or the device does not give them back. Where it gave back
   * all of the extent a moment ago they are no torn tail: a negative errno.
   */
  *#readWindow(block: number, count: number): Task<number> {
    const { disk, extents, bufferAddress, bufferBytes } = this.#options;
    if (block < this.#windowBlock || block + count > this.#windowEnd) {
      const e = this.#extentOf(block);
      const end = this.#firstBlocks[e + 1]!;
      if (count === 0 || block + count > end) return 0;
      assert(count * BLOCK_SIZE <= bufferBytes, "scan buffer is smaller than a journal write");
      const position = (block - this.#firstBlocks[e]!) * BLOCK_SIZE;
      const handle = extents[e]!.handle;
      let length = Math.min(bufferBytes, (end - block) * BLOCK_SIZE);
      let read = yield* io((done) => disk.read(handle, position, bufferAddress, length, done));
      if (read < 0) {
        // Unreadable blocks may follow them.
        length = count * BLOCK_SIZE;
        read = yield* io((done) => disk.read(handle, position, bufferAddress, length, done));
      }
      if (read < 0 && !this.#unreadable.has(e)) return read;
      this.#windowBlock = block;
      this.#windowEnd = block + Math.floor(Math.max(0, read) / BLOCK_SIZE);
      if (block + count > this.#windowEnd) return 0;
    }
    this.#writeAddress = bufferAddress + (block - this.#windowBlock) * BLOCK_SIZE;
    return 1;
  }

  /**
   * Puts the payloads of the write in ring block `block` together where they are, and hands its records out.
   * Bytes that are no record, in blocks that are sound, were written like that: they are damage.
   */
  *#visitWrite(lsn: number, block: number, count: number): Task<number> {
    const { bytes, view } = this.#options.memory;
    const address = this.#writeAddress;
    const streamLength = view.getUint32(address + PAYLOAD_LENGTH_OFFSET, true);
    for (let i = 0; i < count; i++) {
      const from = address + i * BLOCK_SIZE + BLOCK_HEADER_SIZE;
      bytes.copyWithin(address + i * BLOCK_PAYLOAD_SIZE, from, from + BLOCK_PAYLOAD_SIZE);
    }
    const e = this.#extentOf(block);
    this.#record.path = this.#options.extents[e]!.path;
    this.#record.position = (block - this.#firstBlocks[e]!) * BLOCK_SIZE;
    let streamAt = recordStart(0);
    while (streamAt + RECORD_HEADER_SIZE <= streamLength) {
      const at = address + streamAt;
      const end = streamAt + recordSize(view.getUint32(at + RECORD_PAYLOAD_LENGTH_OFFSET, true));
      if (end > streamLength) {
        this.#reportDamage(lsn, lsn);
        return 0;
      }
      this.#recordCount++;
      const task = this.#visitor.record(this.#record.wrap(at, lsn));
      if (task !== undefined) {
        const result = yield* task;
        if (result < 0) return result;
      }
      streamAt = recordStart(end);
    }
    return 0;
  }

  #reportDamage(firstLsn: number, lastLsn: number): void {
    const block = this.#placeOf(firstLsn, lastLsn);
    const e = this.#extentOf(Math.max(0, block));
    const path = this.#options.extents[e]!.path;
    const position = block < 0 ? -1 : (block - this.#firstBlocks[e]!) * BLOCK_SIZE;
    const next = (e + 1) % this.#options.extents.length;
    const behind = this.#headOf(lastLsn + 1);
    const rolls = this.#headOf(firstLsn) === undefined && next !== e &&
      (behind === undefined || this.#extentOf(behind.block) !== e);
    const orPath = rolls ? this.#options.extents[next]!.path : null;
    const damage = { path, position, orPath, firstLsn, lastLsn };
    this.#damages.push(damage);
    this.#visitor.damage(damage);
  }

  /** The ring block where lost writes begin, as far as their neighbours show; -1 when none is left. */
  #placeOf(firstLsn: number, lastLsn: number): number {
    const known = this.#headOf(firstLsn);
    if (known !== undefined) return known.block;
    const before = this.#headOf(firstLsn - 1);
    const behind = this.#headOf(lastLsn + 1);
    const total = this.#firstBlocks.at(-1)!;
    if (before === undefined) return behind === undefined ? -1 : (behind.block + total - 1) % total;
    const from = (before.block + before.count) % total;
    if (behind === undefined) return from;
    // A write that does not fit into the rest of an extent begins the next one.
    const start = this.#firstBlocks[this.#extentOf(behind.block)]!;
    const rolled = this.#extentOf(from) !== this.#extentOf(behind.block) && behind.block > start;
    return firstLsn === lastLsn && rolled ? start : from;
  }

  #headOf(lsn: number): Head | undefined {
    return this.#heads.find((head) => head.lsn === lsn);
  }

  #extentOf(block: number): number {
    let e = 0;
    while (block >= this.#firstBlocks[e + 1]!) e++;
    return e;
  }
}
