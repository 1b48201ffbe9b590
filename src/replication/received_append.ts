/**
 * An APPEND frame as it was received: checked whole before the group hears of it.
 *
 * The checks are those of a disk's reader rather than a producer's: batches must be whole, their checksums
 * right, their offsets and terms in order. Whether the records make sense is what the leader looked at.
 *
 * @module
 */

import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import type { AppendRuns } from "../raft/append_runs.ts";
import { decodeConfiguration } from "../raft/configuration.ts";
import { MetaKind, TRIM_PAYLOAD_SIZE } from "../storage/log.ts";
import { isFiller, writeFiller } from "../storage/lost_extent.ts";
import {
  ATTRIBUTES_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_MAGIC,
  batchBaseOffset,
  batchCrc,
  batchLastOffsetDelta,
  batchLeaderEpoch,
  batchMagic,
  batchSize,
} from "../wire/record_batch.ts";
import {
  APPEND_HEAD_SIZE,
  firstOffsetOf,
  META_HEAD_SIZE,
  metaCountOf,
  metaKind,
  metaPayloadBytes,
  METAS_PER_FRAME_MAX,
  metaSize,
  metaTerm,
  recordsAtOf,
} from "./frames.ts";
import type { GroupReplica } from "./group_replica.ts";
import { TERM_MAX } from "../raft/limits.ts";

/** One that is valid until the frame's memory is given back. */
export class ReceivedAppend {
  readonly #memory: Memory;
  readonly #crc32c: Crc32c;
  address = 0;
  metaCount = 0;
  /** Address of the first record batch, and after the last one. */
  recordsAt = 0;
  end = 0;
  /** Offset of the first record after the entry before the frame. */
  firstOffset = 0;
  /** Why the log did not take all of the entries that it was given last; 0: it did. */
  refusal = 0;

  constructor(memory: Memory, crc32c: Crc32c) {
    this.#memory = memory;
    this.#crc32c = crc32c;
  }

  /**
   * Takes the frame at `address`, whose row has been decoded, and lists its entries in `runs`.
   *
   * @returns what is wrong with it, for the log, or null
   */
  wrap(address: number, length: number, prevIndex: number, runs: AppendRuns): string | null {
    if (length < APPEND_HEAD_SIZE) return "an append is too short";
    const { view } = this.#memory;
    const recordsAt = recordsAtOf(view, address);
    this.address = address;
    this.metaCount = metaCountOf(view, address);
    this.firstOffset = firstOffsetOf(view, address);
    this.recordsAt = address + recordsAt;
    this.end = address + length;
    if (recordsAt < APPEND_HEAD_SIZE || recordsAt > length) return "an append without its records";
    if (this.metaCount > METAS_PER_FRAME_MAX) return "an append with too many meta entries";
    if (!Number.isSafeInteger(this.firstOffset) || this.firstOffset < 0) return "a wrong offset";
    runs.begin(prevIndex);
    return this.#listMetas(runs) ?? this.#listRecords(runs);
  }

  #listMetas(runs: AppendRuns): string | null {
    const { view, bytes } = this.#memory;
    let at = this.address + APPEND_HEAD_SIZE;
    for (let i = 0; i < this.metaCount; i++) {
      if (at + META_HEAD_SIZE > this.recordsAt) return "a meta entry is cut";
      const payloadBytes = metaPayloadBytes(view, at);
      if (payloadBytes > this.recordsAt - at - META_HEAD_SIZE) return "a meta entry is cut";
      const kind = metaKind(view, at);
      if (kind === MetaKind.CONFIGURATION) {
        const payload = bytes.slice(at + META_HEAD_SIZE, at + META_HEAD_SIZE + payloadBytes);
        if (decodeConfiguration(payload) === null) return "a configuration makes no sense";
        runs.hasConfiguration = true;
      } else if (kind !== MetaKind.NO_OP && kind !== MetaKind.PREFIX) {
        return "a meta entry of an unknown kind";
      } else if (kind === MetaKind.PREFIX && payloadBytes !== TRIM_PAYLOAD_SIZE) {
        return "a trim makes no sense";
      }
      const term = metaTerm(view, at);
      if (term > TERM_MAX || !runs.add(1, term)) return "terms make no sense";
      at += metaSize(payloadBytes);
    }
    return at === this.recordsAt ? null : "bytes between meta entries and records";
  }

  #listRecords(runs: AppendRuns): string | null {
    const { view } = this.#memory;
    let offset = this.firstOffset;
    for (let at = this.recordsAt; at < this.end;) {
      if (this.end - at < BATCH_HEADER_SIZE) return "a batch is cut";
      const size = batchSize(view, at);
      if (size < BATCH_HEADER_SIZE || size > this.end - at) return "a batch is cut";
      if (batchMagic(view, at) !== BATCH_MAGIC) return "a batch of another format";
      if (batchBaseOffset(view, at) !== offset) return "offsets with a gap";
      const crc = this.#crc32c(at + ATTRIBUTES_OFFSET, size - ATTRIBUTES_OFFSET, 0);
      if (crc !== batchCrc(view, at)) return "a batch does not match its checksum";
      const entries = batchLastOffsetDelta(view, at) + 1;
      if (entries <= 0) return "a batch without records";
      const term = batchLeaderEpoch(view, at);
      if (term <= 0 || term > TERM_MAX || !runs.add(entries, term)) return "terms make no sense";
      offset += entries;
      at += size;
    }
    return null;
  }

  /**
   * Appends the entries from `first` on, until the log refuses one.
   *
   * @param frameFirst the first entry of the frame
   * @param nowMs wall clock
   * @returns what is wrong with them, for the log, or null
   */
  appendTo(
    replica: GroupReplica,
    frameFirst: number,
    first: number,
    nowMs: number,
  ): string | null {
    const { view, bytes } = this.#memory;
    const { log } = replica;
    this.refusal = 0;
    let index = frameFirst;
    let at = this.address + APPEND_HEAD_SIZE;
    for (let i = 0; i < this.metaCount; i++) {
      const payloadBytes = metaPayloadBytes(view, at);
      if (index >= first) {
        const payload = bytes.slice(at + META_HEAD_SIZE, at + META_HEAD_SIZE + payloadBytes);
        const entryTerm = metaTerm(view, at);
        if (entryTerm < log.lastTerm) return `entry ${index} of group ${log.groupId} is too old`;
        const kind = metaKind(view, at) as MetaKind;
        const result = replica.appendReceived(kind, entryTerm, payload);
        if (result < 0) return this.#refused(result);
      }
      index++;
      at += metaSize(payloadBytes);
    }
    let offset = this.firstOffset;
    for (at = this.recordsAt; at < this.end; at += batchSize(view, at)) {
      const entries = batchLastOffsetDelta(view, at) + 1;
      if (index >= first) {
        // Equal entries before it mean equal offsets, and a term opens with an entry of its own.
        if (log.endOffset !== offset || batchLeaderEpoch(view, at) !== log.lastTerm) {
          return `entry ${index} of group ${log.groupId} does not follow`;
        }
        const result = log.append(at, batchSize(view, at), log.lastTerm, nowMs);
        if (result < 0) return this.#refused(result);
      } else if (index + entries > first) {
        const rest = offset + first - index;
        if (!isFiller(view, at)) return "a batch that is there in part";
        if (log.endOffset !== rest || batchLeaderEpoch(view, at) !== log.lastTerm) {
          return `entry ${first} of group ${log.groupId} does not follow`;
        }
        const result = this.#appendRest(replica, at, rest, nowMs);
        if (result < 0) return this.#refused(result);
      }
      index += entries;
      offset += entries;
    }
    return null;
  }

  /**
   * Appends what a batch without records has from `offset` on: the leader has put it in the place of several, the first of which are
   * here.
   */
  #appendRest({ log }: GroupReplica, at: number, offset: number, nowMs: number): number {
    const { view, bytes } = this.#memory;
    const memory = { memory: this.#memory, crc32c: this.#crc32c };
    const term = batchLeaderEpoch(view, at);
    const end = batchBaseOffset(view, at) + batchLastOffsetDelta(view, at) + 1;
    // The frame may be looked at again.
    const header = bytes.slice(at, at + BATCH_HEADER_SIZE);
    writeFiller(memory, at, offset, end - offset, term);
    const result = log.append(at, BATCH_HEADER_SIZE, term, nowMs);
    bytes.set(header, at);
    return result;
  }

  #refused(refusal: number): null {
    this.refusal = refusal;
    return null;
  }
}
