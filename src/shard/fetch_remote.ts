/**
 * Fetch parts between shards.
 *
 * The asking shard lists its parts in a table in its own memory; the owner reads them, writes the
 * answers into the table and the extents of the records into a block of its own, and keeps the records
 * pinned until the asking shard has sent them (FETCH_RELEASE). Records are sent from the owner's cache:
 * nothing is copied between shards.
 *
 * ```text
 *   entry, 128 bytes, little-endian:
 *    0 f64 group id             40 f64 high watermark       72 f64 diverging end offset
 *    8 f64 fetch offset         48 f64 last stable offset   80 i32 diverging epoch
 *   16 i32 max bytes            56 f64 log start offset     84 u32 first extent
 *   20 i32 current epoch        64 f64 bytes                88 u32 extents
 *   24 i32 last fetched epoch   28 i32 error                92 u32 1: records were left out for want of room
 *   96 i32 replicas near by                                100 i32 preferred replica, or -1
 *  104 u32 aborted transactions                            112 f64 next offset
 *
 *   extents: pairs of f64 address, f64 length; behind those of an entry, its aborted transactions: pairs of f64
 *   producer id, f64 first offset
 * ```
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import type { RemoteFetch } from "../kafka/fetch.ts";
import type { FetchOperation } from "../kafka/fetch_operation.ts";
import type { FetchPart } from "../kafka/fetch_part.ts";
import { FetchRead, type FetchReadOwner, NO_RACK, NONE_ABORTED } from "../kafka/fetch_read.ts";
import type { DataWaiter, PartitionDirectory } from "../kafka/partition.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { Calls, OpenCall } from "./calls.ts";
import { messageArgument } from "./mailbox.ts";
import { MessageType } from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import type { RemoteNews } from "./remote_news.ts";
import type { ShardMemory } from "./shard_memory.ts";

const ENTRY_SIZE = 128;
const EXTENT_SIZE = 16;

/** What one shard holds pinned for an operation. */
class Pinned {
  readonly shard: number;
  readonly id: number;

  constructor(shard: number, id: number) {
    this.shard = shard;
    this.id = id;
  }
}

/** One table that is at another shard. */
class SentTable implements OpenCall {
  readonly #owner: ShardRemoteFetch;
  readonly operation: FetchOperation;
  readonly parts: FetchPart[];
  readonly table: number;

  constructor(
    owner: ShardRemoteFetch,
    operation: FetchOperation,
    parts: FetchPart[],
    table: number,
  ) {
    this.#owner = owner;
    this.operation = operation;
    this.parts = parts;
    this.table = table;
  }

  onReply(fromShard: number, view: DataView, at: number): void {
    this.#owner.takeReply(
      this,
      fromShard,
      messageArgument(view, at, 0),
      messageArgument(view, at, 1),
    );
  }
}

/** One table of another shard that is read here. */
class ServedTable implements FetchReadOwner {
  readonly #owner: ShardRemoteFetch;
  readonly fromShard: number;
  readonly call: number;
  readonly table: number;
  readonly reads: FetchRead[] = [];
  /** No records could be pinned. */
  readonly starved: boolean;
  pending = 1;
  extents = -1;

  constructor(
    owner: ShardRemoteFetch,
    fromShard: number,
    call: number,
    table: number,
    starved: boolean,
  ) {
    this.#owner = owner;
    this.starved = starved;
    this.fromShard = fromShard;
    this.call = call;
    this.table = table;
  }

  onFetchRead(): void {
    this.pending--;
    if (this.pending === 0) this.#owner.reply(this);
  }
}

export class ShardRemoteFetch implements RemoteFetch {
  readonly #memory: Memory;
  readonly #blocks: ShardMemory;
  readonly #calls: Calls;
  readonly #partitions: PartitionDirectory;
  readonly #news: RemoteNews;
  readonly #outbox: Outbox;
  /** Bytes of this shard's records that may be pinned now. */
  readonly #pinRoom: () => number;
  readonly #outgoing: FetchPart[][];
  readonly #pinnedBy = new Map<FetchOperation, Pinned[]>();
  readonly #served = new Map<number, ServedTable>();
  #nextServed = 0;
  // The last wait for a credit or memory that was noted: one is enough for all parts of an operation.
  #starved: DataWaiter | null = null;
  #starvedEpoch = 0;

  constructor(
    carriers: {
      readonly memory: Memory;
      readonly blocks: ShardMemory;
      readonly calls: Calls;
      readonly outbox: Outbox;
    },
    partitions: PartitionDirectory,
    news: RemoteNews,
    pinRoom: () => number,
  ) {
    this.#pinRoom = pinRoom;
    this.#memory = carriers.memory;
    this.#blocks = carriers.blocks;
    this.#calls = carriers.calls;
    this.#partitions = partitions;
    this.#news = news;
    this.#outbox = carriers.outbox;
    this.#outgoing = Array.from({ length: this.#calls.mailboxes.shardCount }, () => []);
  }

  add(part: FetchPart): void {
    this.#outgoing[part.shard]!.push(part);
  }

  send(operation: FetchOperation, maxBytes: number): number {
    let sent = 0;
    for (let shard = 0; shard < this.#outgoing.length; shard++) {
      if (this.#outgoing[shard]!.length === 0) continue;
      const parts = this.#outgoing[shard]!.splice(0);
      if (this.#sendTable(shard, operation, parts, maxBytes)) sent++;
    }
    return sent;
  }

  release(operation: FetchOperation): void {
    const pinned = this.#pinnedBy.get(operation);
    if (pinned === undefined) return;
    this.#pinnedBy.delete(operation);
    for (const { shard, id } of pinned) {
      this.#outbox.send(shard, MessageType.FETCH_RELEASE, 0, id);
    }
  }

  awaitData(part: FetchPart, waiter: DataWaiter): void {
    if (part.remote.unread) {
      this.#awaitQuestion(part.shard, waiter);
      return;
    }
    const { shard, groupId, remote, near } = part;
    this.#news.awaitData(shard, groupId, remote.highWatermark, waiter, near !== NO_RACK);
  }

  /** The other shard has read. */
  takeReply(sent: SentTable, shard: number, pinnedId: number, extents: number): void {
    const { operation, parts, table } = sent;
    const { view } = this.#memory;
    for (let entry = 0; entry < parts.length; entry++) {
      const at = table + entry * ENTRY_SIZE;
      const result = parts[entry]!.remote;
      result.unread = view.getUint32(at + 92, true) !== 0;
      result.lacksCredit = false;
      result.error = view.getInt32(at + 28, true);
      result.highWatermark = view.getFloat64(at + 40, true);
      result.lastStableOffset = view.getFloat64(at + 48, true);
      result.startOffset = view.getFloat64(at + 56, true);
      result.bytes = view.getFloat64(at + 64, true);
      result.divergingEndOffset = view.getFloat64(at + 72, true);
      result.divergingEpoch = view.getInt32(at + 80, true);
      result.preferredReplica = view.getInt32(at + 100, true);
      result.nextOffset = view.getFloat64(at + 112, true);
      const first = view.getUint32(at + 84, true);
      const count = view.getUint32(at + 88, true);
      result.addresses.length = 0;
      result.lengths.length = 0;
      for (let i = 0; i < count; i++) {
        const from = extents + (first + i) * EXTENT_SIZE;
        result.addresses.push(view.getFloat64(from, true));
        result.lengths.push(view.getFloat64(from + 8, true));
      }
      const aborted = view.getUint32(at + 104, true);
      result.aborted = aborted === 0
        ? NONE_ABORTED
        : numbersAt(view, extents + (first + count) * EXTENT_SIZE, 2 * aborted);
    }
    this.#blocks.releaseResponse(table);
    let pinned = this.#pinnedBy.get(operation);
    if (pinned === undefined) {
      pinned = [];
      this.#pinnedBy.set(operation, pinned);
    }
    pinned.push(new Pinned(shard, pinnedId));
    operation.readDone();
  }

  /** A FETCH message came. */
  onFetch(fromShard: number, call: number, view: DataView, at: number): void {
    const table = messageArgument(view, at, 0);
    const count = messageArgument(view, at, 1);
    const pinRoom = this.#pinRoom();
    let room = Math.min(messageArgument(view, at, 2), Math.max(0, pinRoom));
    const isolation = messageArgument(view, at, 3);
    const served = new ServedTable(this, fromShard, call, table, pinRoom <= 0);
    const region = this.#memory.view;
    let first = pinRoom > 0;
    for (let entry = 0; entry < count; entry++) {
      const from = table + entry * ENTRY_SIZE;
      const read = new FetchRead();
      read.fetchOffset = region.getFloat64(from + 8, true);
      read.maxBytes = Math.max(0, Math.min(room, region.getInt32(from + 16, true)));
      read.currentLeaderEpoch = region.getInt32(from + 20, true);
      read.lastFetchedEpoch = region.getInt32(from + 24, true);
      read.near = region.getInt32(from + 96, true);
      read.isolation = isolation;
      read.minOneBatch = first;
      served.reads.push(read);
      if (read.start(this.#partitions, region.getFloat64(from, true), served)) {
        room -= read.bytes;
        if (read.bytes > 0) first = false;
      } else {
        served.pending++;
        room -= read.maxBytes;
        first = false;
      }
    }
    served.onFetchRead();
  }

  /** A FETCH_RELEASE message came. */
  onRelease(view: DataView, at: number): void {
    const id = messageArgument(view, at, 0);
    const served = this.#served.get(id)!;
    this.#served.delete(id);
    for (const read of served.reads) read.release();
    if (served.extents >= 0) this.#blocks.releaseResponse(served.extents);
  }

  /** Everything of a table is read: writes the answers and notifies the asking shard. */
  reply(served: ServedTable): void {
    let extents = 0;
    for (const read of served.reads) extents += pairsOf(read);
    if (extents * EXTENT_SIZE > this.#blocks.responseSizeMax) {
      // The list itself would fit into no block: this answer leaves out the shard's records.
      for (const read of served.reads) read.release();
      extents = 0;
    }
    served.extents = extents === 0 ? -1 : this.#blocks.allocateResponse(extents * EXTENT_SIZE);
    if (extents > 0 && served.extents < 0) {
      this.#blocks.whenReleased(() => this.reply(served));
      return;
    }
    const { view } = this.#memory;
    let extent = 0;
    for (let entry = 0; entry < served.reads.length; entry++) {
      const at = served.table + entry * ENTRY_SIZE;
      const read = served.reads[entry]!;
      view.setInt32(at + 28, read.error, true);
      view.setFloat64(at + 40, read.highWatermark, true);
      view.setFloat64(at + 48, read.lastStableOffset, true);
      view.setFloat64(at + 56, read.startOffset, true);
      view.setFloat64(at + 64, read.bytes, true);
      view.setFloat64(at + 72, read.divergingEndOffset, true);
      view.setInt32(at + 80, read.divergingEpoch, true);
      view.setUint32(at + 84, extent, true);
      view.setUint32(at + 88, read.log.extentCount, true);
      const { aborted } = read;
      const isGiven = read.log.extentCount > 0;
      view.setUint32(at + 104, isGiven ? aborted.length / 2 : 0, true);
      const isUnread = read.lacksMemory || (served.starved && read.hasMore);
      view.setUint32(at + 92, isUnread ? 1 : 0, true);
      view.setInt32(at + 100, read.preferredReplica, true);
      view.setFloat64(at + 112, read.log.nextOffset, true);
      for (let i = 0; i < read.log.extentCount; i++) {
        const to = served.extents + extent * EXTENT_SIZE;
        view.setFloat64(to, read.log.addresses[i]!, true);
        view.setFloat64(to + 8, read.log.lengths[i]!, true);
        extent++;
      }
      for (let i = 0; isGiven && i < aborted.length; i++) {
        view.setFloat64(served.extents + extent * EXTENT_SIZE + 8 * i, aborted[i]!, true);
      }
      if (isGiven) extent += aborted.length / 2;
    }
    const id = this.#nextServed++;
    this.#served.set(id, served);
    const { fromShard, call } = served;
    this.#calls.mailboxes.send(fromShard, MessageType.FETCH_REPLY, call, id, served.extents);
  }

  /** Has a part that could not be asked for asked again as soon as that may succeed. */
  #awaitQuestion(shard: number, waiter: DataWaiter): void {
    const epoch = waiter.waitEpoch;
    if (this.#starved === waiter && this.#starvedEpoch === epoch) return;
    this.#starved = waiter;
    this.#starvedEpoch = epoch;
    const again = (): void => {
      if (waiter.waitEpoch === epoch) waiter.onData();
    };
    if (this.#calls.hasCredit(shard)) this.#blocks.whenReleased(again);
    else this.#calls.awaitCredit(again);
  }

  #sendTable(
    shard: number,
    operation: FetchOperation,
    parts: FetchPart[],
    maxBytes: number,
  ): boolean {
    const hasCredit = this.#calls.hasCredit(shard);
    const table = hasCredit ? this.#blocks.allocateResponse(parts.length * ENTRY_SIZE) : -1;
    if (table < 0) {
      // Nothing is read from there this time; the operation asks again if it waits.
      for (const part of parts) noteNothing(part, !hasCredit);
      return false;
    }
    const { view } = this.#memory;
    for (let entry = 0; entry < parts.length; entry++) {
      const at = table + entry * ENTRY_SIZE;
      const { asked, groupId, near } = parts[entry]!;
      view.setFloat64(at, groupId, true);
      view.setFloat64(at + 8, asked.fetchOffset, true);
      view.setInt32(at + 16, asked.maxBytes, true);
      view.setInt32(at + 20, asked.currentLeaderEpoch, true);
      view.setInt32(at + 24, asked.lastFetchedEpoch, true);
      view.setInt32(at + 96, near, true);
    }
    const call = this.#calls.open(shard, new SentTable(this, operation, parts, table));
    this.#calls.mailboxes.send(
      shard,
      MessageType.FETCH,
      call,
      table,
      parts.length,
      maxBytes,
      operation.isolation,
    );
    return true;
  }
}

/** An answer without news: the partition as the client knows it. */
function noteNothing(part: FetchPart, lacksCredit: boolean): void {
  const result = part.remote;
  result.unread = true;
  result.lacksCredit = lacksCredit;
  result.error = ErrorCode.NONE;
  result.highWatermark = part.asked.sentHighWatermark;
  result.lastStableOffset = part.asked.sentHighWatermark;
  result.startOffset = part.asked.sentStartOffset;
  result.divergingEpoch = -1;
  result.divergingEndOffset = -1;
  result.preferredReplica = -1;
  result.bytes = 0;
  result.addresses.length = 0;
  result.lengths.length = 0;
  result.aborted = NONE_ABORTED;
}

/** Pairs of numbers that the answer to a read takes. */
function pairsOf({ log, aborted }: FetchRead): number {
  return log.extentCount === 0 ? 0 : log.extentCount + aborted.length / 2;
}

function numbersAt(view: DataView, at: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => view.getFloat64(at + 8 * i, true));
}
