/**
 * The write-ahead journal of one shard: one durable write in flight, the next one filling meanwhile.
 *
 * ```
 *   record() ──► filling buffer ──flush()──► in flight ──completion──► onDurable(lsn)
 *                    ▲                           │
 *                    └──── the two buffers swap ─┘            release(lsn): blocks may be reused
 * ```
 *
 * - Group commit without a timer: whatever was recorded while a write was in flight leaves with the
 *   next. The loop calls {@linkcode Journal.flush} at the end of each turn.
 * - The LSN is the sequence number of a write; all records of one write become durable together.
 * - Recording never waits: callers ask {@linkcode Journal.hasRoom} first, and refuse or park.
 * - Records are copied once, into the form that goes to the disk (`journal_format.ts`); the CRCs are
 *   stored by the disk seam when the write starts.
 * - A failed write is final: nothing is retried, nothing becomes durable after it, and the owner ends
 *   the process.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Arena } from "../bytes/arena.ts";
import { setInt64Le } from "../bytes/int64.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Completion } from "../io/completion.ts";
import { BLOCK_SIZE, type Disk } from "../io/disk.ts";
import { EIO } from "../io/errno.ts";
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
  JournalRecordType,
  LSN_OFFSET,
  MAGIC_OFFSET,
  MOUNT_EPOCH_OFFSET,
  OLDEST_LSN_OFFSET,
  PAYLOAD_LENGTH_OFFSET,
  RECORD_A_OFFSET,
  RECORD_B_OFFSET,
  RECORD_C_OFFSET,
  RECORD_D_OFFSET,
  RECORD_FLAGS_OFFSET,
  RECORD_GROUP_OFFSET,
  RECORD_HEADER_SIZE,
  RECORD_INCARNATION_OFFSET,
  RECORD_PAYLOAD_LENGTH_OFFSET,
  RECORD_SMALL_MAX,
  RECORD_SMALL_OFFSET,
  RECORD_TERM_OFFSET,
  RECORD_TYPE_OFFSET,
  recordSize,
  recordStart,
  RING_BLOCK_OFFSET,
  STABLE_LSN_OFFSET,
} from "./journal_format.ts";
import { type JournalExtent, JournalRing } from "./journal_ring.ts";

/** The largest write (bytes on disk), unless {@linkcode JournalOptions.writeBytesMax} says otherwise. */
export const JOURNAL_WRITE_BYTES_MAX = 4 * 1024 * 1024;
/** Size at which a buffer starts, and to which it returns when writes stay small (bytes). */
export const JOURNAL_BUFFER_BYTES_MIN = 64 * 1024;
/** Part of a write that only records which must not wait may fill (bytes of stream). */
export const JOURNAL_RESERVED_STREAM_BYTES = 16 * 1024;
/** After this many writes in a row that used under a quarter of it, a grown buffer is given back. */
const SHRINK_AFTER_WRITES = 256;

export interface JournalOptions {
  readonly disk: Disk;
  readonly memory: Memory;
  readonly arena: Arena;
  /** The ring, in the order of the manifest. */
  readonly extents: readonly JournalExtent[];
  /** Never reused by another journal of the node (safe integer). */
  readonly journalId: number;
  /** Larger than that of every earlier mount, and durable in the manifest before the first write. */
  readonly mountEpoch: number;
  /** LSN of the first write: larger than every LSN of an earlier mount of any journal; at least 1. */
  readonly firstLsn: number;
  readonly writeBytesMax?: number;
  /** A write is durable, with all records up to this LSN. The next one may be flushed. */
  readonly onDurable: (lsn: number) => void;
  /** A write failed: this journal is over. Called once. */
  readonly onFailure: (errno: number) => void;
}

/** Counters for metrics; they only grow. */
export interface JournalStats {
  readonly writes: number;
  readonly writtenBytes: number;
  readonly records: number;
}

export class Journal {
  readonly #disk: Disk;
  readonly #memory: Memory;
  readonly #arena: Arena;
  readonly #ring: JournalRing;
  readonly #options: JournalOptions;
  readonly #blocksMax: number;
  readonly #onWritten: Completion;
  // The filling write.
  #fillAddress: number;
  #fillBlocks: number;
  #streamAt = 0;
  #payloadLeft = 0;
  #onlySeal = false;
  #smallWrites = 0;
  // The write in flight, and the buffer that is not filling.
  #flightAddress: number;
  #flightBlocks = 0;
  #durableLsn: number;
  #chain = 0;
  #needsSeal = false;
  #failure = 0;
  #writes = 0;
  #writtenBlocks = 0;
  #records = 0;

  constructor(options: JournalOptions) {
    assert(Number.isSafeInteger(options.journalId), "journal id is not a safe integer");
    assert(options.firstLsn >= 1 && Number.isSafeInteger(options.firstLsn), "bad first LSN");
    this.#options = options;
    this.#disk = options.disk;
    this.#memory = options.memory;
    this.#arena = options.arena;
    this.#ring = new JournalRing(options.extents, options.firstLsn);
    const bytesMax = Math.min(
      options.writeBytesMax ?? JOURNAL_WRITE_BYTES_MAX,
      options.arena.blockSizeMax,
    );
    this.#blocksMax = Math.min(Math.floor(bytesMax / BLOCK_SIZE), this.#ring.writeBlocksMax);
    this.#durableLsn = options.firstLsn - 1;
    this.#fillAddress = this.#allocateBuffer();
    this.#flightAddress = this.#allocateBuffer();
    this.#fillBlocks = this.#bufferBlocks(this.#fillAddress);
    this.#onWritten = { complete: (result) => this.#written(result) };
  }

  /** Everything up to this LSN is durable. */
  get durableLsn(): number {
    return this.#durableLsn;
  }
  /** LSN that the next record gets. */
  get nextLsn(): number {
    return this.#ring.nextLsn;
  }
  /** The oldest LSN that is not released. */
  get oldestLsn(): number {
    return this.#ring.oldestLsn;
  }
  /** Ring in use, up to the newest write that was started (bytes). */
  get usedBytes(): number {
    return this.#ring.usedBlocks * BLOCK_SIZE;
  }
  get capacityBytes(): number {
    return this.#ring.blockCount * BLOCK_SIZE;
  }
  /** The largest payload that one record can carry (bytes); reserved or not, into an empty write. */
  get recordPayloadMax(): number {
    return this.#blocksMax * BLOCK_PAYLOAD_SIZE - RECORD_HEADER_SIZE -
      this.#reservedStreamBytes(this.#blocksMax);
  }
  /** Nothing is in flight, nothing waits to be flushed. */
  get idle(): boolean {
    return this.#flightBlocks === 0 && this.#streamAt === 0;
  }
  /** The errno of the write that ended this journal, or zero. */
  get failure(): number {
    return this.#failure;
  }

  stats(): JournalStats {
    return {
      writes: this.#writes,
      writtenBytes: this.#writtenBlocks * BLOCK_SIZE,
      records: this.#records,
    };
  }

  /**
   * Whether a record with this payload can be recorded now; may grow the filling buffer for it.
   *
   * @param reserved the record may use the last 5 % of the ring and the end of the buffer, which are
   *   kept for what must not wait: HARD, TRUNCATE, PREFIX, DELETE, SEAL
   */
  hasRoom(payloadBytes: number, reserved: boolean): boolean {
    if (this.#failure !== 0) return false;
    const end = recordStart(this.#streamAt) + recordSize(payloadBytes);
    const blocks = blocksOfStream(end);
    if (blocks > this.#blocksMax || !this.#ring.fits(blocks, reserved)) return false;
    const kept = reserved ? 0 : this.#reservedStreamBytes(this.#fillBlocks);
    if (end + kept <= this.#fillBlocks * BLOCK_PAYLOAD_SIZE) return true;
    return this.#grow(end, reserved);
  }

  /**
   * Copies a record into the filling write; {@linkcode Journal.hasRoom} has said yes this turn.
   *
   * The numeric fields are safe integers, -1 where there is none; their meaning by type is told in
   * `journal_format.ts`. The typed methods below are the readable way in.
   *
   * @returns the LSN at which it will be durable
   */
  record(
    type: JournalRecordType,
    groupId: number,
    incarnation: number,
    term: number,
    small: number,
    a: number,
    b: number,
    c: number,
    d: number,
    payloadAddress: number,
    payloadLength: number,
  ): number {
    const lsn = this.begin(type, groupId, incarnation, term, small, a, b, c, d, payloadLength);
    if (payloadLength > 0) this.addPayload(payloadAddress, payloadLength);
    return lsn;
  }

  /** As {@linkcode Journal.record}, for a payload in parts: `addPayload` follows until it is whole. */
  begin(
    type: JournalRecordType,
    groupId: number,
    incarnation: number,
    term: number,
    small: number,
    a: number,
    b: number,
    c: number,
    d: number,
    payloadLength: number,
  ): number {
    assert(this.#payloadLeft === 0, "a journal record began before the last one was whole");
    assert(small >= 0 && small <= RECORD_SMALL_MAX, "small field of a record is out of range");
    const start = recordStart(this.#streamAt);
    const end = start + recordSize(payloadLength);
    assert(this.#failure === 0, "a record for a journal that has failed");
    assert(this.#ring.fits(blocksOfStream(end), true), "no room in the ring for a journal record");
    if (end > this.#fillBlocks * BLOCK_PAYLOAD_SIZE) {
      assert(this.#grow(end, true), "no room in memory for a journal record");
    }
    if (start !== this.#streamAt) this.#zero(this.#streamAt, start - this.#streamAt);
    const view = this.#memory.view;
    const at = this.#addressOf(start);
    view.setUint8(at + RECORD_TYPE_OFFSET, type);
    view.setUint8(at + RECORD_FLAGS_OFFSET, 0);
    view.setUint16(at + RECORD_SMALL_OFFSET, small, true);
    view.setUint32(at + RECORD_PAYLOAD_LENGTH_OFFSET, payloadLength, true);
    setInt64Le(view, at + RECORD_GROUP_OFFSET, groupId);
    view.setUint32(at + RECORD_INCARNATION_OFFSET, incarnation, true);
    view.setUint32(at + RECORD_TERM_OFFSET, term, true);
    setInt64Le(view, at + RECORD_A_OFFSET, a);
    setInt64Le(view, at + RECORD_B_OFFSET, b);
    setInt64Le(view, at + RECORD_C_OFFSET, c);
    setInt64Le(view, at + RECORD_D_OFFSET, d);
    setInt64Le(view, at + RECORD_D_OFFSET + 8, 0);
    this.#onlySeal = type === JournalRecordType.SEAL && this.#streamAt === 0;
    this.#streamAt = start + RECORD_HEADER_SIZE;
    this.#payloadLeft = payloadLength;
    this.#records++;
    return this.#ring.nextLsn;
  }

  /** Copies the next part of the payload of the record that {@linkcode Journal.begin} began. */
  addPayload(address: number, length: number): void {
    assert(length <= this.#payloadLeft, "more payload than the record announced");
    this.#payloadLeft -= length;
    const bytes = this.#memory.bytes;
    let inBlock = this.#streamAt % BLOCK_PAYLOAD_SIZE;
    let target = this.#addressOf(this.#streamAt);
    let from = address;
    const end = address + length;
    while (from < end) {
      const count = Math.min(BLOCK_PAYLOAD_SIZE - inBlock, end - from);
      bytes.copyWithin(target, from, from + count);
      from += count;
      target += count + BLOCK_HEADER_SIZE;
      inBlock = 0;
    }
    this.#streamAt += length;
    if (this.#payloadLeft === 0) {
      const padding = (8 - (this.#streamAt % 8)) % 8;
      this.#zero(this.#streamAt, padding);
      this.#streamAt += padding;
    }
  }

  /** Log bytes at `position` of a segment. The first `carriedBytes` of them were recorded before. */
  append(
    groupId: number,
    incarnation: number,
    term: number,
    carriedBytes: number,
    firstIndex: number,
    segmentBaseOffset: number,
    position: number,
    commitIndex: number,
    payloadAddress: number,
    payloadLength: number,
  ): number {
    return this.record(
      JournalRecordType.APPEND,
      groupId,
      incarnation,
      term,
      carriedBytes,
      firstIndex,
      segmentBaseOffset,
      position,
      commitIndex,
      payloadAddress,
      payloadLength,
    );
  }

  /** An entry that takes an index and no offset; `kind` is the owner's. */
  meta(
    groupId: number,
    incarnation: number,
    term: number,
    kind: number,
    index: number,
    nextOffset: number,
    commitIndex: number,
    payloadAddress: number,
    payloadLength: number,
  ): number {
    return this.record(
      JournalRecordType.META,
      groupId,
      incarnation,
      term,
      kind,
      index,
      nextOffset,
      0,
      commitIndex,
      payloadAddress,
      payloadLength,
    );
  }

  /** Term and vote (a node id, -1 for none) of a group. */
  hard(
    groupId: number,
    incarnation: number,
    term: number,
    vote: number,
    commitIndex: number,
  ): number {
    const type = JournalRecordType.HARD;
    return this.record(type, groupId, incarnation, term, 0, vote, 0, 0, commitIndex, 0, 0);
  }

  /** Everything after `lastIndex` is cut; the log ends at `endOffset`, and at `position` of a segment. */
  truncate(
    groupId: number,
    incarnation: number,
    term: number,
    lastIndex: number,
    endOffset: number,
    segmentBaseOffset: number,
    position: number,
  ): number {
    const type = JournalRecordType.TRUNCATE;
    return this.record(
      type,
      groupId,
      incarnation,
      term,
      0,
      lastIndex,
      endOffset,
      segmentBaseOffset,
      position,
      0,
      0,
    );
  }

  /** The log starts at `startOffset` from here on; a payload may carry what the prefix amounted to. */
  prefix(
    groupId: number,
    incarnation: number,
    term: number,
    startIndex: number,
    startOffset: number,
    delta: number,
    payloadAddress: number,
    payloadLength: number,
  ): number {
    return this.record(
      JournalRecordType.PREFIX,
      groupId,
      incarnation,
      term,
      0,
      startIndex,
      startOffset,
      delta,
      0,
      payloadAddress,
      payloadLength,
    );
  }

  /** The group is gone; its id never comes back. */
  remove(groupId: number, incarnation: number): number {
    const type = JournalRecordType.DELETE;
    return this.record(type, groupId, incarnation, 0, 0, 0, 0, 0, 0, 0, 0);
  }

  /** A group begins; the payload is its first row. */
  create(
    groupId: number,
    incarnation: number,
    payloadAddress: number,
    payloadLength: number,
  ): number {
    return this.record(
      JournalRecordType.CREATE,
      groupId,
      incarnation,
      0,
      0,
      0,
      0,
      0,
      0,
      payloadAddress,
      payloadLength,
    );
  }

  /**
   * Records a SEAL when the last write holds anything else, so that damage to it can be told from a
   * torn tail. For a shard that goes idle and for a clean stop; the next `flush` writes it.
   *
   * @returns whether there is a SEAL to flush
   */
  seal(): boolean {
    if (!this.#needsSeal || this.#streamAt > 0 || !this.hasRoom(0, true)) return false;
    this.record(JournalRecordType.SEAL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    return true;
  }

  /** Starts the filling write, if there is one and none is in flight. */
  flush(): void {
    if (this.#flightBlocks > 0 || this.#streamAt === 0 || this.#failure !== 0) return;
    assert(this.#payloadLeft === 0, "flushed a journal record that is not whole");
    const address = this.#fillAddress;
    const blocks = blocksOfStream(this.#streamAt);
    const lsn = this.#ring.nextLsn;
    const place = this.#ring.take(blocks);
    this.#zero(this.#streamAt, blocks * BLOCK_PAYLOAD_SIZE - this.#streamAt);
    this.#writeHeaders(address, blocks, lsn, place);
    this.#needsSeal = !this.#onlySeal;
    this.#writes++;
    this.#writtenBlocks += blocks;
    this.#smallWrites = blocks * 4 < this.#fillBlocks ? this.#smallWrites + 1 : 0;
    // The other buffer is free, since nothing was in flight.
    this.#fillAddress = this.#flightAddress;
    this.#flightAddress = address;
    this.#flightBlocks = blocks;
    this.#streamAt = 0;
    this.#shrink();
    this.#fillBlocks = this.#bufferBlocks(this.#fillAddress);
    this.#disk.writeSealed(
      this.#ring.lastExtent.handle,
      this.#ring.lastPosition(blocks),
      address,
      blocks * BLOCK_SIZE,
      this.#onWritten,
    );
  }

  /** Everything up to `lsn` lies behind both checkpoint slots: its blocks may be overwritten. */
  release(lsn: number): void {
    assert(lsn <= this.#durableLsn, "released a write that is not durable");
    this.#ring.release(lsn);
  }

  /** Ring bytes written after `lsn`: what a replay from there would read. */
  bytesSince(lsn: number): number {
    return this.#ring.blocksSince(lsn) * BLOCK_SIZE;
  }

  /** The newest durable LSN within the oldest `bytes` of the ring in use: what a checkpoint frees next. */
  lsnWithinOldest(bytes: number): number {
    const lsn = this.#ring.lsnWithinOldest(Math.floor(bytes / BLOCK_SIZE));
    return Math.min(lsn, this.#durableLsn);
  }

  /** Gives the buffers back; nothing may be in flight. */
  close(): void {
    assert(this.#flightBlocks === 0, "closed a journal with a write in flight");
    this.#arena.release(this.#fillAddress);
    this.#arena.release(this.#flightAddress);
  }

  #written(result: number): void {
    const blocks = this.#flightBlocks;
    this.#flightBlocks = 0;
    if (result !== blocks * BLOCK_SIZE) {
      this.#failure = result < 0 ? -result : EIO;
      this.#options.onFailure(this.#failure);
      return;
    }
    this.#chain = chainOfWrite(this.#memory, this.#flightAddress, blocks);
    this.#durableLsn = this.#ring.nextLsn - 1;
    this.#options.onDurable(this.#durableLsn);
  }

  #writeHeaders(address: number, blocks: number, lsn: number, place: number): void {
    const view = this.#memory.view;
    for (let i = 0; i < blocks; i++) {
      const at = address + i * BLOCK_SIZE;
      view.setUint32(at + MAGIC_OFFSET, JOURNAL_MAGIC, true);
      setInt64Le(view, at + JOURNAL_ID_OFFSET, this.#options.journalId);
      setInt64Le(view, at + LSN_OFFSET, lsn);
      setInt64Le(view, at + STABLE_LSN_OFFSET, this.#durableLsn);
      setInt64Le(view, at + OLDEST_LSN_OFFSET, this.#ring.oldestLsn);
      view.setUint32(at + MOUNT_EPOCH_OFFSET, this.#options.mountEpoch, true);
      view.setUint32(at + RING_BLOCK_OFFSET, place + i, true);
      view.setUint16(at + BLOCK_INDEX_OFFSET, i, true);
      view.setUint16(at + BLOCK_COUNT_OFFSET, blocks, true);
      view.setUint32(at + CHAIN_OFFSET, this.#chain, true);
      view.setUint32(at + PAYLOAD_LENGTH_OFFSET, this.#streamAt, true);
      view.setUint32(at + PAYLOAD_LENGTH_OFFSET + 4, 0, true);
    }
  }

  #addressOf(streamAt: number): number {
    const block = Math.floor(streamAt / BLOCK_PAYLOAD_SIZE);
    return this.#fillAddress + streamAt + (block + 1) * BLOCK_HEADER_SIZE;
  }

  /** Zeroes bytes of the stream that lie within one block. */
  #zero(streamAt: number, length: number): void {
    if (length === 0) return;
    const at = this.#addressOf(streamAt);
    this.#memory.bytes.fill(0, at, at + length);
  }

  #reservedStreamBytes(blocks: number): number {
    // A quarter at most: small buffers, as tests use them, must hold something else too.
    return Math.min(JOURNAL_RESERVED_STREAM_BYTES, blocks * BLOCK_PAYLOAD_SIZE / 4);
  }

  #bufferBlocks(address: number): number {
    return Math.min(this.#arena.blockSize(address) / BLOCK_SIZE, this.#blocksMax);
  }

  #allocateBuffer(): number {
    const size = Math.min(JOURNAL_BUFFER_BYTES_MIN, this.#blocksMax * BLOCK_SIZE);
    const address = this.#arena.allocate(size);
    assert(address >= 0, "no memory for the journal's buffers");
    return address;
  }

  /** Moves the filling write to a larger buffer that holds `streamEnd`; false when there is none. */
  #grow(streamEnd: number, reserved: boolean): boolean {
    let blocks = this.#fillBlocks;
    let room = blocks * BLOCK_PAYLOAD_SIZE;
    while (streamEnd + (reserved ? 0 : this.#reservedStreamBytes(blocks)) > room) {
      if (blocks >= this.#blocksMax) return false;
      blocks = Math.min(blocks * 2, this.#blocksMax);
      room = blocks * BLOCK_PAYLOAD_SIZE;
    }
    const address = this.#arena.allocate(blocks * BLOCK_SIZE);
    if (address < 0) return false;
    const used = blocksOfStream(this.#streamAt) * BLOCK_SIZE;
    this.#memory.bytes.copyWithin(address, this.#fillAddress, this.#fillAddress + used);
    this.#arena.release(this.#fillAddress);
    this.#fillAddress = address;
    this.#fillBlocks = blocks;
    return true;
  }

  /** Gives a grown, empty filling buffer back for a small one once writes have stayed small. */
  #shrink(): void {
    if (this.#smallWrites < SHRINK_AFTER_WRITES) return;
    if (this.#arena.blockSize(this.#fillAddress) <= JOURNAL_BUFFER_BYTES_MIN) return;
    const small = this.#arena.allocate(JOURNAL_BUFFER_BYTES_MIN);
    if (small < 0) return;
    this.#arena.release(this.#fillAddress);
    this.#fillAddress = small;
  }
}
