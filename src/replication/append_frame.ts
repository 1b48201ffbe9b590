/**
 * One APPEND on its way to a peer: what is read from the log for it, and what stays pinned until it has left.
 *
 * ```text
 *   idle ── begin ──► reading ──► read ── offer: QUEUED ──► in flight ── onFrameOver ──► idle
 *                                  ▲  └── FULL ──► waits for room, is offered again
 *                                  └───────────────┘
 * ```
 *
 * A frame holds meta entries, then records up to the next meta entry. Pooled: the owner makes as many as may be
 * in flight.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { RangeList } from "../bytes/range_list.ts";
import type { Completion } from "../io/completion.ts";
import type { FrameOwner } from "../rpc/frame_queue.ts";
import type { MetaEntry } from "../storage/log.ts";
import { ReadError } from "../storage/log.ts";
import { LogRead } from "../storage/log_read.ts";
import { batchBaseOffset } from "../wire/record_batch.ts";
import {
  APPEND_HEAD_SIZE,
  encodeAppendHead,
  encodeMeta,
  encodeRow,
  METAS_PER_FRAME_MAX,
  metaSize,
} from "./frames.ts";
import type { GroupReplica } from "./group_replica.ts";

/** Bytes of a frame before its records, at most. */
export const APPEND_HEAD_MAX = 16 * 1024;

/** Who owns the frames of a shard. */
export interface AppendFrameOwner {
  /** What was asked for is read, or cannot be. */
  onRead(frame: AppendFrame): void;
  /** It has left, or its connection is gone: it may be used again, and its records are not pinned any more. */
  onOver(frame: AppendFrame): void;
}

export class AppendFrame implements Completion, FrameOwner {
  readonly #owner: AppendFrameOwner;
  readonly #view: DataView;
  readonly #read = new LogRead(this);
  #replica: GroupReplica | null = null;
  node = -1;
  term = 0;
  /** The entry that was asked for. */
  fromIndex = 0;
  /** First and last entry in the frame; none when the last is before the first. */
  firstIndex = 0;
  lastIndex = 0;
  readonly metas: MetaEntry[] = [];
  readonly ranges = new RangeList(16);
  /** Bytes before the records. */
  headBytes = 0;
  error: ReadError = ReadError.NONE;
  #waiting = false;
  #released = true;

  /** @param view of the region, in which batches lie */
  constructor(owner: AppendFrameOwner, view: DataView) {
    this.#owner = owner;
    this.#view = view;
  }

  get replica(): GroupReplica {
    assert(this.#replica !== null, "an idle frame");
    return this.#replica;
  }

  get isEmpty(): boolean {
    return this.lastIndex < this.firstIndex;
  }

  get bytes(): number {
    return this.headBytes + this.ranges.bytes;
  }

  /** Reads entries from `fromIndex` on; `onRead` follows, perhaps from inside this call. */
  begin(replica: GroupReplica, node: number, fromIndex: number, bytesMax: number): void {
    assert(this.#replica === null, "a frame in use");
    const { log } = replica;
    this.#replica = replica;
    this.node = node;
    this.term = replica.raft.term;
    this.fromIndex = fromIndex;
    this.firstIndex = fromIndex;
    this.lastIndex = fromIndex - 1;
    this.error = ReadError.NONE;
    this.ranges.clear();
    this.metas.length = 0;
    this.headBytes = APPEND_HEAD_SIZE;
    let meta = log.metaFrom(fromIndex);
    while (meta !== null && meta.index === this.lastIndex + 1) {
      const size = metaSize(meta.payload.length);
      if (this.metas.length === METAS_PER_FRAME_MAX || this.headBytes + size > APPEND_HEAD_MAX) {
        return this.#owner.onRead(this);
      }
      this.metas.push(meta);
      this.headBytes += size;
      this.lastIndex++;
      meta = log.metaFrom(this.lastIndex + 1);
    }
    // A batch in which the log starts is read from the log start on, and comes whole.
    if (this.lastIndex < log.startIndex) this.lastIndex = log.startIndex;
    const next = this.lastIndex + 1;
    const room = bytesMax - this.headBytes;
    if (next > log.lastIndex || (room <= 0 && this.metas.length > 0)) {
      return this.#owner.onRead(this);
    }
    const read = this.#read;
    read.offset = log.offsetAt(next);
    read.maxBytes = Math.max(1, room);
    read.minOneBatch = this.metas.length === 0;
    read.limitOffset = meta === null ? log.endOffset : meta.offset;
    this.#released = false;
    this.#waiting = true;
    if (log.read(read)) this.#served();
  }

  /** The read that had to wait is served. */
  complete(): void {
    this.#served();
  }

  #served(): void {
    this.#waiting = false;
    const read = this.#read;
    this.error = read.error;
    if (read.error === ReadError.NONE && read.extentCount > 0) {
      const base = batchBaseOffset(this.#view, read.addresses[0]!);
      // The batch that holds the first entry comes whole.
      if (this.metas.length === 0) this.firstIndex = this.lastIndex + 1 - (read.offset - base);
      this.lastIndex += read.nextOffset - read.offset;
      for (let i = 0; i < read.extentCount; i++) {
        this.ranges.push(read.addresses[i]!, read.lengths[i]!);
      }
    }
    this.#owner.onRead(this);
  }

  /** Writes what precedes the records, at the moment of sending. */
  encodeHead(view: DataView, bytes: Uint8Array, at: number): void {
    const { log, raft } = this.replica;
    encodeRow(view, at, log.groupId, raft.appendHeader(this.firstIndex - 1));
    encodeAppendHead(view, at, this.headBytes, this.metas.length, log.offsetAt(this.firstIndex));
    let to = at + APPEND_HEAD_SIZE;
    for (const { kind, term, payload } of this.metas) {
      encodeMeta(view, bytes, to, kind, term, payload);
      to += metaSize(payload.length);
    }
  }

  onFrameOver(): void {
    this.end();
  }

  /** Gives back what is pinned. */
  end(): void {
    assert(!this.#waiting, "ended a frame that is being read");
    if (!this.#released) this.#read.release();
    this.#released = true;
    this.ranges.clear();
    this.metas.length = 0;
    this.#replica = null;
    this.#owner.onOver(this);
  }
}
