/**
 * The journal as logs use it: what each record carries, and who is notified when it is durable.
 *
 * Fields of a record per type (`a` to `d` are int64; the record's form is in `journal_format.ts`). `d` counts
 * the records of the group: replay continues after the count in the checkpoint row, and a gap is damage.
 *
 *     type       small          term         a             b              c            payload
 *     APPEND     carried bytes  term         first index   generation     position     carry, batch
 *     REF        carried bytes  term         first index   generation     position     see below
 *     META       kind           term         index         next offset    -            entry
 *     HARD       -              term         vote          -              -            -
 *     TRUNCATE   -              generation   last index    end offset     position     -
 *     PREFIX     -              -            start index   start offset   start term   -
 *     DELETE     -              -            -             -              -            -
 *     CREATE     -              -            -             -              -            checkpoint row
 *
 * *Carried bytes* precede the batch in the file: the first record that touches a block whose earlier bytes
 * may have left the live journal repeats them, so that replay can rewrite a torn block whole.
 *
 * REF stands for a large batch that lies in its segment already, durable (`large_append.ts`). Its payload:
 *
 *     0 u32 checksum of the extent    4 u32 zero    8 first 64 bytes of the batch
 *     72 the file block in which the batch begins, whole; absent when it begins at a block's start
 *
 * Durability notices: a ring of (LSN, log, what it reached), one entry per log and journal write.
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import type { Task } from "../io/task.ts";
import { io } from "../io/task.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import type { Arena } from "../bytes/arena.ts";
import { assert } from "../base/assert.ts";
import type { Completion } from "../io/completion.ts";
import type { Journal } from "./journal.ts";
import {
  JournalRecordType,
  REF_BLOCK_OFFSET,
  REF_HEADER_BYTES,
  REF_HEADER_OFFSET,
} from "./journal_format.ts";
import { JournalRoom } from "./journal_ring.ts";
import type { LargeAppend } from "./large_append.ts";
import type { MetaEntry } from "./log.ts";
import type { PartitionLog } from "./partition_log.ts";

interface LsnWaiter {
  readonly lsn: number;
  readonly done: Completion;
}

export class GroupJournal {
  readonly journal: Journal;
  readonly #memory: Memory;
  readonly #arena: Arena;
  // Ring of notices to give, by LSN.
  #logs: (PartitionLog | null)[] = new Array<PartitionLog | null>(64).fill(null);
  #lsns = new Float64Array(64);
  #indexes = new Float64Array(64);
  #offsets = new Float64Array(64);
  #hards = new Float64Array(64);
  #head = 0;
  #count = 0;
  #waiters: LsnWaiter[] = [];

  constructor(journal: Journal, memory: Memory, arena: Arena) {
    this.journal = journal;
    this.recordedLsn = journal.nextLsn - 1;
    this.#memory = memory;
    this.#arena = arena;
  }

  /** The largest payload of a record that is staged in memory (bytes). */
  get payloadMax(): number {
    return Math.min(this.journal.recordPayloadMax, this.#arena.blockSizeMax);
  }

  /** Whether an ordinary record with this payload would be taken. */
  hasRoom(payloadBytes: number): boolean {
    return this.#hasRoom(payloadBytes, JournalRoom.ORDINARY);
  }

  /** Whether a record that helps to free a full disk would be taken, with this payload. */
  hasFreeingRoom(payloadBytes: number): boolean {
    return this.#hasRoom(payloadBytes, JournalRoom.FREEING);
  }

  /** Whether a record of the urgent kinds would be taken. */
  hasReservedRoom(): boolean {
    return this.journal.hasRoom(0, JournalRoom.URGENT);
  }

  #hasRoom(payloadBytes: number, room: JournalRoom): boolean {
    const isThere = this.journal.hasRoom(payloadBytes, room);
    if (!isThere) this.refused = true;
    return isThere;
  }

  /** Everything recorded so far is durable when this LSN is. */
  recordedLsn = 0;
  /** A record was refused since somebody last cleared this. */
  refused = false;

  /** @returns the LSN at which the record will be durable */
  append(
    log: PartitionLog,
    carry: number,
    firstIndex: number,
    generation: number,
    position: number,
    address: number,
    length: number,
  ): number {
    const lsn = this.journal.record(
      JournalRecordType.APPEND,
      log.groupId,
      log.incarnation,
      log.lastTerm,
      carry,
      firstIndex,
      generation,
      position,
      log.nextSequence(),
      address,
      length,
    );
    this.#notice(log, lsn);
    return lsn;
  }

  /**
   * Records that a large batch lies in its segment.
   *
   * @returns the LSN, or -1: no room, or no memory to stage the payload in
   */
  reference(log: PartitionLog, large: LargeAppend): number {
    const { chunk, segment, lead, position } = large;
    const payload = REF_BLOCK_OFFSET + (lead > 0 ? BLOCK_SIZE : 0);
    // The log takes nothing else before it, a move of its start included.
    if (!this.hasFreeingRoom(payload)) return -1;
    const staged = this.#arena.allocate(REF_BLOCK_OFFSET);
    if (staged < 0) return -1;
    const { view, bytes } = this.#memory;
    view.setUint32(staged, segment.index.checksums[chunk.extent]!, true);
    view.setUint32(staged + 4, 0, true);
    const header = chunk.addressOf(position);
    bytes.copyWithin(staged + REF_HEADER_OFFSET, header, header + REF_HEADER_BYTES);
    const lsn = this.journal.begin(
      JournalRecordType.REF,
      log.groupId,
      log.incarnation,
      log.lastTerm,
      lead,
      large.firstIndex,
      segment.generation,
      position,
      log.nextSequence(),
      payload,
    );
    this.journal.addPayload(staged, REF_BLOCK_OFFSET);
    if (lead > 0) this.journal.addPayload(chunk.address, BLOCK_SIZE);
    this.#arena.release(staged);
    large.recorded = true;
    this.#notice(log, lsn);
    return lsn;
  }

  /** False: no room, or no memory to stage the payload in. */
  meta(log: PartitionLog, entry: MetaEntry): boolean {
    return this.#staged(
      log,
      JournalRoom.FREEING,
      JournalRecordType.META,
      entry.kind,
      entry.term,
      entry.index,
      entry.offset,
      entry.payload,
    );
  }

  /** The group begins (again) with the state in `row`. */
  create(log: PartitionLog, row: Uint8Array<ArrayBuffer>): boolean {
    return this.#staged(log, JournalRoom.ORDINARY, JournalRecordType.CREATE, 0, 0, 0, 0, row);
  }

  /** The same of a group whose segments all go. */
  createAnew(log: PartitionLog, row: Uint8Array<ArrayBuffer>): boolean {
    return this.#staged(log, JournalRoom.FREEING, JournalRecordType.CREATE, 0, 0, 0, 0, row);
  }

  hard(log: PartitionLog): void {
    this.#small(log, JournalRecordType.HARD, log.hardTerm, log.hardVote, 0, 0);
  }

  /** The log ends at `position` of the segment with this generation. */
  truncate(log: PartitionLog, position: number, generation: number): number {
    const type = JournalRecordType.TRUNCATE;
    return this.#small(log, type, generation, log.lastIndex, log.endOffset, position);
  }

  prefix(log: PartitionLog): number {
    const type = JournalRecordType.PREFIX;
    return this.#small(log, type, 0, log.startIndex, log.startOffset, log.startTerm);
  }

  delete(log: PartitionLog): number {
    return this.#small(log, JournalRecordType.DELETE, 0, 0, 0, 0);
  }

  /** Waits until everything up to `lsn` is durable. */
  durable(lsn: number): Task<number> {
    return io((done) => this.onceDurable(lsn, done));
  }

  /** Completes with 0 once `lsn` is durable; at once if it is already. */
  onceDurable(lsn: number, done: Completion): void {
    if (lsn <= this.journal.durableLsn) done.complete(0, 0);
    else this.#waiters.push({ lsn, done });
  }

  /** Gives the notices of a completed journal write. */
  onDurable(lsn: number): void {
    while (this.#count > 0 && this.#lsns[this.#head]! <= lsn) {
      const at = this.#head;
      const log = this.#logs[at]!;
      this.#logs[at] = null;
      this.#head = (at + 1) & (this.#lsns.length - 1);
      this.#count--;
      log.reachDurable(this.#indexes[at]!, this.#offsets[at]!, this.#hards[at]!);
    }
    if (this.#waiters.length === 0) return;
    const due = this.#waiters.filter((waiter) => waiter.lsn <= lsn);
    if (due.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.lsn > lsn);
    for (const waiter of due) waiter.done.complete(0, 0);
  }

  #small(
    log: PartitionLog,
    type: JournalRecordType,
    term: number,
    a: number,
    b: number,
    c: number,
  ): number {
    const { groupId, incarnation } = log;
    const lsn = this.journal.record(
      type,
      groupId,
      incarnation,
      term,
      0,
      a,
      b,
      c,
      log.nextSequence(),
      0,
      0,
    );
    this.#notice(log, lsn);
    return lsn;
  }

  #staged(
    log: PartitionLog,
    room: JournalRoom,
    type: JournalRecordType,
    small: number,
    term: number,
    a: number,
    b: number,
    payload: Uint8Array<ArrayBuffer>,
  ): boolean {
    if (!this.#hasRoom(payload.length, room)) return false;
    let address = 0;
    if (payload.length > 0) {
      address = this.#arena.allocate(payload.length);
      if (address < 0) return false;
      this.#memory.bytes.set(payload, address);
    }
    const { groupId, incarnation } = log;
    const lsn = this.journal.record(
      type,
      groupId,
      incarnation,
      term,
      small,
      a,
      b,
      0,
      log.nextSequence(),
      address,
      payload.length,
    );
    if (payload.length > 0) this.#arena.release(address);
    this.#notice(log, lsn);
    return true;
  }

  #notice(log: PartitionLog, lsn: number): void {
    assert(lsn >= 0, "a record was refused after the room for it was checked");
    this.recordedLsn = lsn;
    let at = log.noticeAt;
    if (log.noticeLsn !== lsn) {
      if (this.#count === this.#lsns.length) this.#grow();
      at = (this.#head + this.#count++) & (this.#lsns.length - 1);
      this.#lsns[at] = lsn;
      this.#logs[at] = log;
      log.noticeLsn = lsn;
      log.noticeAt = at;
    }
    const unrecorded = log.unrecorded;
    this.#indexes[at] = unrecorded === null ? log.lastIndex : unrecorded.firstIndex - 1;
    this.#offsets[at] = unrecorded === null ? log.endOffset : unrecorded.baseOffset;
    this.#hards[at] = log.hardVersion;
  }

  #grow(): void {
    const old = this.#lsns.length;
    const logs = new Array<PartitionLog | null>(old * 2).fill(null);
    const columns = [this.#lsns, this.#indexes, this.#offsets, this.#hards];
    const larger = columns.map(() => new Float64Array(old * 2));
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#head + i) & (old - 1);
      logs[i] = this.#logs[from]!;
      if (logs[i]!.noticeAt === from) logs[i]!.noticeAt = i;
      for (let c = 0; c < columns.length; c++) larger[c]![i] = columns[c]![from]!;
    }
    this.#logs = logs;
    [this.#lsns, this.#indexes, this.#offsets, this.#hards] = larger as [
      Float64Array<ArrayBuffer>,
      Float64Array<ArrayBuffer>,
      Float64Array<ArrayBuffer>,
      Float64Array<ArrayBuffer>,
    ];
    this.#head = 0;
  }
}
