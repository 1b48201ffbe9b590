/**
 * A replica that leads, steps down, cuts and commits when a test says so.
 *
 * @module
 */

import { PartitionImage, type TopicImage } from "../cluster/image.ts";
import {
  NOT_LEADER,
  type Replica,
  type ReplicaListener,
  type ReplicaStatus,
} from "../replication/replica.ts";
import type { Log } from "../storage/log.ts";
import { Partition, type PartitionOwner } from "./partition.ts";
import { ManualLog } from "./test_manual_log.ts";

export class FakeReplica implements Replica {
  readonly manual: ManualLog;
  readonly log: Log;
  listener: ReplicaListener | null = null;
  term = 0;
  leaderId = -1;
  leading = false;
  handingOver = false;
  undecided = false;
  opening = false;
  heirId = -1;
  heirEpoch = 0;
  transferring = false;
  successor = (): number => -1;
  /** To whom leadership was to be handed. */
  readonly transfers: number[] = [];
  readonly readOnly = false;
  overruled = false;
  commitIndex = 0;
  commitOffset = 0;
  trimmedIndex = -1;
  inSyncCount = 1;
  voterCount = 1;
  isAlone = true;
  /** By number of copies: what is as safe as that; everything committed where it is not said. */
  readonly safe = new Map<number, number>();
  /** Batches of which it was told. */
  appends = 0;
  closed = false;

  constructor(log = new ManualLog()) {
    this.manual = log;
    this.log = log as unknown as Log;
  }

  get batchBytesMax(): number {
    return this.manual.appendBytesMax;
  }

  /** This node is elected, and its no-op is committed with everything before it. */
  lead(term: number): void {
    this.term = term;
    this.leaderId = 0;
    this.leading = true;
    this.manual.lastTerm = term;
    this.manual.lastIndex++;
    this.flush();
    this.commitIndex = this.manual.lastIndex;
    this.commitOffset = this.manual.endOffset;
    this.listener!.onLeading(term);
    this.listener!.onCommitted();
  }

  /** Another node leads, or none does (-1). */
  follow(term: number, leaderId: number): void {
    this.term = term;
    this.leaderId = leaderId;
    this.leading = false;
    this.listener!.onFollowing(term, leaderId);
  }

  /** What is beyond `offset` is cut off, with the records in between counted by index. */
  cut(offset: number): void {
    this.manual.lastIndex -= this.manual.endOffset - offset;
    this.manual.endOffset = offset;
    this.listener!.onCut(this.manual.lastIndex);
  }

  /** Everything is durable on this node. */
  flush(): void {
    this.manual.durableIndex = this.manual.lastIndex;
    this.manual.durableEndOffset = this.manual.endOffset;
    this.listener!.onDurable();
  }

  /** A majority has everything. */
  commit(): void {
    this.commitIndex = this.manual.lastIndex;
    this.commitOffset = this.manual.endOffset;
    this.listener!.onCommitted();
  }

  /** A follower acknowledged something. */
  replicate(): void {
    this.listener!.onReplicated();
  }

  inSyncOffset(node: number): number {
    return node < this.inSyncCount ? this.manual.endOffset : -1;
  }

  safeOffset(copies: number): number {
    return Math.min(this.commitOffset, this.safe.get(copies) ?? Infinity);
  }

  transfer(node: number): number {
    this.transfers.push(node);
    return 0;
  }

  start(): void {}

  force(): void {}

  status(): ReplicaStatus {
    return { role: this.leading ? "leader" : "follower", isChanging: false, members: [] };
  }

  appended(): void {
    this.appends++;
  }

  proposeTrim(): number {
    return this.leading ? ++this.manual.lastIndex : NOT_LEADER;
  }

  close(): void {
    this.closed = true;
    this.listener = null;
  }
}

/** A partition over a replica that does nothing by itself. */
export function fakePartition(
  told: Partial<PartitionOwner> = {},
): { readonly partition: Partition; readonly replica: FakeReplica } {
  const image = new PartitionImage({
    topic: {} as TopicImage,
    index: 0,
    groupId: 1,
    replicas: [0, 1],
    incarnations: [],
  });
  const replica = new FakeReplica();
  const nothing = (): void => {};
  const owner = { onWritable: nothing, onLeading: nothing, onFollowing: nothing, ...told };
  const partition = new Partition(image, replica, owner);
  replica.start();
  return { partition, replica };
}
