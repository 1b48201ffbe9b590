/**
 * SNAPSHOTs on their way to peers whose logs end before the sender's begins.
 *
 * Each is made in steps: the header of the batch that holds the log start is read, because a snapshot ends before
 * a whole batch; the state of the producers is encoded into a block of memory; the frame is sent from there.
 *
 * @module
 */

import { SNAPSHOT_PRODUCERS_BYTES_MAX, SNAPSHOTS_SENT_MAX } from "../base/limits.ts";
import type { Memory } from "../bytes/memory.ts";
import { RangeList } from "../bytes/range_list.ts";
import type { Completion } from "../io/completion.ts";
import type { FrameOwner } from "../rpc/frame_queue.ts";
import { ReadError } from "../storage/log.ts";
import { LogRead } from "../storage/log_read.ts";
import { committedProducers } from "../storage/producer_snapshot.ts";
import { batchBaseOffset } from "../wire/record_batch.ts";
import type { FrameSender } from "./frame_sender.ts";
import { ReplicationFrame } from "./frames.ts";
import type { GroupReplica } from "./group_replica.ts";
import { encodeSnapshot } from "./snapshot_frame.ts";

export interface SnapshotHost extends FrameSender {
  readonly memory: Memory;
  readonly allocate: (size: number) => number;
  readonly release: (address: number) => void;
  /** A snapshot will not be sent; its group hears of it when the turn ends. */
  onSnapshotUnsent(replica: GroupReplica, node: number, term: number): void;
}

export class SnapshotSender {
  readonly host: SnapshotHost;
  /** Snapshots that are being made or sent. */
  #open = 0;

  constructor(host: SnapshotHost) {
    this.host = host;
  }

  /** Makes and sends the snapshot of a group to a node. The group is told what became of it, now or later. */
  begin(replica: GroupReplica, node: number): void {
    if (this.#open === SNAPSHOTS_SENT_MAX) {
      this.host.onSnapshotUnsent(replica, node, replica.raft.term);
      return;
    }
    this.#open++;
    new Sending(this, replica, node).begin();
  }

  onOver(): void {
    this.#open--;
  }
}

class Sending implements Completion, FrameOwner {
  readonly #sender: SnapshotSender;
  readonly #replica: GroupReplica;
  readonly #node: number;
  readonly #term: number;
  readonly #startIndex: number;
  readonly #read = new LogRead(this);
  #block = -1;

  constructor(sender: SnapshotSender, replica: GroupReplica, node: number) {
    this.#sender = sender;
    this.#replica = replica;
    this.#node = node;
    this.#term = replica.raft.term;
    this.#startIndex = replica.log.startIndex;
  }

  begin(): void {
    const { log } = this.#replica;
    if (log.startOffset === log.endOffset) return this.#send();
    const read = this.#read;
    read.offset = log.startOffset;
    read.maxBytes = 1;
    read.limitOffset = log.endOffset;
    if (log.read(read)) this.complete();
  }

  /** The first batch is there, or cannot be read. */
  complete(): void {
    const read = this.#read;
    const { log, raft } = this.#replica;
    const isRead = read.error === ReadError.NONE && read.extentCount > 0;
    const { memory: { view } } = this.#sender.host;
    const baseOffset = isRead ? batchBaseOffset(view, read.addresses[0]!) : 0;
    read.release();
    const isStale = raft.term !== this.#term || log.startIndex !== this.#startIndex;
    if (!isRead || isStale || this.#replica.isClosed) return this.#giveUp();
    const entriesBefore = log.startOffset - baseOffset;
    this.#replica.noteBoundary(this.#startIndex, this.#startIndex - entriesBefore);
    this.#send();
  }

  #send(): void {
    const { host } = this.#sender;
    const replica = this.#replica;
    const { log, raft, firstIndex } = replica;
    const producers = committedProducers(log.producers, SNAPSHOT_PRODUCERS_BYTES_MAX);
    const ranges = new RangeList(1);
    if (producers.length > 0) {
      this.#block = host.allocate(producers.length);
      if (this.#block < 0) return this.#giveUp();
      host.memory.bytes.set(producers, this.#block);
      ranges.push(this.#block, producers.length);
    }
    const before = firstIndex - 1;
    const point = { offset: log.offsetAt(firstIndex), producersBytes: producers.length };
    const head = encodeSnapshot(log, raft.snapshotHeader(before, log.startTerm), point);
    const type = ReplicationFrame.SNAPSHOT;
    if (!host.sendFrame(type, log.groupId, this.#node, head, ranges, this)) return this.#giveUp();
    replica.snapshotSent(this.#node, this.#term, before);
  }

  #giveUp(): void {
    this.#sender.host.onSnapshotUnsent(this.#replica, this.#node, this.#term);
    this.#end();
  }

  onFrameOver(): void {
    this.#end();
  }

  #end(): void {
    if (this.#block >= 0) this.#sender.host.release(this.#block);
    this.#block = -1;
    this.#sender.onOver();
  }
}
