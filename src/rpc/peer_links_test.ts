import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import { RPC_CONTROL_FRAME_MAX, RPC_QUEUE_FRAMES_MAX, RPC_STALL_MS } from "../base/limits.ts";
import { RangeList } from "../bytes/range_list.ts";
import { type FrameOwner, FrameVerdict, Lane, SendOutcome } from "./peer_links.ts";
import { GreetingStatus } from "./preamble.ts";
import { bytesOf, PORT, TestBench, type TestShard } from "./test_links.ts";

/** Told once when a frame is over. */
class Owner implements FrameOwner {
  readonly over: boolean[] = [];

  onFrameOver(sent: boolean): void {
    this.over.push(sent);
  }
}

function pairOf(bench: TestBench): [TestShard, TestShard] {
  return [bench.shardOf(1, 0)!, bench.shardOf(2, 0)!];
}

/** Queues a frame of records whose bytes follow from `seed`. */
function sendRecords(
  from: TestShard,
  node: number,
  seed: number,
  sizes: readonly number[],
  owner: FrameOwner,
): number {
  const { bench } = from;
  const ranges = new RangeList(2);
  let at = bench.records;
  for (const size of sizes) {
    bench.memory.bytes.set(bytesOf(size, seed + at), at);
    ranges.push(at, size);
    // A gap: neighbours would be joined.
    at += size + 1;
  }
  return from.sendRanges(node, 3, bytesOf(20, seed), ranges, owner);
}

Deno.test("PeerLinks send small frames both ways, in order, over a link for each lane", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const bench = new TestBench(seed);
    const [a, b] = pairOf(bench);
    for (let i = 0; i < 200; i++) {
      assert.equal(a.send(2, i & 0x7f, bytesOf(i, i)), SendOutcome.QUEUED);
      assert.equal(b.send(1, i & 0x7f, bytesOf(2 * i, i), Lane.DATA), SendOutcome.QUEUED);
      if (i % 10 === 0) bench.turn();
    }
    bench.until(() => a.arrived.length === 200 && b.arrived.length === 200, "all frames");
    for (let i = 0; i < 200; i++) {
      const { node, fromShard, type, payload } = b.arrived[i]!;
      assert.deepEqual({ node, fromShard, type }, { node: 1, fromShard: 0, type: i & 0x7f });
      assert.deepEqual(payload, bytesOf(i, i));
      assert.deepEqual(a.arrived[i]!.payload, bytesOf(2 * i, i));
    }
    assert.deepEqual([a.news, b.news], [["up 2"], ["up 1"]]);
    assert(a.links.isUp(2) && a.links.shardCountOf(2) === 1);
    bench.end();
  }
});

Deno.test("PeerLinks send records in place, and let go of them exactly once", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const bench = new TestBench(seed);
    const [a, b] = pairOf(bench);
    const owner = new Owner();
    const sizes = [1, 70_000, 4096, 300_000];
    const before = bench.memory.bytes.slice(bench.records, bench.records + 400_000);
    assert.equal(sendRecords(a, 2, seed, sizes, owner), SendOutcome.QUEUED);
    const records = bench.memory.bytes.slice(bench.records, bench.records + 400_000);
    assert.notDeepEqual(before, records);
    bench.until(() => owner.over.length > 0, "sent");
    // What the test does with them now changes nothing.
    bench.memory.bytes.fill(0, bench.records, bench.records + 400_000);
    bench.until(() => b.arrived.length === 1, "arrived");
    const expected: number[] = [...bytesOf(20, seed)];
    let at = 0;
    for (const size of sizes) {
      for (let i = 0; i < size; i++) expected.push(records[at + i]!);
      at += size + 1;
    }
    assert.deepEqual(b.arrived[0]!.payload, Uint8Array.from(expected));
    assert.deepEqual(owner.over, [true]);
    bench.end();
    assert.deepEqual(owner.over, [true]);
  }
});

Deno.test("PeerLinks give back records that never left, whenever the connection breaks", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const bench = new TestBench(seed);
    const [a, b] = pairOf(bench);
    const owners = Array.from({ length: 8 }, () => new Owner());
    let queued = 0;
    for (const owner of owners) {
      if (sendRecords(a, 2, seed, [100_000, 5], owner) === SendOutcome.QUEUED) queued++;
    }
    assert(queued > 1);
    for (let i = 0; i < seed % 50; i++) bench.turn();
    for (const socket of a.sockets.openSockets) a.sockets.cut(socket);
    bench.unlistenAll();
    bench.until(() => a.news.includes("refused 2"), "the news");
    const told = owners.filter(({ over }) => over.length > 0);
    assert.equal(told.length, queued);
    // Those that were sent are the first ones.
    const sent = owners.map(({ over }) => over[0] === true);
    assert(!sent.slice(0, queued).join().includes("false,true"));
    assert(b.arrived.length <= sent.filter((one) => one).length, "a frame that was lost arrived");
    assert(owners.every(({ over }) => over.length <= 1));
    assert.equal(a.send(2, 1, bytesOf(3, 1), Lane.DATA), SendOutcome.DOWN);
    bench.end();
    assert(owners.every(({ over }) => over.length <= 1));
  }
});

Deno.test("PeerLinks tell at once that a connection broke and that nobody listens any more", () => {
  const bench = new TestBench(1);
  const [a, b] = pairOf(bench);
  a.links.contact(2);
  bench.until(() => a.links.isUp(2), "up");
  bench.pass(2_000);
  // As a SIGKILL: connections are reset, and the port refuses.
  b.unlisten();
  for (const socket of b.sockets.openSockets) b.sockets.cut(socket);
  const fromMs = bench.nowMs;
  bench.until(() => a.news.length === 3, "news");
  assert(bench.nowMs - fromMs < 5, `${bench.nowMs - fromMs} ms`);
  assert.deepEqual(a.news, ["up 2", "down 2", "refused 2"]);
  assert(!a.links.isUp(2));
  // Attempts go on, less and less often, and are no news.
  bench.pass(20_000, 1);
  assert.equal(a.news.length, 3);
  assert(a.log.length <= 4, a.log.join("\n"));
  b.listen();
  bench.until(() => a.links.isUp(2), "up again", 1_200);
  assert.deepEqual(a.news, ["up 2", "down 2", "refused 2", "up 2"]);
  bench.end();
});

Deno.test("PeerLinks try again at once when the node comes to us", () => {
  const bench = new TestBench(2);
  const [a, b] = pairOf(bench);
  b.unlisten();
  a.links.contact(2);
  bench.pass(30_000, 1);
  assert.deepEqual(a.news, ["refused 2"]);
  b.listen();
  const fromMs = bench.nowMs;
  b.links.contact(1);
  bench.until(() => a.links.isUp(2), "up");
  assert(bench.nowMs - fromMs < 50, `${bench.nowMs - fromMs} ms`);
  bench.end();
});

Deno.test("PeerLinks wait for no host that is silent: attempts end, and frames are over", () => {
  const bench = new TestBench(3);
  const [a] = pairOf(bench);
  bench.network.silent.add(`10.0.0.1:${PORT + 2}`);
  const owner = new Owner();
  sendRecords(a, 2, 1, [10], owner);
  bench.until(() => a.news.length > 0, "news", 4_000);
  assert.deepEqual(a.news, ["refused 2"]);
  bench.until(() => owner.over.length === 1, "the frame is over", 10);
  assert.deepEqual(owner.over, [false]);
  bench.end();
});

Deno.test("PeerLinks end a connection whose peer takes nothing; other nodes are not concerned", () => {
  const bench = new TestBench(4, [1, 1, 1]);
  const [a, b] = pairOf(bench);
  const c = bench.shardOf(3, 0)!;
  a.send(2, 1, bytesOf(10, 1));
  a.send(3, 1, bytesOf(10, 1));
  bench.until(() => b.arrived.length + c.arrived.length === 2, "up");
  for (const socket of a.sockets.openSockets) {
    const end = a.sockets.endOf(socket)!;
    if (
      end.opposite !== null &&
      b.sockets.openSockets.some((s) => b.sockets.endOf(s) === end.opposite)
    ) {
      end.stalled = true;
    }
  }
  let full = 0;
  let down = 0;
  for (let i = 0; i < 60; i++) {
    const outcome = a.send(2, 2, bytesOf(2_000, i));
    if (outcome === SendOutcome.FULL) full++;
    if (outcome === SendOutcome.DOWN) down++;
    assert.equal(a.send(3, 2, bytesOf(2_000, i)), SendOutcome.QUEUED);
    bench.turn();
  }
  assert(full > 0 && down === 0);
  bench.until(() => c.arrived.length === 61, "the others' frames", 100);
  bench.until(() => a.news.includes("down 2"), "the end of the stalled link", RPC_STALL_MS + 1_500);
  bench.until(() => a.news.filter((news) => news === "up 2").length === 2, "a new connection");
  assert.equal(a.send(2, 3, bytesOf(5, 5)), SendOutcome.QUEUED);
  bench.until(() => b.arrived.some(({ type }) => type === 3), "frames go on");
  assert(!a.news.includes("down 3"));
  bench.end();
});

Deno.test("PeerLinks refuse what has no room, and say when there is room", () => {
  const bench = new TestBench(5);
  const [a, b] = pairOf(bench);
  let queued = 0;
  while (a.send(2, 1, bytesOf(0, 0)) === SendOutcome.QUEUED) queued++;
  assert.equal(queued, RPC_QUEUE_FRAMES_MAX);
  bench.until(() => a.news.includes("room 2.0"), "room");
  bench.until(() => b.arrived.length === queued, "frames");
  assert.equal(a.send(2, 1, bytesOf(RPC_CONTROL_FRAME_MAX, 0)), SendOutcome.QUEUED);
  assert.equal(a.send(2, 1, bytesOf(RPC_CONTROL_FRAME_MAX + 1, 0)), SendOutcome.TOO_LARGE);
  bench.until(() => b.arrived.length === queued + 1, "the largest");
  // Records: one frame may be larger than the queue, further ones wait.
  const owners = [new Owner(), new Owner()];
  const limit = a.blocks.peerQueueMax;
  assert.equal(sendRecords(a, 2, 1, [limit + 1], owners[0]!), SendOutcome.QUEUED);
  assert.equal(sendRecords(a, 2, 1, [1], owners[1]!), SendOutcome.FULL);
  const ranges = new RangeList(1);
  ranges.push(bench.records, 1 << 22);
  assert.equal(a.sendRanges(2, 1, bytesOf(1, 1), ranges, owners[1]!), SendOutcome.TOO_LARGE);
  bench.until(() => owners[0]!.over.length === 1, "sent");
  bench.end();
  assert.deepEqual(owners.map(({ over }) => over), [[true], []]);
});

Deno.test("PeerLinks receive nothing behind a frame that is held, and other links go on", () => {
  const bench = new TestBench(6);
  const [a, b] = pairOf(bench);
  b.verdicts = [FrameVerdict.HELD];
  const large = new Owner();
  sendRecords(a, 2, 9, [400_000], large);
  for (let i = 0; i < 10; i++) assert.equal(a.send(2, 4, bytesOf(3_000, i), Lane.DATA), 0);
  bench.until(() => b.verdicts.length === 0, "held");
  a.send(2, 5, bytesOf(8, 1), Lane.CONTROL);
  bench.until(() => b.arrived.length === 1, "the other lane");
  assert.equal(b.arrived[0]!.type, 5);
  b.verdicts = [FrameVerdict.HELD];
  // Held for longer than a peer may stall: it is we who wait.
  bench.pass(3 * RPC_STALL_MS, 5);
  assert.equal(b.arrived.length, 1);
  assert.equal(b.verdicts.length, 1, "offered again without being asked");
  b.links.resume();
  assert.equal(b.verdicts.length, 0);
  b.links.resume();
  bench.until(() => b.arrived.length === 12, "all");
  assert.equal(b.arrived[1]!.payload.length, 400_020);
  for (let i = 0; i < 10; i++) assert.deepEqual(b.arrived[2 + i]!.payload, bytesOf(3_000, i));
  bench.end();
});

Deno.test("PeerLinks close the link of a frame that makes no sense, and log it", () => {
  const bench = new TestBench(7);
  const [a, b] = pairOf(bench);
  b.verdicts = [FrameVerdict.TAKEN, FrameVerdict.WRONG];
  a.send(2, 1, bytesOf(3, 1));
  a.send(2, 77, bytesOf(3, 1));
  bench.until(() => a.news.includes("down 2"), "closed");
  assert.equal(b.arrived.length, 1);
  assert.match(b.log.join("\n"), /Closed a node's connection .*type 77 makes no sense/);
  bench.until(() => a.news.at(-1) === "up 2", "a new connection");
  bench.end();
});

Deno.test("PeerLinks go from any shard to any shard, and learn how many there are", () => {
  const bench = new TestBench(8, [2, 3]);
  const from = bench.shardOf(1, 1)!;
  assert.equal(from.links.shardCountOf(2), 0);
  from.links.contact(2);
  bench.until(() => from.links.isUp(2), "up");
  assert.equal(from.links.shardCountOf(2), 3);
  for (let shard = 0; shard < 3; shard++) {
    from.send(2, 1, bytesOf(5, shard), Lane.DATA, shard);
    const to = bench.shardOf(2, shard)!;
    bench.until(() => to.arrived.length === 1, `shard ${shard}`);
    assert.equal(to.links.shardCountOf(1), 2, "a preamble says it, too");
    assert.deepEqual(to.arrived[0], { node: 1, fromShard: 1, type: 1, payload: bytesOf(5, shard) });
  }
  from.send(2, 1, bytesOf(5, 1), Lane.DATA, 3);
  bench.until(
    () => from.news.includes(`status 2 ${GreetingStatus.NO_SUCH_SHARD}`),
    "no such shard",
  );
  assert(!from.news.includes("refused 2"), "the node itself is there");
  // A shard that is gone is not looked for again.
  const { length } = from.news;
  bench.pass(60_000, 10);
  assert.deepEqual(from.news.slice(length), []);
  from.send(2, 1, bytesOf(5, 9), Lane.DATA, 2);
  bench.until(() => bench.shardOf(2, 2)!.arrived.length === 2, "a frame to a shard that is there");
  bench.end();
});

Deno.test("PeerLinks find a name's address first, and each time anew", () => {
  const bench = new TestBench(9);
  const [a] = pairOf(bench);
  a.links.forget(2);
  a.links.setAddress(2, "kafka-b", PORT + 2);
  a.links.contact(2);
  bench.until(() => a.news.length === 1, "no such name");
  assert.deepEqual(a.news, ["refused 2"]);
  bench.names.set("kafka-b", "10.0.0.1");
  bench.until(() => a.links.isUp(2), "up");
  bench.end();
});

Deno.test("PeerLinks leave an address that has changed", () => {
  const bench = new TestBench(10);
  const [a, b] = pairOf(bench);
  a.links.setAddress(2, "10.9.9.9", 1);
  a.links.contact(2);
  bench.until(() => a.news.length === 1, "refused");
  bench.pass(10_000, 1);
  a.links.setAddress(2, "10.0.0.1", PORT + 2);
  bench.until(() => a.links.isUp(2), "up", 50);
  a.send(2, 1, bytesOf(1, 1));
  bench.until(() => b.arrived.length === 1, "arrived");
  // What was sent last may be lost: that is told, but not from inside the call.
  const { length } = a.news;
  a.send(2, 1, bytesOf(1, 2));
  a.links.setAddress(2, "10.9.9.9", 1);
  assert.deepEqual(a.news.slice(length), []);
  bench.until(() => a.news.length > length, "the end of the link");
  assert.equal(a.news[length], "down 2");
  bench.end();
});

Deno.test("PeerLinks of seeds: who answers is told, oneself and other clusters included", () => {
  const bench = new TestBench(11, [1, 1, 1]);
  const [a, b] = pairOf(bench);
  const c = bench.shardOf(3, 0)!;
  b.identity = { ...b.identity, clusterId: "0".repeat(32) };
  c.identity = { ...c.identity, clusterId: "d".repeat(32) };
  for (let seed = 1; seed <= 3; seed++) {
    a.links.setAddress(-1 - seed, "10.0.0.1", PORT + seed);
    a.links.contact(-1 - seed);
  }
  bench.until(() => a.news.length === 3, "answers");
  assert.deepEqual(a.news.sort(), [
    `status -2 ${GreetingStatus.SELF}`,
    `status -4 ${GreetingStatus.OTHER_CLUSTER}`,
    "up -3",
  ]);
  assert.equal(a.links.identityOf(-3)?.nodeId, 2);
  assert.equal(a.links.identityOf(-3)?.clusterId, "0".repeat(32));
  assert.equal(a.links.identityOf(-2)?.nodeId, 1);
  for (let seed = 1; seed <= 3; seed++) a.links.forget(-1 - seed);
  bench.pass(100);
  assert.equal(a.links.identityOf(-3), null);
  bench.end();
});

Deno.test("PeerLinks hear control messages again, although memory is full by then", () => {
  const bench = new TestBench(14);
  const [a, b] = pairOf(bench);
  a.send(2, 1, bytesOf(1, 1));
  bench.until(() => b.arrived.length === 1, "up");
  const taken: number[] = [];
  for (let at = 0; at >= 0;) {
    at = b.blocks.allocateLink(4096);
    if (at >= 0) taken.push(at);
  }
  for (let round = 1; round <= 3; round++) {
    for (const socket of a.sockets.openSockets) a.sockets.cut(socket);
    bench.until(() => !a.links.isUp(2), "broken");
    bench.until(() => a.links.isUp(2), "up again");
    assert.equal(a.send(2, 1, bytesOf(1, 1)), SendOutcome.QUEUED);
    bench.until(() => b.arrived.length === 1 + round, "heard");
  }
  for (const at of taken) b.blocks.releaseLink(at);
  bench.end();
});

Deno.test("PeerLinks without memory for a link say so on both sides, with what helps, and go on when there is some", () => {
  const bench = new TestBench(8);
  const [a, b] = pairOf(bench);
  const fill = (shard: typeof a): number[] => {
    const blocks: number[] = [];
    for (let at = 0; at >= 0;) {
      at = shard.blocks.allocateLink(64 * 1024);
      if (at >= 0) blocks.push(at);
    }
    return blocks;
  };
  const ofB = fill(b);
  a.links.contact(2);
  bench.until(() => a.news.includes("status 2 4"), "the refusal");
  assert.match(a.log.join(), /"why":"it has no room for another connection/);
  assert.match(
    b.log.join(),
    /Cannot take a node's connection: no memory .*raise --memory: each shard needs 2304 KiB/,
  );
  const ofA = fill(a);
  assert.equal(a.send(2, 7, bytesOf(1, 1), 1), SendOutcome.DOWN);
  bench.until(() => /Cannot connect to a node: no memory/.test(a.log.join()), "the words");
  for (const block of ofB) b.blocks.releaseLink(block);
  bench.until(() => a.news.includes("up 2"), "a link");
  for (const block of ofA) a.blocks.releaseLink(block);
  bench.end();
});

Deno.test("PeerLinks set no timer where there is nobody", () => {
  const bench = new TestBench(15);
  const [a, b] = pairOf(bench);
  a.send(2, 1, bytesOf(1, 1));
  bench.until(() => b.arrived.length === 1, "up");
  a.links.forget(2);
  b.links.forget(1);
  bench.pass(10_000, 10);
  assert.equal(bench.timers.nextDeadlineMs(), Infinity);
  bench.end();
});

Deno.test("PeerLinks refuse a node with the same id, and one at another node's address", () => {
  const bench = new TestBench(12, [1, 1, 1]);
  const [a, b] = pairOf(bench);
  b.identity = { ...b.identity, nodeId: 1 };
  a.links.contact(2);
  bench.until(() => a.news.length === 1, "same id");
  assert.deepEqual(a.news, [`status 2 ${GreetingStatus.SAME_ID}`]);
  // Node 3's address is node 2's.
  const c = bench.shardOf(3, 0)!;
  b.identity = { ...b.identity, nodeId: 2 };
  c.links.setAddress(1, "10.0.0.1", PORT + 2);
  c.links.contact(1);
  bench.until(() => c.news.length === 1, "another node");
  assert.deepEqual(c.news, [`status 1 ${GreetingStatus.OTHER_NODE}`]);
  bench.end();
});

Deno.test("PeerLinks of a node's new process end those of the last one", () => {
  const bench = new TestBench(13);
  const [a, b] = pairOf(bench);
  a.send(2, 1, bytesOf(1, 1), Lane.DATA);
  bench.until(() => b.arrived.length === 1, "up");
  // Its host lost power: nobody told us that the old connection is over.
  a.identity = { ...a.identity, process: 77 };
  a.send(2, 1, bytesOf(1, 1), Lane.CONTROL);
  bench.until(() => a.news.includes("down 2"), "the old link ends");
  bench.until(() => b.arrived.length === 2, "the new one serves");
  bench.end();
});

Deno.test("PeerLinks deliver a prefix of each connection's frames, whatever is cut, and end clean", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1 << 30 }),
      fc.array(
        fc.record({
          records: fc.boolean(),
          size: fc.integer({ min: 0, max: 200_000 }),
          cutAfter: fc.option(fc.integer({ min: 0, max: 60 }), { nil: null, freq: 4 }),
          held: fc.boolean(),
        }),
        { minLength: 1, maxLength: 12 },
      ),
      (seed, steps) => {
        const bench = new TestBench(seed);
        const [a, b] = pairOf(bench);
        const owners: Owner[] = [];
        const queued: number[] = [];
        steps.forEach((step, i) => {
          const size = step.records ? step.size : step.size % 8_000;
          if (step.held) b.verdicts.push(FrameVerdict.HELD);
          const payload = bytesOf(size, i);
          let outcome: number;
          if (step.records) {
            const owner = new Owner();
            const at = bench.records + i * 220_000;
            bench.memory.bytes.set(payload, at);
            const ranges = new RangeList(1);
            ranges.push(at, size);
            outcome = a.sendRanges(2, i, new Uint8Array(0), ranges, owner);
            if (outcome === SendOutcome.QUEUED) owners.push(owner);
          } else {
            outcome = a.send(2, i, payload, Lane.DATA);
          }
          if (outcome === SendOutcome.QUEUED) queued.push(i);
          if (step.cutAfter !== null) {
            for (let turn = 0; turn < step.cutAfter; turn++) bench.turn();
            for (const socket of a.sockets.openSockets) a.sockets.cut(socket);
          }
          bench.turn();
          b.links.resume();
        });
        bench.until(
          () => {
            b.links.resume();
            return owners.every(({ over }) => over.length === 1) || !a.links.isUp(2);
          },
          "every frame is over",
        );
        bench.pass(100);
        // Each verdict that holds a frame takes a further offer.
        for (let offer = 0; offer < steps.length; offer++) {
          b.links.resume();
          bench.pass(20);
        }
        const types = b.arrived.map(({ type }) => type);
        assert.deepEqual(types, [...types].sort((x, y) => x - y), "out of order, or twice");
        assert.equal(new Set(types).size, types.length);
        assert(types.every((type) => queued.includes(type)));
        if (steps.every(({ cutAfter }) => cutAfter === null)) assert.deepEqual(types, queued);
        for (const { type, payload } of b.arrived) {
          const { records, size } = steps[type]!;
          assert.deepEqual(payload, bytesOf(records ? size : size % 8_000, type));
        }
        bench.end();
        assert(owners.every(({ over }) => over.length === 1));
        assert(!b.log.some((line) => line.includes("Closed")), b.log.join("\n"));
      },
    ),
    { numRuns: 60 },
  );
});
