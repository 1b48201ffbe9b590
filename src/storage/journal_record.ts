/**
 * Reads one record of the journal, by the names that its fields have in its type.
 *
 * The record's bytes are described in `journal_format.ts`; which of its general fields means what in which type, in
 * `group_journal.ts`. Replay reads `record.batch.position`, never "field c".
 *
 * @module
 */

import { getInt64Le } from "../bytes/int64.ts";
import type { Memory } from "../bytes/memory.ts";
import {
  RECORD_A_OFFSET,
  RECORD_B_OFFSET,
  RECORD_C_OFFSET,
  RECORD_D_OFFSET,
  RECORD_GROUP_OFFSET,
  RECORD_HEADER_SIZE,
  RECORD_INCARNATION_OFFSET,
  RECORD_PAYLOAD_LENGTH_OFFSET,
  RECORD_SMALL_OFFSET,
  RECORD_TERM_OFFSET,
  RECORD_TYPE_OFFSET,
  REF_HEADER_OFFSET,
} from "./journal_format.ts";
import type { MetaKind } from "./log.ts";

/**
 * A record of a write whose blocks' payloads lie together in the region.
 *
 * One instance is enough; it is valid until the next `wrap`, and its memory until the visitor returns.
 */
export class JournalRecord {
  view: DataView<ArrayBuffer>;
  bytes: Uint8Array<ArrayBuffer>;
  offset: number;
  /** LSN of the write that carried it. */
  lsn: number;
  /** Where that write lies: an extent of the journal, and the position in it. */
  path = "";
  position = 0;

  /** The fields of an APPEND or REF record. */
  readonly batch: BatchFields = new BatchFields(this);
  /** The fields of a META record. */
  readonly meta: MetaFields = new MetaFields(this);
  /** The fields of a HARD record; its term is the record's. */
  readonly hard: HardFields = new HardFields(this);
  /** The fields of a TRUNCATE record. */
  readonly cut: CutFields = new CutFields(this);
  /** The fields of a PREFIX record. */
  readonly prefix: PrefixFields = new PrefixFields(this);

  constructor(memory: Memory) {
    this.view = memory.view;
    this.bytes = memory.bytes;
    this.offset = 0;
    this.lsn = 0;
  }

  wrap(offset: number, lsn: number): this {
    this.offset = offset;
    this.lsn = lsn;
    return this;
  }

  get type(): number {
    return this.view.getUint8(this.offset + RECORD_TYPE_OFFSET);
  }
  get groupId(): number {
    return getInt64Le(this.view, this.offset + RECORD_GROUP_OFFSET);
  }
  get incarnation(): number {
    return this.view.getUint32(this.offset + RECORD_INCARNATION_OFFSET, true);
  }
  /** The entry's term, or the hard state's. */
  get term(): number {
    return this.view.getUint32(this.offset + RECORD_TERM_OFFSET, true);
  }
  /** Number of the record among its group's: replay continues after the one in the checkpoint row. */
  get sequence(): number {
    return getInt64Le(this.view, this.offset + RECORD_D_OFFSET);
  }
  get payloadLength(): number {
    return this.view.getUint32(this.offset + RECORD_PAYLOAD_LENGTH_OFFSET, true);
  }
  /** Address of the payload in the region, contiguous. */
  get payloadAddress(): number {
    return this.offset + RECORD_HEADER_SIZE;
  }
}

/** What the fields of a type share: the record, and how its general fields are read. */
class Fields {
  protected readonly record: JournalRecord;

  constructor(record: JournalRecord) {
    this.record = record;
  }

  protected small(): number {
    return this.record.view.getUint16(this.record.offset + RECORD_SMALL_OFFSET, true);
  }

  protected integer(at: number): number {
    return getInt64Le(this.record.view, this.record.offset + at);
  }
}

/** A batch, and where it lies in its segment. */
class BatchFields extends Fields {
  /** Bytes before the batch that the record repeats: all of its first block's, or none. */
  get carriedBytes(): number {
    return this.small();
  }
  get firstIndex(): number {
    return this.integer(RECORD_A_OFFSET);
  }
  /** Of the segment. */
  get generation(): number {
    return this.integer(RECORD_B_OFFSET);
  }
  /** Of the batch in the segment (bytes). */
  get position(): number {
    return this.integer(RECORD_C_OFFSET);
  }
  /** Address of an APPEND record's batch. */
  get address(): number {
    return this.record.payloadAddress + this.carriedBytes;
  }
  /** Bytes of an APPEND record's batch. */
  get length(): number {
    return this.record.payloadLength - this.carriedBytes;
  }
  /** Address of the beginning of a REF record's batch. */
  get referenceAddress(): number {
    return this.record.payloadAddress + REF_HEADER_OFFSET;
  }
}

/** An entry that holds no batch. */
class MetaFields extends Fields {
  get kind(): MetaKind {
    return this.small() as MetaKind;
  }
  get index(): number {
    return this.integer(RECORD_A_OFFSET);
  }
  /** Offset of the record that comes next. */
  get nextOffset(): number {
    return this.integer(RECORD_B_OFFSET);
  }
}

/** Raft's hard state. */
class HardFields extends Fields {
  /** Node that has the vote, or -1. */
  get vote(): number {
    return this.integer(RECORD_A_OFFSET);
  }
}

/** The new end of a log that was cut. */
class CutFields extends Fields {
  /** Of the segment that is the last one then. */
  get generation(): number {
    return this.record.term;
  }
  get lastIndex(): number {
    return this.integer(RECORD_A_OFFSET);
  }
  get endOffset(): number {
    return this.integer(RECORD_B_OFFSET);
  }
  /** Bytes that the segment keeps. */
  get position(): number {
    return this.integer(RECORD_C_OFFSET);
  }
}

/** The new start of a log. */
class PrefixFields extends Fields {
  get startIndex(): number {
    return this.integer(RECORD_A_OFFSET);
  }
  get startOffset(): number {
    return this.integer(RECORD_B_OFFSET);
  }
  /** Term of the last entry before the start. */
  get startTerm(): number {
    return this.integer(RECORD_C_OFFSET);
  }
}
