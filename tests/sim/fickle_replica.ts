/**
 * A group of one whose leadership a test may take away and give back, as the votes of other nodes would.
 *
 * While another node leads, this one follows it in a term of its own. The records that were not committed by
 * then stay in the log, and are committed with the no-op of the next leadership here.
 *
 * @module
 */

import { assert } from "../../src/base/assert.ts";
import {
  type MakeReplica,
  NOT_LEADER,
  type Replica,
  type ReplicaListener,
  type ReplicaStatus,
} from "../../src/replication/replica.ts";
import { groupOfOne } from "../../src/replication/test_group_of_one.ts";
import type { Log } from "../../src/storage/log.ts";

const NODE_ID = 0;

export class FickleReplica implements Replica, ReplicaListener {
  readonly log: Log;
  listener: ReplicaListener | null = null;
  readonly inSyncCount = 1;
  readonly voterCount = 1;
  readonly isAlone = true;
  readonly handingOver = false;
  readonly undecided = false;
  readonly opening = false;
  readonly heirId = -1;
  readonly heirEpoch = 0;
  readonly transferring = false;
  readonly overruled = false;
  readonly successor = (): number => -1;
  #sole: Replica;
  /** The term in which another node leads, and which one; null while this one does. */
  #other: { readonly term: number; readonly leaderId: number } | null = null;
  // The commit that the other node's followers know of.
  #commitIndex = 0;
  #commitOffset = 0;

  constructor(log: Log, termFloor: number) {
    this.log = log;
    this.#sole = groupOfOne(log, NODE_ID, termFloor);
    this.#sole.listener = this;
  }

  get batchBytesMax(): number {
    return this.log.appendBytesMax;
  }
  get term(): number {
    return this.#other?.term ?? this.#sole.term;
  }
  get leaderId(): number {
    return this.#other?.leaderId ?? this.#sole.leaderId;
  }
  get leading(): boolean {
    return this.#other === null && this.#sole.leading;
  }
  get readOnly(): boolean {
    return this.#sole.readOnly;
  }
  get commitIndex(): number {
    return this.leading ? this.#sole.commitIndex : this.#commitIndex;
  }
  get commitOffset(): number {
    return this.leading ? this.#sole.commitOffset : this.#commitOffset;
  }
  get trimmedIndex(): number {
    return this.#sole.trimmedIndex;
  }

  inSyncOffset(node: number): number {
    return this.leading ? this.#sole.inSyncOffset(node) : -1;
  }

  safeOffset(): number {
    return this.commitOffset;
  }

  transfer(node: number): number {
    return this.#sole.transfer(node);
  }

  force(): void {
    this.#sole.force();
  }

  status(): ReplicaStatus {
    return this.#sole.status();
  }

  /** Another node is elected, or the group has no leader (-1). */
  stepDown(leaderId: number): void {
    assert(this.leading, "only a leader steps down");
    this.#commitIndex = this.#sole.commitIndex;
    this.#commitOffset = this.#sole.commitOffset;
    const term = this.#sole.term + 1;
    assert(this.log.setHardState(term, leaderId) >= 0, "the test's log has room");
    this.#other = { term, leaderId };
    this.listener!.onFollowing(term, leaderId);
  }

  /** This node is elected; it leads when its no-op is durable. */
  standAgain(): void {
    assert(this.#other !== null, "it leads");
    this.#other = null;
    this.#sole.close();
    this.#sole = groupOfOne(this.log, NODE_ID);
    this.#sole.listener = this;
    this.#sole.start();
  }

  start(): void {
    this.#sole.start();
  }
  appended(): void {
    this.#sole.appended();
  }
  proposeTrim(offset: number): number {
    return this.leading ? this.#sole.proposeTrim(offset) : NOT_LEADER;
  }
  close(): void {
    this.#sole.close();
    this.listener = null;
  }

  onDurable(): void {
    this.listener?.onDurable();
  }
  onCommitted(): void {
    if (this.#other === null) this.listener?.onCommitted();
  }
  onReplicated(): void {
    assert(false, "a group of one hears of nobody");
  }
  onLeading(term: number): void {
    this.listener?.onLeading(term);
  }
  onFollowing(): void {
    assert(false, "a group of one does not follow");
  }
  onCut(): void {
    assert(false, "a group of one does not cut");
  }
  onWritable(): void {
    this.listener?.onWritable();
  }
}

/** Makes fickle replicas, by group. */
export function fickleReplicas(): { readonly made: Map<number, FickleReplica>; make: MakeReplica } {
  const made = new Map<number, FickleReplica>();
  return {
    made,
    make: (log, { groupId, termFloor }) => {
      const replica = new FickleReplica(log, termFloor);
      made.set(groupId, replica);
      return replica;
    },
  };
}
