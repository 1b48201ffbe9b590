/**
 * Two or more shards' links in one test: a memory network, one region, an arena and a clock for all.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { MemoryDescriptors, MemoryNetwork, MemorySockets } from "../../tests/sim/memory_sockets.ts";
import { EventLog } from "../base/event_log.ts";
import { type Random, Xoshiro128 } from "../base/prng.ts";
import { Arena } from "../bytes/arena.ts";
import { type Crc32c, softwareCrc32c } from "../bytes/crc32c.ts";
import { type Memory, wrapMemory } from "../bytes/memory.ts";
import type { RangeList } from "../bytes/range_list.ts";
import { Timer, Timers } from "../io/timers.ts";
import { ShardMemory } from "../shard/shard_memory.ts";
import { Greeter, GREETER_MEMORY_SIZE } from "./greeter.ts";
import {
  type FrameOwner,
  FrameVerdict,
  Lane,
  type NodeIdentity,
  PeerLinks,
  type PeerLinksListener,
} from "./peer_links.ts";
import type { GreetingStatus } from "./preamble.ts";

const ARENA_SIZE = 16 << 20;
export const PORT = 33145;
export const CLUSTER = "c".repeat(32);

/** A frame as it was handed over. */
export interface Arrived {
  readonly node: number;
  readonly fromShard: number;
  readonly type: number;
  readonly payload: Uint8Array;
}

/** One shard of one node, with a greeter where it is shard 0. */
export class TestShard implements PeerLinksListener {
  readonly bench: TestBench;
  readonly nodeId: number;
  readonly shard: number;
  readonly links: PeerLinks;
  readonly sockets: MemorySockets;
  readonly blocks: ShardMemory;
  readonly greeter: Greeter;
  readonly arrived: Arrived[] = [];
  /** `up 2`, `down 2`, `refused 2`, `room 2.0`, `status 2 4`. */
  readonly news: string[] = [];
  readonly log: string[] = [];
  identity: NodeIdentity;
  /** What the next frames meet; TAKEN where there is nothing. */
  verdicts: FrameVerdict[] = [];
  #sending = false;

  constructor(
    bench: TestBench,
    nodeId: number,
    shard: number,
    shardCount: number,
    arena: Arena,
    descriptors: MemoryDescriptors,
  ) {
    this.bench = bench;
    this.nodeId = nodeId;
    this.shard = shard;
    this.blocks = new ShardMemory(arena, 1 << 20);
    const buffers = [arena.allocate(65_536)];
    this.sockets = new MemorySockets(bench.memory, buffers, 65_536, bench.random, descriptors);
    this.sockets.network = bench.network;
    const { memory, timers, crc32c, random } = bench;
    const nowMs = (): number => bench.nowMs;
    this.identity = {
      clusterId: CLUSTER,
      nodeId,
      incarnation: `${nodeId}`.repeat(32),
      process: nodeId,
      shardCount,
      logicalVersion: 1,
    };
    const identity = (): NodeIdentity => this.identity;
    const events = new EventLog({
      logger: {
        log: (_level, message, fields) => this.log.push(`${message} ${JSON.stringify(fields)}`),
      },
      nowMs,
      later: (run, ms) => timers.schedule(new Timer(run), bench.nowMs + ms),
    });
    const resolve = (host: string, done: (address: string | null) => void): void => {
      timers.schedule(new Timer(() => done(bench.names.get(host) ?? null)), bench.nowMs + 1);
    };
    const common = { memory, sockets: this.sockets, timers, crc32c, nowMs, identity, events };
    this.links = new PeerLinks({
      ...common,
      blocks: this.blocks,
      random,
      shard,
      resolve,
      incomingMax: 64,
    }, this);
    this.greeter = new Greeter({
      isTaken: () => false,
      ...common,
      hand: (socket, preamble) => {
        const { targetShard, nodeId: node, ...rest } = preamble;
        const target = bench.shardOf(this.nodeId, targetShard)!;
        return target.links.adopt(socket, { ...rest, node });
      },
    }, arena.allocate(GREETER_MEMORY_SIZE));
  }

  onFrame(
    node: number,
    fromShard: number,
    type: number,
    address: number,
    length: number,
  ): FrameVerdict {
    assert(!this.#sending, "called from inside a send");
    const verdict = this.verdicts.shift() ?? FrameVerdict.TAKEN;
    if (verdict === FrameVerdict.TAKEN) {
      const payload = this.bench.memory.bytes.slice(address, address + length);
      this.arrived.push({ node, fromShard, type, payload });
    }
    return verdict;
  }

  onUp(node: number, _peer: NodeIdentity): void {
    this.#note(`up ${node}`);
  }

  onDown(node: number, refused: boolean): void {
    this.#note(`${refused ? "refused" : "down"} ${node}`);
  }

  onRefused(node: number, status: GreetingStatus): void {
    this.#note(`status ${node} ${status}`);
  }

  onRoom(node: number, shard: number): void {
    this.#note(`room ${node}.${shard}`);
  }

  #note(news: string): void {
    assert(!this.#sending, "called from inside a send");
    this.news.push(news);
  }

  /** Sends `payload` as a small frame; what `send` answered. */
  send(
    node: number,
    type: number,
    payload: Uint8Array,
    lane: Lane = Lane.CONTROL,
    shard = 0,
  ): number {
    const at = this.bench.scratch(payload);
    this.#sending = true;
    const outcome = this.links.send(node, shard, lane, type, at, payload.length);
    this.#sending = false;
    // Its bytes were copied.
    this.bench.memory.bytes.fill(0xee, at, at + payload.length);
    return outcome;
  }

  sendRanges(
    node: number,
    type: number,
    head: Uint8Array,
    ranges: RangeList,
    owner: FrameOwner,
    shard = 0,
  ): number {
    const at = this.bench.scratch(head);
    this.#sending = true;
    const outcome = this.links.sendRanges(node, shard, type, at, head.length, ranges, owner);
    this.#sending = false;
    this.bench.memory.bytes.fill(0xee, at, at + head.length);
    return outcome;
  }

  get port(): number {
    return PORT + this.nodeId;
  }

  listen(): void {
    this.bench.network.listen("10.0.0.1", this.port, this.sockets, (socket) => {
      this.greeter.adopt(socket, "10.0.0.1:1");
    });
  }

  unlisten(): void {
    this.bench.network.unlisten("10.0.0.1", this.port);
  }

  /** No memory or socket of links is left. */
  assertClean(): void {
    assert(this.links.isOver, "a link goes on");
    assert.equal(this.greeter.waitingCount, 0);
    assert.deepEqual(this.sockets.openSockets, []);
    assert.equal(this.blocks.links.used, 0);
    assert.equal(this.blocks.peerFrames.used, 0);
  }
}

export class TestBench {
  readonly memory: Memory;
  readonly random: Random;
  readonly crc32c: Crc32c;
  readonly network = new MemoryNetwork();
  readonly timers = new Timers();
  readonly names = new Map<string, string>();
  readonly shards: TestShard[] = [];
  nowMs = 1_000;
  readonly #scratch: number;
  /** Memory that belongs to the test, for records. */
  readonly records: number;

  /** @param shardCounts of nodes 1, 2, ... */
  constructor(seed: number, shardCounts: readonly number[] = [1, 1]) {
    const total = shardCounts.reduce((sum, count) => sum + count, 0);
    this.memory = wrapMemory(new ArrayBuffer(total * ARENA_SIZE + (8 << 20)));
    this.random = new Xoshiro128(seed);
    this.crc32c = softwareCrc32c(this.memory);
    this.#scratch = total * ARENA_SIZE;
    this.records = this.#scratch + (1 << 20);
    shardCounts.forEach((count, node) => {
      const descriptors = new MemoryDescriptors();
      for (let shard = 0; shard < count; shard++) {
        const arena = new Arena(this.shards.length * ARENA_SIZE, ARENA_SIZE);
        this.shards.push(new TestShard(this, node + 1, shard, count, arena, descriptors));
      }
      this.shardOf(node + 1, 0)!.listen();
    });
    for (const { nodeId, links } of this.shards) {
      shardCounts.forEach((_, node) => {
        if (node + 1 !== nodeId) links.setAddress(node + 1, "10.0.0.1", PORT + node + 1);
      });
    }
  }

  shardOf(node: number, shard: number): TestShard | undefined {
    return this.shards.find((one) => one.nodeId === node && one.shard === shard);
  }

  scratch(bytes: Uint8Array): number {
    this.memory.bytes.set(bytes, this.#scratch);
    return this.#scratch;
  }

  /** Nobody can be reached any more. */
  unlistenAll(): void {
    for (const shard of this.shards) shard.unlisten();
  }

  /** One turn of every shard. */
  turn(ms = 0.25): void {
    this.nowMs += ms;
    for (const { sockets, links, blocks } of this.shards) {
      for (let i = 0; i < 4 && sockets.step(); i++);
      links.flush();
      blocks.resumeWaiting(this.nowMs);
    }
    this.timers.run(this.nowMs);
  }

  until(done: () => boolean, what: string, boundMs = 5_000): void {
    const lateMs = this.nowMs + boundMs;
    while (!done()) {
      assert(this.nowMs < lateMs, `${what}: not within ${boundMs} ms`);
      this.turn();
    }
  }

  pass(ms: number, stepMs = 0.25): void {
    const until = this.nowMs + ms;
    while (this.nowMs < until) this.turn(stepMs);
  }

  /** Stops everything, and finds nothing left over. */
  end(): void {
    for (const { links, greeter } of this.shards) {
      links.stop();
      greeter.stop();
    }
    this.pass(200);
    for (const shard of this.shards) shard.assertClean();
  }
}

/** Bytes that follow from a number. */
export function bytesOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7 + (i >>> 8)) & 0xff);
}
