/**
 * Replicas of groups on several nodes: storage on simulated disks, frames in memory, one clock.
 *
 * Nothing of Kafka is here. What a client would do, the test does: it appends on the leader, and asks for the commit.
 *
 * @module
 */

import { assert } from "../../src/base/assert.ts";
import { EventLog } from "../../src/base/event_log.ts";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import type { RangeList } from "../../src/bytes/range_list.ts";
import { Timer, Timers } from "../../src/io/timers.ts";
import { ReplicationFrame } from "../../src/replication/frames.ts";
import type { GroupReplica } from "../../src/replication/group_replica.ts";
import { Mender } from "../../src/replication/mender.ts";
import type { RecoveryLimits } from "../../src/replication/recovery_pace.ts";
import type { ReplicaListener } from "../../src/replication/replica.ts";
import {
  type ReplicationLinks,
  ShardReplication,
  STAGING_SIZE,
} from "../../src/replication/shard_replication.ts";
import type { FrameOwner } from "../../src/rpc/frame_queue.ts";
import { FrameVerdict, Lane, SendOutcome } from "../../src/rpc/peer_links.ts";
import { type SampleBatch, writeSampleBatch } from "./sample_batch.ts";
import { TEST_LIMITS, TestNode } from "./storage_node.ts";

/** Addresses in a test node's memory that belong to no arena: batches are made, frames arrive, heads are written. */
const BATCH_AT = 0;
const FRAME_AT = 512 * 1024;
const FRAME_MAX = 1024 * 1024;
const STAGING_AT = FRAME_AT + FRAME_MAX;
/** Frames that wait on one link: fewer than a leader sends ahead, so that some are refused. */
const QUEUE_MAX = 32;

/** Message of a node that got a wrong frame. */
const WRONG = "A node sent what makes no sense";

interface Frame {
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly owner: FrameOwner | null;
}

/** What a replica reported, in words. */
export class Told implements ReplicaListener {
  readonly lines: string[] = [];
  onDurable(): void {}
  onCommitted(): void {}
  onReplicated(): void {}
  onLeading(term: number): void {
    this.lines.push(`leading ${term}`);
  }
  onFollowing(term: number, leaderId: number): void {
    this.lines.push(`following ${leaderId} in ${term}`);
  }
  onCut(index: number): void {
    this.lines.push(`cut after ${index}`);
  }
  onWritable(): void {}
}

/** One node's life. */
export class ReplicaNode {
  readonly id: number;
  readonly storage: TestNode;
  timers = new Timers();
  replication!: ShardReplication;
  mender!: Mender;
  readonly told = new Map<number, Told>();
  alive = false;
  /** Bytes of frames that it took. */
  receivedBytes = 0;

  constructor(id: number, seed: number) {
    this.id = id;
    this.storage = new TestNode({ seed: seed + id, journalBytes: 1024 * 1024 });
  }
}

export class ReplicaCluster {
  readonly nodes: ReplicaNode[];
  readonly #random: Random;
  /** Frames under way, by `from * 100 + to * 2 + lane`. */
  readonly #links = new Map<number, Frame[]>();
  /** Pairs that are cut, as `from * 100 + to`. */
  readonly #cut = new Set<number>();
  /** Frames that were refused for want of room. */
  readonly #wantRoom = new Set<number>();
  /** Pairs between which records do not get on, as `from * 100 + to`; small messages do. */
  readonly clogged = new Set<number>();
  /** The largest frame that any node takes (bytes), and of single nodes that take less. */
  readonly frameMax = FRAME_MAX;
  readonly frameMaxOf = new Map<number, number>();
  /** Nodes whose disks do nothing. */
  readonly frozen = new Set<ReplicaNode>();
  /** Pairs of which nothing arrives though they are connected, as `from * 100 + to`. */
  readonly mute = new Set<number>();
  /** Memory for what is sent is short: one frame at a time. */
  hasPinRoom = true;
  /** No node has an older program, which does not know how to mend another one's damage. */
  knowsRefills = true;
  /** Nodes that end a connection on which they are asked for records. */
  readonly oldPrograms = new Set<ReplicaNode>();
  nowMs = 1000;
  framesDelivered = 0;
  /** What nodes wrote to their logs, but for frames that a receiver found wrong. */
  readonly remarks: string[] = [];
  /** Frames that a receiver found wrong. */
  readonly wrong: string[] = [];

  readonly #recovery: RecoveryLimits | null;

  /** @param recovery how fast leaders fill others; null: as usual */
  constructor(count: number, seed: number, recovery: RecoveryLimits | null = null) {
    this.#recovery = recovery;
    this.#random = new Xoshiro128(seed ^ 0x3c6ef372);
    this.nodes = Array.from({ length: count }, (_, id) => new ReplicaNode(id, seed));
    for (const node of this.nodes) this.start(node);
  }

  /**
   * Starts a node, or starts it again after {@linkcode kill}.
   *
   * @param opens its groups at once; else the others reach it before it has them
   */
  start(node: ReplicaNode, opens = true): void {
    assert(!node.alive, "a node that lives is started");
    assert(node.storage.mount(1), "a node does not start");
    node.alive = true;
    // Those of the last life go with it.
    node.timers = new Timers();
    const { storage, timers } = node;
    const events = new EventLog({
      logger: {
        log: (_level, message, fields) => {
          const lines = message === WRONG ? this.wrong : this.remarks;
          lines.push(`${message} ${JSON.stringify(fields)}`);
        },
      },
      nowMs: () => this.nowMs,
      later: (run, ms) => timers.schedule(new Timer(run), this.nowMs + ms),
    });
    node.replication = new ShardReplication({
      nodeId: node.id,
      incarnation: 10 + node.id,
      memory: storage.memory,
      crc32c: storage.crc32c,
      random: new Xoshiro128(this.#random.nextBelow(1e9)),
      timers,
      inSyncMs: 1_000,
      nowMs: () => this.nowMs,
      wallMs: () => this.nowMs,
      events,
      shard: 0,
      flushWaitMs: () => storage.engines[0]!.flushWaitMs(storage.nowMs),
      pinRoom: () => this.hasPinRoom ? storage.engines[0]!.pinRoom : 0,
      onSilence: (silent, _shard, isSilent) => {
        events.note(
          isSilent ? "A node gives no sign of life" : "A node gives signs of life again",
          { silent },
        );
      },
      ...this.#recovery === null ? {} : { recovery: this.#recovery },
      canAppend: (bytes) => storage.engines[0]!.canAppend(bytes),
      appendedBytes: () => storage.engines[0]!.appendedBytes,
      knowsRefills: (other) => !this.oldPrograms.has(this.nodes[other]!),
      // Frames are put together outside of the arena.
      allocate: (size) =>
        size === STAGING_SIZE ? STAGING_AT : storage.engines[0]!.context.arena.allocate(size),
      release: (address) => storage.engines[0]!.context.arena.release(address),
    });
    node.replication.connect(this.#linksOf(node));
    node.mender = new Mender({
      storage: storage.engines[0]!,
      replication: node.replication,
      timers,
      nowMs: () => this.nowMs,
      events,
      mayAsk: () => this.knowsRefills,
    });
    for (const other of this.nodes) {
      if (other === node || !other.alive || this.#isCut(node.id, other.id)) continue;
      other.replication.onUp(node.id);
    }
    if (opens) { for (const groupId of node.told.keys()) this.open(node, groupId); }
  }

  /** Makes the node's replica of a group that all nodes have. */
  open(node: ReplicaNode, groupId: number): GroupReplica {
    const storage = node.storage.engines[0]!;
    const log = storage.logs.get(groupId) ?? storage.createLog({
      groupId,
      incarnation: 1,
      name: `group-${groupId}`,
      segmentLimits: { ...TEST_LIMITS, segmentBytes: 1024 * 1024 },
      listener: null,
    });
    const voters = this.nodes.map(({ id }) => ({ node: id, incarnation: 10 + id }));
    const replica = node.replication.makeReplica(log, { groupId, voters, termFloor: 0 });
    const told = new Told();
    node.told.set(groupId, told);
    replica.listener = told;
    replica.start();
    return replica;
  }

  openAll(groupId: number): void {
    for (const node of this.nodes) this.open(node, groupId);
  }

  /** The node is gone at once, and with it what was not durable; its connections break. */
  kill(node: ReplicaNode): void {
    node.alive = false;
    node.storage.crash();
    for (const other of this.nodes) {
      this.#drop(node.id, other.id);
      this.#drop(other.id, node.id);
      if (other.alive) other.replication.onDown(node.id);
    }
  }

  /** Nothing passes from one node to another any more. */
  cut(from: number, to: number): void {
    this.#cut.add(from * 100 + to);
    this.#drop(from, to);
    const sender = this.nodes[from]!;
    if (sender.alive) sender.replication.onDown(to);
  }

  mend(from: number, to: number): void {
    this.#cut.delete(from * 100 + to);
    const sender = this.nodes[from]!;
    if (sender.alive && this.nodes[to]!.alive) sender.replication.onUp(to);
  }

  replica(node: ReplicaNode, groupId: number): GroupReplica {
    return node.replication.replicaOf(groupId)!;
  }

  /** The node that leads a group, if there is exactly one in the latest term. */
  leaderOf(groupId: number): ReplicaNode | null {
    let leader: ReplicaNode | null = null;
    let term = 0;
    for (const node of this.nodes) {
      if (!node.alive) continue;
      const replica = this.replica(node, groupId);
      if (!replica.leading || replica.term <= term) continue;
      leader = node;
      term = replica.term;
    }
    return leader;
  }

  /** Appends one batch on a node; its end offset, or the refusal. */
  append(
    node: ReplicaNode,
    groupId: number,
    records: number,
    valueBytes: number,
    producer: Pick<SampleBatch, "producerId" | "producerEpoch" | "baseSequence"> = {},
  ): number {
    const replica = this.replica(node, groupId);
    const { log } = replica;
    const { memory, crc32c } = node.storage;
    const batch = {
      recordCount: records,
      valueBytes,
      fill: (log.endOffset + 1) & 0xff,
      timestampMs: this.nowMs,
      ...producer,
    };
    const size = writeSampleBatch(memory, crc32c, BATCH_AT, batch);
    const offset = log.append(BATCH_AT, size, replica.term, this.nowMs);
    if (offset < 0) return offset;
    replica.appended();
    return log.endOffset;
  }

  /** One millisecond: disks and links move, turns end. */
  step(): void {
    this.nowMs++;
    for (const [key, frames] of this.#links) {
      if (key % 2 === Lane.DATA && this.clogged.has(pairOf(key))) continue;
      for (let i = 0; i < 4 && frames.length > 0 && this.#random.nextBelow(4) > 0; i++) {
        this.#deliver(key, frames);
      }
    }
    for (const node of this.nodes) {
      if (!node.alive) continue;
      if (!this.frozen.has(node)) { for (let i = 0; i < 3; i++) node.storage.disk.step(); }
      node.timers.run(this.nowMs);
      node.storage.turn();
      node.replication.flush();
    }
  }

  /** Steps until `done`; throws when it does not come. */
  until(what: string, done: () => boolean, stepsMax = 20_000): void {
    for (let i = 0; i < stepsMax; i++) {
      if (done()) return;
      this.step();
    }
    assert(done(), `${what} does not come:\n${this.describe()}`);
  }

  pass(ms: number): void {
    for (let i = 0; i < ms; i++) this.step();
  }

  describe(): string {
    const lines: string[] = [];
    for (const node of this.nodes) {
      if (!node.alive) lines.push(`node ${node.id} is dead`);
      else {
        for (const groupId of node.told.keys()) {
          const { term, leaderId, leading, commitIndex, log } = this.replica(node, groupId);
          lines.push(
            `node ${node.id} group ${groupId}: term ${term} leader ${leaderId}${
              leading ? " (leads)" : ""
            } last ${log.lastIndex} durable ${log.durableIndex} commit ${commitIndex}`,
          );
        }
      }
    }
    return [...lines, ...this.wrong].join("\n");
  }

  #deliver(key: number, frames: Frame[]): void {
    const to = this.nodes[Math.floor((key % 100) / 2)]!;
    const from = Math.floor(key / 100);
    const { type, bytes, owner } = frames[0]!;
    if (type === ReplicationFrame.REFILL_ASK && this.oldPrograms.has(to)) {
      this.wrong.push(`node ${to.id} does not know what node ${from} asks`);
    } else if (to.alive && !this.mute.has(pairOf(key))) {
      to.storage.memory.bytes.set(bytes, FRAME_AT);
      const verdict = to.replication.onFrame(from, type, FRAME_AT, bytes.length);
      if (verdict === FrameVerdict.HELD) return;
      assert(verdict === FrameVerdict.TAKEN, `a frame is wrong: ${this.wrong.at(-1)}`);
      to.receivedBytes += bytes.length;
    }
    frames.shift();
    this.framesDelivered++;
    owner?.onFrameOver(true);
    if (this.#wantRoom.delete(key)) this.nodes[from]!.replication.onRoom(to.id);
  }

  #frameMax(node: number): number {
    return this.frameMaxOf.get(node) ?? this.frameMax;
  }

  #isCut(from: number, to: number): boolean {
    return this.#cut.has(from * 100 + to);
  }

  #drop(from: number, to: number): void {
    for (const lane of [Lane.CONTROL, Lane.DATA]) {
      const frames = this.#links.get(from * 100 + to * 2 + lane)?.splice(0) ?? [];
      if (!this.nodes[from]!.alive) continue;
      for (const { owner } of frames) owner?.onFrameOver(false);
    }
  }

  #linksOf(node: ReplicaNode): ReplicationLinks {
    const queue = (to: number, lane: Lane, frame: Frame): SendOutcome => {
      if (!this.nodes[to]!.alive || this.#isCut(node.id, to)) return SendOutcome.DOWN;
      if (frame.bytes.length > this.#frameMax(to)) return SendOutcome.TOO_LARGE;
      const key = node.id * 100 + to * 2 + lane;
      let frames = this.#links.get(key);
      if (frames === undefined) {
        frames = [];
        this.#links.set(key, frames);
      }
      if (frames.length >= QUEUE_MAX) {
        this.#wantRoom.add(key);
        return SendOutcome.FULL;
      }
      frames.push(frame);
      return SendOutcome.QUEUED;
    };
    const { bytes } = node.storage.memory;
    return {
      shardCountOf: () => 1,
      frameMaxOf: (to) => this.#frameMax(to),
      isUp: (to) => this.nodes[to]!.alive && !this.#isCut(node.id, to),
      contact: () => {},
      send: (to, _shard, lane, type, address, length) =>
        queue(to, lane, { type, bytes: bytes.slice(address, address + length), owner: null }),
      sendRanges: (to, _shard, type, address, length, ranges, owner) => {
        const frame = { type, bytes: gather(bytes, address, length, ranges), owner };
        return queue(to, Lane.DATA, frame);
      },
    };
  }
}

/** `from * 100 + to` of a link. */
function pairOf(key: number): number {
  return Math.floor(key / 100) * 100 + Math.floor((key % 100) / 2);
}

function gather(
  memory: Uint8Array,
  address: number,
  length: number,
  ranges: RangeList,
): Uint8Array {
  const whole = new Uint8Array(length + ranges.bytes);
  whole.set(memory.subarray(address, address + length));
  let at = length;
  for (let i = 0; i < ranges.count; i++) {
    const from = ranges.address(i);
    whole.set(memory.subarray(from, from + ranges.length(i)), at);
    at += ranges.length(i);
  }
  return whole;
}
