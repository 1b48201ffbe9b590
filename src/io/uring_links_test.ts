import { strict as assert } from "node:assert";
import { EventLog } from "../base/event_log.ts";
import { Xoshiro128 } from "../base/prng.ts";
import { Arena } from "../bytes/arena.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import { RangeList } from "../bytes/range_list.ts";
import { Greeter, GREETER_MEMORY_SIZE } from "../rpc/greeter.ts";
import {
  FrameVerdict,
  Lane,
  type NodeIdentity,
  PeerLinks,
  type PeerLinksListener,
  SendOutcome,
} from "../rpc/peer_links.ts";
import { ShardMemory } from "../shard/shard_memory.ts";
import { clearFault, setFault } from "./faults.ts";
import { listen, peerAddress } from "./host.ts";
import { Timer, Timers } from "./timers.ts";
import { openTestRing, testMemory, testShim } from "./uring_fixture.ts";
import { Op } from "./uring_ops.ts";
import { UringSockets } from "./uring_sockets.ts";

const ARENA_SIZE = 16 << 20;
/** Outside of the arenas: what the test sends from. */
const RECORDS = 40 << 20;

function openDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/** One node with one shard, on a ring of its own. */
class RingNode implements PeerLinksListener, Disposable {
  readonly ring = openTestRing();
  readonly timers = new Timers();
  readonly blocks: ShardMemory;
  readonly links: PeerLinks;
  readonly greeter: Greeter;
  readonly news: string[] = [];
  readonly log: string[] = [];
  received = 0;
  receivedBytes = 0;
  port = 0;
  onPayload: (type: number, address: number, length: number) => void = () => {};
  readonly #sockets: UringSockets;
  #listener = -1;
  #nowMs = performance.now();

  constructor(nodeId: number) {
    const arena = new Arena((nodeId - 1) * ARENA_SIZE, ARENA_SIZE);
    const receive = Float64Array.of(arena.allocate(65_536));
    this.#sockets = new UringSockets(this.ring, receive, 65_536, () => {});
    this.blocks = new ShardMemory(arena, 1 << 20);
    const crc = testShim().gregor_crc32c;
    const crc32c: Crc32c = (address, length, seed) => crc(seed, address, length);
    const nowMs = (): number => this.#nowMs;
    const identity = (): NodeIdentity => ({
      clusterId: "a".repeat(32),
      nodeId: nodeId,
      incarnation: `${nodeId}`.repeat(32),
      process: nodeId,
      shardCount: 1,
      logicalVersion: 1,
    });
    const events = new EventLog({
      logger: { log: (_l, message, fields) => this.log.push(message + JSON.stringify(fields)) },
      nowMs,
      later: (run, ms) => this.timers.schedule(new Timer(run), this.#nowMs + ms),
    });
    const common = {
      memory: testMemory(),
      sockets: this.#sockets,
      timers: this.timers,
      crc32c,
      nowMs,
      identity,
      events,
    };
    const random = new Xoshiro128(nodeId);
    const resolve = (): void => assert.fail("addresses are numeric");
    this.links = new PeerLinks({
      ...common,
      blocks: this.blocks,
      random,
      shard: 0,
      resolve,
      incomingMax: 64,
    }, this);
    this.greeter = new Greeter({
      isTaken: () => false,
      ...common,
      hand: (socket, { nodeId, ...rest }) => {
        this.links.adopt(socket, { ...rest, node: nodeId });
        return true;
      },
    }, arena.allocate(GREETER_MEMORY_SIZE));
  }

  listen(port = 0): void {
    const listener = listen(testShim(), "127.0.0.1", port);
    assert("fd" in listener, "listen");
    this.#listener = listener.fd;
    this.port = listener.port;
    this.ring.accept(listener.fd, {
      complete: (fd) => fd >= 0 && this.greeter.adopt(fd, peerAddress(testShim(), fd)),
    });
  }

  unlisten(): void {
    this.ring.close(this.#listener, null);
  }

  onFrame(_n: number, _s: number, type: number, address: number, length: number): FrameVerdict {
    this.received++;
    this.receivedBytes += length;
    this.onPayload(type, address, length);
    return FrameVerdict.TAKEN;
  }

  onUp(node: number): void {
    this.news.push(`up ${node}`);
  }

  onDown(node: number, refused: boolean): void {
    this.news.push(`${refused ? "refused" : "down"} ${node}`);
  }

  onRefused(node: number, status: number): void {
    this.news.push(`status ${node} ${status}`);
  }

  onRoom(): void {}

  turn(): void {
    assert(this.ring.turn(200, 0) >= 0);
    this.#nowMs = performance.now();
    this.timers.run(this.#nowMs);
    this.links.flush();
    this.blocks.resumeWaiting(this.#nowMs);
  }

  [Symbol.dispose](): void {
    this.ring.dispose();
  }
}

function until(nodes: readonly RingNode[], done: () => boolean, what: string): void {
  const lateMs = performance.now() + 20_000;
  while (!done()) {
    if (performance.now() > lateMs) assert.fail(`${what}: ${nodes.map((n) => n.news).join("; ")}`);
    for (const node of nodes) node.turn();
  }
}

function end(nodes: readonly RingNode[]): void {
  for (const { links, greeter } of nodes) {
    links.stop();
    greeter.stop();
  }
  until(nodes, () => nodes.every(({ links }) => links.isOver), "the end");
  for (const node of nodes) {
    node.unlisten();
    node.turn();
    assert.equal(node.blocks.links.used, 0);
    assert.equal(node.blocks.peerFrames.used, 0);
  }
}

/** Bytes at `address`, which follow from it and from `seed`. */
function fill(address: number, length: number, seed: number): void {
  const { bytes } = testMemory();
  for (let i = 0; i < length; i++) bytes[address + i] = (i * 31 + seed) & 0xff;
}

/** Sends `count` frames of `size` bytes of records from node 1 to node 2, and checks each that comes. */
function exchange(a: RingNode, b: RingNode, count: number, size: number): void {
  const head = RECORDS;
  const records = RECORDS + 4096;
  testMemory().view.setUint32(head, 0xfeed, true);
  fill(records, size, 5);
  let wrong = 0;
  b.onPayload = (type, address, length) => {
    const { bytes, view } = testMemory();
    if (type !== 9 || length !== size + 4 || view.getUint32(address, true) !== 0xfeed) wrong++;
    for (let i = 0; i < size; i += 997) {
      if (bytes[address + 4 + i] !== ((i * 31 + 5) & 0xff)) wrong++;
    }
    if (bytes[address + 3 + size] !== (((size - 1) * 31 + 5) & 0xff)) wrong++;
  };
  const half = size >>> 1;
  // Two ranges that are no neighbours.
  const list = new RangeList(2);
  list.push(records, half);
  const copy = records + size + 64;
  testMemory().bytes.copyWithin(copy, records + half, records + size);
  list.push(copy, size - half);
  let sent = 0;
  let over = 0;
  let queued = 0;
  const before = b.received;
  const owner = {
    onFrameOver: (left: boolean) => {
      over++;
      if (left) sent++;
    },
  };
  until([a, b], () => {
    while (queued < count) {
      if (a.links.sendRanges(2, 0, 9, head, 4, list, owner) !== SendOutcome.QUEUED) break;
      queued++;
    }
    return b.received - before === count;
  }, `${count} frames of ${size} bytes`);
  until([a, b], () => over === count, "every owner was told");
  assert.equal(sent, count);
  assert.equal(wrong, 0, "a payload was changed on its way");
}

Deno.test("PeerLinks on two rings move frames of any size, also when transfers are cut short", () => {
  const before = openDescriptors();
  {
    using a = new RingNode(1);
    using b = new RingNode(2);
    a.listen();
    b.listen();
    a.links.setAddress(2, "127.0.0.1", b.port);
    b.links.setAddress(1, "127.0.0.1", a.port);
    exchange(a, b, 1, 10);
    exchange(a, b, 500, 64 * 1024);
    exchange(a, b, 10, 1_000_000);
    const shorts = [Op.Send, Op.SendVector, Op.RecvInto];
    setFault(testShim(), 8, { opcodes: shorts, ring: a.ring.index, short: true });
    setFault(testShim(), 7, { opcodes: shorts, ring: b.ring.index, short: true });
    exchange(a, b, 50, 64 * 1024);
    exchange(a, b, 2, 1_000_000);
    assert(clearFault(testShim(), 8) > 0 && clearFault(testShim(), 7) > 0);
    // The other direction and the other lane, at the same time.
    b.links.send(1, 0, Lane.CONTROL, 4, RECORDS, 100);
    until([a, b], () => a.received === 1, "the other direction");
    assert.deepEqual([a.news, b.news], [["up 2"], ["up 1"]]);
    end([a, b]);
  }
  assert.equal(openDescriptors(), before, "descriptors are left");
});

Deno.test("PeerLinks on rings hear within milliseconds that a node is gone, and when it is back", () => {
  using a = new RingNode(1);
  const b = new RingNode(2);
  a.listen();
  b.listen();
  const { port } = b;
  a.links.setAddress(2, "127.0.0.1", port);
  a.links.contact(2);
  until([a, b], () => a.links.isUp(2), "up");
  // So that the first attempt follows at once.
  const steadyMs = performance.now() + 1_100;
  until([a, b], () => performance.now() > steadyMs, "steady");
  b.unlisten();
  b.turn();
  b.links.stop();
  b.turn();
  const goneMs = performance.now();
  until([a], () => a.news.includes("refused 2"), "the news");
  assert(performance.now() - goneMs < 100, `${performance.now() - goneMs} ms`);
  assert.deepEqual(a.news, ["up 2", "down 2", "refused 2"]);
  b[Symbol.dispose]();
  using next = new RingNode(2);
  next.listen(port);
  until([a, next], () => a.links.isUp(2), "up again");
  end([a, next]);
});

Deno.test("PeerLinks on rings end a connection whose attempt failed in the kernel, and make another", () => {
  using a = new RingNode(1);
  using b = new RingNode(2);
  a.listen();
  b.listen();
  a.links.setAddress(2, "127.0.0.1", b.port);
  const before = openDescriptors();
  setFault(testShim(), 6, { opcodes: [Op.Connect], ring: a.ring.index, errno: 110, count: 2 });
  a.links.send(2, 0, Lane.CONTROL, 4, RECORDS, 10);
  until([a, b], () => a.news.length > 0, "news");
  assert.deepEqual(a.news, ["refused 2"]);
  until([a, b], () => a.links.isUp(2), "up");
  assert.equal(clearFault(testShim(), 6), 2);
  assert.equal(openDescriptors(), before + 2, "the two ends of one connection");
  end([a, b]);
});
