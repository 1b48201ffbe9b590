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
import { JournalBuffer, reservedStreamBytes } from "./journal_buffer.ts";
import {
  BLOCK_COUNT_OFFSET,
  BLOCK_INDEX_OFFSET,
  BLOCK_PAYLOAD_SIZE,
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
  RECORD_HEADER_SIZE,
  RING_BLOCK_OFFSET,
  STABLE_LSN_OFFSET,
} from "./journal_format.ts";
import { type JournalExtent, JournalRing, JournalRoom } from "./journal_ring.ts";

/** The largest write (bytes on disk), unless {@linkcode JournalOptions.writeBytesMax} says otherwise. */
export const JOURNAL_WRITE_BYTES_MAX = 4 * 1024 * 1024;
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
  readonly #ring: JournalRing;
  readonly #options: JournalOptions;
  readonly #blocksMax: number;
  readonly #onWritten: Completion;
  #filling: JournalBuffer;
  #flight: JournalBuffer;
  /** Blocks of the write in flight; zero when there is none. */
  #flightBlocks = 0;
  #onlySeal = false;
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
    this.#ring = new JournalRing(options.extents, options.firstLsn);
    const bytesMax = Math.min(
      options.writeBytesMax ?? JOURNAL_WRITE_BYTES_MAX,
      options.arena.blockSizeMax,
    );
    this.#blocksMax = Math.min(Math.floor(bytesMax / BLOCK_SIZE), this.#ring.writeBlocksMax);
    this.#durableLsn = options.firstLsn - 1;
    this.#filling = new JournalBuffer(options.memory, options.arena, this.#blocksMax);
    this.#flight = new JournalBuffer(options.memory, options.arena, this.#blocksMax);
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
  /** Memory that its two buffers take now (bytes). */
  get bufferBytes(): number {
    return this.#filling.sizeBytes + this.#flight.sizeBytes;
  }
  /** The largest payload that one record can carry (bytes); reserved or not, into an empty write. */
  get recordPayloadMax(): number {
    return this.#blocksMax * BLOCK_PAYLOAD_SIZE - RECORD_HEADER_SIZE -
      reservedStreamBytes(this.#blocksMax);
  }
  /** Nothing is in flight, nothing waits to be flushed. */
  get idle(): boolean {
    return this.#flightBlocks === 0 && this.#filling.streamBytes === 0;
  }
  /** LSN of the write in flight, or 0. */
  get flightLsn(): number {
    return this.#flightBlocks === 0 ? 0 : this.#ring.nextLsn - 1;
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
   * @param room how far into the ring it may go; all but ordinary records may use the end of the buffer
   */
  hasRoom(payloadBytes: number, room: JournalRoom): boolean {
    if (this.#failure !== 0) return false;
    const blocks = this.#filling.blocksWith(payloadBytes);
    if (blocks > this.#blocksMax || !this.#ring.fits(blocks, room)) return false;
    return this.#filling.makeRoom(payloadBytes, room !== JournalRoom.ORDINARY);
  }

  /**
   * Copies a record into the filling write; {@linkcode Journal.hasRoom} has said yes this turn.
   *
   * The numeric fields are safe integers, -1 where there is none; their meaning by type is described in
   * `group_journal.ts`, which is the readable way in.
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
    assert(this.#failure === 0, "a record for a journal that has failed");
    const filling = this.#filling;
    const blocks = filling.blocksWith(payloadLength);
    assert(this.#ring.fits(blocks, JournalRoom.URGENT), "no room in the ring for a journal record");
    this.#onlySeal = type === JournalRecordType.SEAL && filling.streamBytes === 0;
    filling.begin(type, groupId, incarnation, term, small, a, b, c, d, payloadLength);
    this.#records++;
    return this.#ring.nextLsn;
  }

  /** Copies the next part of the payload of the record that {@linkcode Journal.begin} began. */
  addPayload(address: number, length: number): void {
    this.#filling.addPayload(address, length);
  }

  /**
   * Records a SEAL when the last write holds anything else, so that damage to it can be distinguished from a
   * torn tail. For a shard that goes idle and for a clean stop; the next `flush` writes it.
   *
   * @returns whether there is a SEAL to flush
   */
  seal(): boolean {
    if (!this.#needsSeal || this.#filling.streamBytes > 0) return false;
    if (!this.hasRoom(0, JournalRoom.URGENT)) return false;
    this.record(JournalRecordType.SEAL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    return true;
  }

  /** Starts the filling write, if there is one and none is in flight; returns whether it did. */
  flush(): boolean {
    const buffer = this.#filling;
    if (this.#flightBlocks > 0 || buffer.streamBytes === 0 || this.#failure !== 0) return false;
    const blocks = buffer.finish();
    const lsn = this.#ring.nextLsn;
    const place = this.#ring.take(blocks);
    this.#writeHeaders(buffer, blocks, lsn, place);
    this.#needsSeal = !this.#onlySeal;
    this.#writes++;
    this.#writtenBlocks += blocks;
    this.#filling = this.#flight;
    this.#flight = buffer;
    this.#flightBlocks = blocks;
    this.#disk.writeSealed(
      this.#ring.lastExtent.handle,
      this.#ring.lastPosition(blocks),
      buffer.address,
      blocks * BLOCK_SIZE,
      this.#onWritten,
    );
    return true;
  }

  /** Everything up to `lsn` is covered by both checkpoint slots: its blocks may be overwritten. */
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
    this.#filling.close();
    this.#flight.close();
  }

  #written(result: number): void {
    const blocks = this.#flightBlocks;
    this.#flightBlocks = 0;
    if (result !== blocks * BLOCK_SIZE) {
      this.#failure = result < 0 ? -result : EIO;
      this.#options.onFailure(this.#failure);
      return;
    }
    this.#chain = chainOfWrite(this.#memory, this.#flight.address, blocks);
    this.#flight.reset();
    this.#durableLsn = this.#ring.nextLsn - 1;
    this.#options.onDurable(this.#durableLsn);
  }

  #writeHeaders(buffer: JournalBuffer, blocks: number, lsn: number, place: number): void {
    const view = this.#memory.view;
    for (let i = 0; i < blocks; i++) {
      const at = buffer.address + i * BLOCK_SIZE;
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
      view.setUint32(at + PAYLOAD_LENGTH_OFFSET, buffer.streamBytes, true);
      view.setUint32(at + PAYLOAD_LENGTH_OFFSET + 4, 0, true);
    }
  }
}
