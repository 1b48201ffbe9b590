/**
 * Produce parts between shards.
 *
 * The asking shard lists its parts in a table in its own memory and sends the table's address; the
 * owner appends (copying the records in the turn in which it takes the message), sends PRODUCE_TAKEN so
 * that the asking connection may be read again, and PRODUCE_REPLY when everything is as safe as the request's acks
 * ask for, with the results in the same table.
 *
 * ```text
 *   entry, 128 bytes, little-endian:
 *    0 f64 group id        24 i32 error, or       32 f64 base offset       48 f64 log start offset
 *                             APPEND_BUSY: it waits
 *    8 f64 address                                40 f64 log append time
 *   16 f64 length (-1: null)
 *   why it was refused (kafka/refusal.ts):
 *   56 i32 cause          64 f64 oldest (ms)     80 three times: i32 record's place, i32 reason,
 *   60 u32 records        72 f64 newest (ms)        f64 timestamp
 * ```
 *
 * Tables are served in order of arrival. A part that has to wait (for room, for a walk of records) delays
 * the later parts of the same log, in its table and in later ones, and no others: a log takes the batches of a
 * connection in the order in which they were sent.
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import { type AppendWaiter, errorOfLoss, type Loss } from "../kafka/append_waits.ts";
import { HeldProducers } from "../kafka/held_producers.ts";
import type { PartitionDirectory } from "../kafka/partition.ts";
import type { RemoteProduce } from "../kafka/produce.ts";
import {
  APPEND_BUSY,
  AppendOutcome,
  type AppendRequest,
  type ProduceAppender,
} from "../kafka/produce_append.ts";
import type { ProduceOperation } from "../kafka/produce_operation.ts";
import { Cause, type Refusal } from "../kafka/refusal.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { Calls, OpenCall } from "./calls.ts";
import { messageArgument } from "./mailbox.ts";
import { MessageType } from "./messages.ts";
import type { ShardMemory } from "./shard_memory.ts";

const ENTRY_SIZE = 128;
const CAUSE_AT = 56;
const LISTED_AT = 80;
const LISTED_SIZE = 16;
/** Operations of each kind kept for reuse. */
const POOL_MAX = 1024;

/** A table being filled for one shard. */
class Outgoing {
  readonly parts: number[] = [];
  readonly groups: number[] = [];
  readonly addresses: number[] = [];
  readonly lengths: number[] = [];

  clear(): void {
    this.parts.length = 0;
    this.groups.length = 0;
    this.addresses.length = 0;
    this.lengths.length = 0;
  }
}

/** One table that is at another shard. */
class SentTable implements OpenCall {
  readonly #owner: ShardRemoteProduce;
  operation: ProduceOperation | null = null;
  batch: SentBatch | null = null;
  table = -1;
  taken = false;
  readonly parts: number[] = [];

  constructor(owner: ShardRemoteProduce) {
    this.#owner = owner;
  }

  onTaken(): void {
    if (this.taken) return;
    this.taken = true;
    this.batch!.taken();
  }

  onReply(): void {
    this.onTaken();
    this.#owner.finish(this);
  }
}

/** The tables of one request: its frame is free when every shard has taken its part. */
class SentBatch {
  #open: number;
  readonly #onTaken: () => void;

  constructor(open: number, onTaken: () => void) {
    this.#open = open;
    this.#onTaken = onTaken;
  }

  taken(): void {
    this.#open--;
    if (this.#open === 0) this.#onTaken();
  }
}

/** One table of another shard that is served here. */
class ServedTable implements AppendWaiter, AppendRequest {
  readonly #owner: ShardRemoteProduce;
  fromShard = 0;
  call = 0;
  table = 0;
  count = 0;
  /** Entries before it are appended or refused. */
  next = 0;
  pending = 0;
  version = 0;
  acks = 0;
  wallMs = 0;
  deadlineMs = 0;
  /** In the sender's frame, which is kept until its parts are taken. */
  transactionalIdAddress = 0;
  transactionalIdLength = -1;

  constructor(owner: ShardRemoteProduce) {
    this.#owner = owner;
  }

  onReached(_entry: number): void {
    this.settle();
  }

  onLost(entry: number, loss: Loss): void {
    this.#owner.setError(this, entry, errorOfLoss(loss));
    this.settle();
  }

  settle(): void {
    this.pending--;
    if (this.pending === 0) this.#owner.reply(this);
  }
}

/** Monotonic time of the present turn, and the wall clock (ms). */
export interface ProduceClock {
  readonly nowMs: () => number;
  readonly wallMs: () => number;
}

export class ShardRemoteProduce implements RemoteProduce {
  readonly #memory: Memory;
  readonly #blocks: ShardMemory;
  readonly #calls: Calls;
  readonly #partitions: PartitionDirectory;
  readonly #appender: ProduceAppender;
  readonly #now: ProduceClock;
  readonly #outgoing: Outgoing[];
  readonly #sentPool: SentTable[] = [];
  readonly #servedPool: ServedTable[] = [];
  /** Tables with entries that have to wait, in order of arrival; and the groups of those entries. */
  readonly #held: ServedTable[] = [];
  readonly #heldGroups = new Set<number>();
  readonly #heldProducers: HeldProducers;
  readonly #outcome = new AppendOutcome();

  constructor(
    carriers: { readonly memory: Memory; readonly blocks: ShardMemory; readonly calls: Calls },
    partitions: PartitionDirectory,
    appender: ProduceAppender,
    now: ProduceClock,
  ) {
    this.#memory = carriers.memory;
    this.#heldProducers = new HeldProducers(carriers.memory);
    this.#blocks = carriers.blocks;
    this.#calls = carriers.calls;
    this.#partitions = partitions;
    this.#appender = appender;
    this.#now = now;
    const shards = this.#calls.mailboxes.shardCount;
    this.#outgoing = Array.from({ length: shards }, () => new Outgoing());
  }

  ready(): boolean {
    const { shard, shardCount } = this.#calls.mailboxes;
    for (let other = 0; other < shardCount; other++) {
      if (other !== shard && !this.#calls.hasCredit(other)) return false;
    }
    return true;
  }

  add(shard: number, part: number, groupId: number, address: number, length: number): void {
    const outgoing = this.#outgoing[shard]!;
    outgoing.parts.push(part);
    outgoing.groups.push(groupId);
    outgoing.addresses.push(address);
    outgoing.lengths.push(length);
  }

  send(operation: ProduceOperation, onTaken: () => void): void {
    let shards = 0;
    for (const outgoing of this.#outgoing) if (outgoing.parts.length > 0) shards++;
    if (shards === 0) {
      onTaken();
      return;
    }
    const batch = new SentBatch(shards, onTaken);
    for (let shard = 0; shard < this.#outgoing.length; shard++) {
      const outgoing = this.#outgoing[shard]!;
      if (outgoing.parts.length === 0) continue;
      operation.pending++;
      this.#sendTable(shard, outgoing, operation, batch);
      outgoing.clear();
    }
  }

  /** A PRODUCE_TAKEN message came. */
  onTaken(call: number): void {
    (this.#calls.find(call) as SentTable).onTaken();
  }

  /** The other shard has answered: its results go to the operation. */
  finish(sent: SentTable): void {
    const { view } = this.#memory;
    const operation = sent.operation!;
    const outcome = this.#outcome;
    for (let entry = 0; entry < sent.parts.length; entry++) {
      const part = sent.parts[entry]!;
      if (sent.table < 0) {
        operation.setError(part, ErrorCode.NOT_LEADER_OR_FOLLOWER);
        continue;
      }
      const at = sent.table + entry * ENTRY_SIZE;
      outcome.error = view.getInt32(at + 24, true);
      outcome.baseOffset = view.getFloat64(at + 32, true);
      outcome.logAppendTimeMs = view.getFloat64(at + 40, true);
      outcome.logStartOffset = view.getFloat64(at + 48, true);
      readRefusal(view, at, outcome.refusal);
      operation.setOutcome(part, outcome);
    }
    if (sent.table >= 0) this.#blocks.releaseResponse(sent.table);
    sent.operation = null;
    sent.batch = null;
    if (this.#sentPool.length < POOL_MAX) this.#sentPool.push(sent);
    operation.settle();
  }

  /** A PRODUCE message came. */
  onProduce(fromShard: number, call: number, view: DataView, at: number): void {
    const served = this.#servedPool.pop() ?? new ServedTable(this);
    served.fromShard = fromShard;
    served.call = call;
    served.table = messageArgument(view, at, 0);
    served.count = messageArgument(view, at, 1);
    served.acks = messageArgument(view, at, 2);
    served.version = messageArgument(view, at, 3);
    served.deadlineMs = this.#now.nowMs() + messageArgument(view, at, 4);
    served.transactionalIdAddress = messageArgument(view, at, 5);
    served.transactionalIdLength = messageArgument(view, at, 6);
    served.wallMs = this.#now.wallMs();
    served.next = 0;
    served.pending = 1;
    if (!this.#serve(served)) this.#held.push(served);
  }

  /** Tries again what had to wait; in order. */
  retry(): void {
    const held = this.#held;
    if (held.length === 0) return;
    this.#heldGroups.clear();
    this.#heldProducers.clear();
    let kept = 0;
    for (let i = 0; i < held.length; i++) {
      const served = held[i]!;
      if (!this.#serve(served)) held[kept++] = served;
    }
    held.length = kept;
  }

  setError(served: ServedTable, entry: number, error: number): void {
    const at = served.table + entry * ENTRY_SIZE;
    this.#memory.view.setInt32(at + 24, error, true);
    this.#memory.view.setFloat64(at + 32, -1, true);
  }

  reply(served: ServedTable): void {
    this.#calls.mailboxes.send(served.fromShard, MessageType.PRODUCE_REPLY, served.call);
    if (this.#servedPool.length < POOL_MAX) this.#servedPool.push(served);
  }

  #sendTable(
    shard: number,
    outgoing: Outgoing,
    operation: ProduceOperation,
    batch: SentBatch,
  ): void {
    const { view } = this.#memory;
    const sent = this.#sentPool.pop() ?? new SentTable(this);
    sent.operation = operation;
    sent.batch = batch;
    sent.taken = false;
    sent.parts.length = 0;
    for (let i = 0; i < outgoing.parts.length; i++) sent.parts.push(outgoing.parts[i]!);
    sent.table = this.#blocks.allocateResponse(outgoing.parts.length * ENTRY_SIZE);
    if (sent.table < 0) {
      // No memory for the table: the client gets a retriable error.
      sent.onTaken();
      this.finish(sent);
      return;
    }
    for (let entry = 0; entry < outgoing.parts.length; entry++) {
      const at = sent.table + entry * ENTRY_SIZE;
      view.setFloat64(at, outgoing.groups[entry]!, true);
      view.setFloat64(at + 8, outgoing.addresses[entry]!, true);
      view.setFloat64(at + 16, outgoing.lengths[entry]!, true);
      view.setInt32(at + 24, APPEND_BUSY, true);
    }
    const call = this.#calls.open(shard, sent);
    this.#calls.mailboxes.send(
      shard,
      MessageType.PRODUCE,
      call,
      sent.table,
      outgoing.parts.length,
      operation.acks,
      operation.version,
      Math.max(0, operation.deadlineMs - this.#now.nowMs()),
      operation.transactionalIdAddress,
      operation.transactionalIdLength,
    );
  }

  /** Appends what has not to wait; false when something has. */
  #serve(served: ServedTable): boolean {
    const { view } = this.#memory;
    const { outcome } = this.#appender;
    const held = this.#heldGroups;
    let waiting = 0;
    for (let entry = served.next; entry < served.count; entry++) {
      const at = served.table + entry * ENTRY_SIZE;
      if (view.getInt32(at + 24, true) !== APPEND_BUSY) continue;
      const groupId = view.getFloat64(at, true);
      const address = view.getFloat64(at + 8, true);
      const length = view.getFloat64(at + 16, true);
      const isBehind = (held.size > 0 && held.has(groupId)) ||
        this.#heldProducers.holds(groupId, address, length);
      if (isBehind) {
        waiting++;
        continue;
      }
      const partition = this.#partitions.byGroup(groupId);
      let error: number;
      if (partition !== undefined) {
        error = this.#appender.append(partition, address, length, served);
      } else {
        const absence = this.#partitions.absenceOf(groupId);
        this.#appender.refuse(address, absence);
        error = absence;
      }
      if (error === APPEND_BUSY) {
        if (outcome.askingFor >= 0) this.#heldProducers.add(groupId, outcome.askingFor);
        else held.add(groupId);
        waiting++;
        continue;
      }
      view.setInt32(at + 24, error, true);
      view.setFloat64(at + 32, outcome.baseOffset, true);
      view.setFloat64(at + 40, outcome.logAppendTimeMs, true);
      view.setFloat64(at + 48, outcome.logStartOffset, true);
      writeRefusal(view, at, outcome.refusal);
      const { waitOffset } = outcome;
      if (error === ErrorCode.NONE && !partition!.hasReached(waitOffset, served.acks)) {
        served.pending++;
        partition!.awaitAppend(waitOffset, served.acks, served, entry, served.deadlineMs);
      }
      if (waiting === 0) served.next = entry + 1;
    }
    if (waiting > 0) return false;
    if (served.pending > 1) {
      this.#calls.mailboxes.send(served.fromShard, MessageType.PRODUCE_TAKEN, served.call);
    }
    served.settle();
    return true;
  }
}

function writeRefusal(view: DataView, at: number, refusal: Refusal): void {
  view.setInt32(at + CAUSE_AT, refusal.cause, true);
  if (refusal.cause === Cause.NONE) return;
  view.setUint32(at + CAUSE_AT + 4, refusal.count, true);
  view.setFloat64(at + CAUSE_AT + 8, refusal.oldestMs, true);
  view.setFloat64(at + CAUSE_AT + 16, refusal.newestMs, true);
  for (let nth = 0; nth < refusal.listed; nth++) {
    const place = at + LISTED_AT + nth * LISTED_SIZE;
    view.setInt32(place, refusal.indexes[nth]!, true);
    view.setInt32(place + 4, refusal.reasons[nth]!, true);
    view.setFloat64(place + 8, refusal.timestamps[nth]!, true);
  }
}

function readRefusal(view: DataView, at: number, refusal: Refusal): void {
  refusal.cause = view.getInt32(at + CAUSE_AT, true);
  if (refusal.cause === Cause.NONE) return;
  refusal.count = view.getUint32(at + CAUSE_AT + 4, true);
  refusal.oldestMs = view.getFloat64(at + CAUSE_AT + 8, true);
  refusal.newestMs = view.getFloat64(at + CAUSE_AT + 16, true);
  for (let nth = 0; nth < refusal.listed; nth++) {
    const place = at + LISTED_AT + nth * LISTED_SIZE;
    refusal.indexes[nth] = view.getInt32(place, true);
    refusal.reasons[nth] = view.getInt32(place + 4, true);
    refusal.timestamps[nth] = view.getFloat64(place + 8, true);
  }
}
