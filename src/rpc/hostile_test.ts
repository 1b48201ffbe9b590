import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import type { ClientEnd } from "../../tests/sim/memory_sockets.ts";
import {
  RPC_DATA_RECEIVE_SIZE,
  RPC_GREETING_MS,
  RPC_GREETINGS_MAX,
  RPC_STALL_MS,
} from "../base/limits.ts";
import { FRAME_HEADER_SIZE, writeFrameHeader } from "./frame.ts";
import { FrameVerdict } from "./peer_links.ts";
import {
  ANSWER_SIZE,
  GreetingStatus,
  Lane,
  type Preamble,
  PREAMBLE_SIZE,
  readAnswer,
  writeAnswer,
  writePreamble,
} from "./preamble.ts";
import { bytesOf, CLUSTER, PORT, TestBench, type TestShard } from "./test_links.ts";

const PREAMBLE: Preamble = {
  lane: Lane.DATA,
  clusterId: CLUSTER,
  nodeId: 7,
  incarnation: "7".repeat(32),
  process: 7,
  fromShard: 2,
  shardCount: 4,
  targetShard: 0,
  targetNode: 1,
  logicalVersion: 9,
};

/** A node that a test plays: it connects to node 1 and sends what it likes. */
class Liar {
  readonly end: ClientEnd;
  readonly bench: TestBench;
  readonly target: TestShard;
  sequence = 0;

  constructor(bench: TestBench) {
    this.bench = bench;
    this.target = bench.shardOf(1, 0)!;
    const { socket, client } = this.target.sockets.addClient();
    this.end = client;
    this.target.greeter.adopt(socket, "10.6.6.6:6");
  }

  preamble(change: Partial<Preamble> = {}): Uint8Array {
    const at = this.bench.scratch(new Uint8Array(PREAMBLE_SIZE));
    writePreamble(this.bench.memory, at, { ...PREAMBLE, ...change }, this.bench.crc32c);
    return this.bench.memory.bytes.slice(at, at + PREAMBLE_SIZE);
  }

  frame(payload: Uint8Array, type = 1, sequence = this.sequence++): Uint8Array {
    const { memory, crc32c } = this.bench;
    const at = this.bench.scratch(new Uint8Array(FRAME_HEADER_SIZE + payload.length));
    memory.bytes.set(payload, at + FRAME_HEADER_SIZE);
    const crc = crc32c(at + FRAME_HEADER_SIZE, payload.length, 0);
    writeFrameHeader(memory.view, at, type, payload.length, sequence, crc, crc32c);
    return memory.bytes.slice(at, at + FRAME_HEADER_SIZE + payload.length);
  }

  /** Says who it is, and waits until it is accepted. */
  greet(): void {
    this.end.send(this.preamble());
    this.bench.until(() => this.received === ANSWER_SIZE, "an answer");
    assert.equal(this.answer(), GreetingStatus.OK);
  }

  get received(): number {
    return this.end.fromServer.reduce((sum, part) => sum + part.length, 0);
  }

  answer(): GreetingStatus {
    const at = this.bench.scratch(this.end.take());
    const answer = readAnswer(this.bench.memory, at, this.bench.crc32c);
    assert(answer !== null && answer !== "version");
    return answer.status;
  }

  untilClosed(what: string, boundMs = 100): void {
    this.bench.until(() => this.end.closed, what, boundMs);
  }
}

Deno.test("Greeter answers a preamble that it refuses, and closes", () => {
  const cases: [Partial<Preamble>, GreetingStatus][] = [
    [{ clusterId: "d".repeat(32) }, GreetingStatus.OTHER_CLUSTER],
    [{ targetShard: 1 }, GreetingStatus.NO_SUCH_SHARD],
    [{ targetNode: 3 }, GreetingStatus.OTHER_NODE],
    [{ nodeId: 1 }, GreetingStatus.SAME_ID],
    [{ nodeId: 1, incarnation: "1".repeat(32), process: 2 }, GreetingStatus.SAME_ID],
    [{ nodeId: 1, incarnation: "1".repeat(32), process: 1 }, GreetingStatus.SELF],
  ];
  for (const [change, status] of cases) {
    const bench = new TestBench(1);
    const liar = new Liar(bench);
    liar.end.send(liar.preamble(change));
    liar.untilClosed("closed");
    assert.equal(liar.answer(), status);
    assert.equal(liar.target.log.length, status === GreetingStatus.SELF ? 0 : 1);
    bench.end();
  }
});

Deno.test("Greeter tells a node of another version so, and says nothing to what is no node", () => {
  const bench = new TestBench(1);
  const newer = new Liar(bench);
  const preamble = newer.preamble();
  preamble[4] = 2;
  newer.end.send(preamble);
  newer.untilClosed("closed");
  assert.equal(newer.answer(), GreetingStatus.VERSION);
  const stray = new Liar(bench);
  stray.end.send(new TextEncoder().encode("GET / HTTP/1.1\r\n".repeat(8)));
  stray.untilClosed("closed");
  assert.equal(stray.received, 0);
  for (const [at, value] of [[6, 2], [27, 0x80], [44, 4], [46, 0], [76, 1]] as const) {
    const liar = new Liar(bench);
    const bytes = liar.preamble();
    bytes[at]! ^= value === 0 ? bytes[at]! : value;
    const address = bench.scratch(bytes);
    // Its checksum fits, except where that is what is wrong.
    const crc = bench.crc32c(address, PREAMBLE_SIZE - 4, 0);
    if (at < PREAMBLE_SIZE - 4) new DataView(bytes.buffer).setUint32(PREAMBLE_SIZE - 4, crc, true);
    liar.end.send(bytes);
    liar.untilClosed(`byte ${at}`);
    assert.equal(liar.received, 0, `byte ${at}`);
  }
  bench.end();
});

Deno.test("Greeter closes who says nothing, and the oldest where there are too many", () => {
  const bench = new TestBench(2);
  const silent = Array.from({ length: RPC_GREETINGS_MAX }, () => new Liar(bench));
  silent[1]!.end.send(silent[1]!.preamble().slice(0, 79));
  bench.pass(10);
  const refused = new Liar(bench);
  refused.untilClosed("one too many");
  silent[0]!.untilClosed("the oldest");
  const next = new Liar(bench);
  next.greet();
  assert.equal(silent.filter(({ end }) => end.closed).length, 1);
  bench.pass(2 * RPC_GREETING_MS, 1);
  assert(silent.every(({ end }) => end.closed));
  assert(!next.end.closed);
  bench.end();
});

Deno.test("IncomingLink ends with the first wrong frame, and takes all before it", () => {
  const good = (liar: Liar): Uint8Array => liar.frame(bytesOf(100, liar.sequence));
  const wrong: [string, RegExp, (liar: Liar) => Uint8Array][] = [
    ["magic", /no frame/, (liar) => flip(good(liar), 0)],
    ["version", /version/, (liar) => flip(good(liar), 2)],
    ["type", /checksum/, (liar) => flip(good(liar), 3)],
    ["length", /checksum/, (liar) => flip(good(liar), 6)],
    ["header", /checksum/, (liar) => flip(good(liar), 20)],
    ["payload", /payload/, (liar) => flip(good(liar), 60)],
    ["twice", /twice/, (liar) => liar.frame(bytesOf(1, 1), 1, 2)],
    ["missing", /missing/, (liar) => liar.frame(bytesOf(1, 1), 1, 4)],
    ["too large", /too large/, (liar) => header(liar, 2 ** 32 - 1)],
  ];
  for (const [what, pattern, make] of wrong) {
    const bench = new TestBench(3);
    const liar = new Liar(bench);
    liar.greet();
    for (let i = 0; i < 3; i++) liar.end.send(good(liar));
    liar.end.send(make(liar));
    liar.end.send(good(liar));
    liar.untilClosed(what);
    assert.equal(liar.target.arrived.length, 3, what);
    assert.match(liar.target.log.join("\n"), pattern);
    assert.equal(liar.target.blocks.peerFrames.usedMax, 0, "memory for a length that is wrong");
    bench.end();
  }
});

Deno.test("IncomingLink takes memory for a large frame when its block is full of it", () => {
  const bench = new TestBench(4);
  const liar = new Liar(bench);
  liar.greet();
  const frame = liar.frame(bytesOf(900_000, 1));
  liar.end.send(frame.slice(0, RPC_DATA_RECEIVE_SIZE - 1));
  bench.pass(20);
  assert.equal(liar.target.blocks.peerFrames.used, 0);
  liar.end.send(frame.slice(RPC_DATA_RECEIVE_SIZE - 1, RPC_DATA_RECEIVE_SIZE + 1));
  bench.until(() => liar.target.blocks.peerFrames.used > 0, "a block");
  liar.end.send(frame.slice(RPC_DATA_RECEIVE_SIZE + 1));
  bench.until(() => liar.target.arrived.length === 1, "the frame");
  assert.deepEqual(liar.target.arrived[0]!.payload, bytesOf(900_000, 1));
  assert.equal(liar.target.blocks.peerFrames.used, 0);
  bench.end();
});

Deno.test("IncomingLink waits for memory without being blamed, and others are served", () => {
  const bench = new TestBench(5);
  const liar = new Liar(bench);
  liar.greet();
  const { blocks } = liar.target;
  const taken: number[] = [];
  for (let at = 0; at >= 0;) {
    at = blocks.allocatePeerFrame(1 << 20);
    if (at >= 0) taken.push(at);
  }
  liar.end.send(liar.frame(bytesOf(600_000, 1)));
  bench.pass(2 * RPC_STALL_MS, 5);
  assert.equal(liar.target.arrived.length, 0);
  assert(!liar.end.closed);
  const b = bench.shardOf(2, 0)!;
  b.send(1, 1, bytesOf(10_000, 1), Lane.DATA);
  bench.until(() => liar.target.arrived.length === 1, "a frame of another node");
  for (const at of taken) blocks.releasePeerFrame(at);
  bench.until(() => liar.target.arrived.length === 2, "the large one");
  bench.end();
});

Deno.test("IncomingLink ends where a frame is begun and not finished, or comes drop by drop", () => {
  for (const drops of [false, true]) {
    const bench = new TestBench(6);
    const liar = new Liar(bench);
    liar.greet();
    liar.end.send(liar.frame(bytesOf(10, 1)));
    bench.until(() => liar.target.arrived.length === 1, "a frame");
    // Between frames a node may be silent for as long as it likes.
    bench.pass(4 * RPC_STALL_MS, 10);
    assert(!liar.end.closed);
    const frame = liar.frame(bytesOf(1_000_000, 2));
    liar.end.send(frame.slice(0, 300_000));
    let at = 300_000;
    const fromMs = bench.nowMs;
    while (!liar.end.closed && bench.nowMs < fromMs + 4 * RPC_STALL_MS) {
      if (drops) liar.end.send(frame.slice(at, at += 2));
      bench.turn(5);
    }
    assert(liar.end.closed);
    assert.match(liar.target.log.join("\n"), /begun and not finished/);
    bench.end();
  }
});

Deno.test("IncomingLink delivers nothing that was not sent, whatever bytes come", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1 << 30 }),
      fc.array(fc.integer({ min: 0, max: 9_000 }), { minLength: 1, maxLength: 8 }),
      fc.array(
        fc.record({ at: fc.nat(), bit: fc.integer({ min: 0, max: 7 }), drop: fc.nat({ max: 3 }) }),
        { maxLength: 3 },
      ),
      (seed, sizes, damages) => {
        const bench = new TestBench(seed);
        const liar = new Liar(bench);
        liar.greet();
        const parts = sizes.map((size, i) => liar.frame(bytesOf(size, i), i));
        let stream = parts.flatMap((part) => [...part]);
        let firstDamage = stream.length;
        for (const { at, bit, drop } of damages) {
          const place = at % stream.length;
          firstDamage = Math.min(firstDamage, place);
          if (drop > 0) stream = [...stream.slice(0, place), ...stream.slice(place + drop)];
          else stream[place]! ^= 1 << bit;
          if (stream.length === 0) break;
        }
        liar.end.send(Uint8Array.from(stream));
        liar.end.ended = true;
        liar.untilClosed("the end of the stream");
        const { arrived } = liar.target;
        let whole = 0;
        for (let end = 0; whole < parts.length; whole++) {
          end += parts[whole]!.length;
          if (end > firstDamage) break;
        }
        assert(arrived.length >= whole, "a frame before the damage is missing");
        arrived.forEach(({ payload, type }, i) => {
          assert.equal(type, i);
          assert.deepEqual(payload, bytesOf(sizes[i]!, i));
        });
        bench.end();
      },
    ),
    { numRuns: 80 },
  );
});

/** A server that answers node 1's preamble with bytes of the test's choice. */
function answerWith(bench: TestBench, answer: (address: number) => Uint8Array): TestShard {
  const a = bench.shardOf(1, 0)!;
  const b = bench.shardOf(2, 0)!;
  bench.network.listen("10.0.0.1", PORT + 2, b.sockets, (socket) => {
    const at = bench.records;
    const bytes = answer(at);
    bench.memory.bytes.set(bytes, at);
    b.sockets.send(socket, at, bytes.length, false, { complete: () => {} });
  });
  return a;
}

Deno.test("OutgoingLink trusts no answer, and tries again later", () => {
  const cases: ((bench: TestBench, at: number) => Uint8Array)[] = [
    () => bytesOf(ANSWER_SIZE, 5),
    (bench, at) => flip(okAnswer(bench, at), 48),
    (bench, at) => {
      const bytes = okAnswer(bench, at);
      bytes[4] = 9;
      return bytes;
    },
    // More than an answer.
    (bench, at) => Uint8Array.from([...okAnswer(bench, at), 1]),
  ];
  for (const make of cases) {
    const bench = new TestBench(7);
    const a = answerWith(bench, (at) => make(bench, at));
    a.links.contact(2);
    bench.until(() => a.news.some((news) => news === "refused 2" || news === "down 2"), "news");
    const before = a.sockets.openSockets.length;
    bench.pass(10_000, 1);
    assert(a.sockets.openSockets.length <= before + 1, "connections pile up");
    a.links.stop();
    bench.pass(10);
    assert(a.links.isOver);
    assert.equal(a.blocks.links.used, 0);
  }
});

Deno.test("OutgoingLink ends where the answer does not come, or stops half-way", () => {
  for (const length of [0, 1, ANSWER_SIZE - 1]) {
    const bench = new TestBench(8);
    const a = answerWith(bench, (at) => okAnswer(bench, at).slice(0, length));
    a.links.contact(2);
    bench.until(() => a.news.length > 0, "news", RPC_GREETING_MS + 10);
    assert.deepEqual(a.news, ["refused 2"]);
    a.links.stop();
    bench.pass(10);
    assert(a.links.isOver);
  }
});

Deno.test("FrameVerdict HELD at the end of a connection leaves nothing behind", () => {
  const bench = new TestBench(9);
  const liar = new Liar(bench);
  liar.greet();
  liar.target.verdicts = [FrameVerdict.HELD];
  liar.end.send(liar.frame(bytesOf(500_000, 1)));
  bench.until(() => liar.target.verdicts.length === 0, "held");
  liar.end.ended = true;
  liar.end.gone = true;
  bench.pass(100);
  liar.target.links.resume();
  liar.untilClosed("the end is seen once the frame was taken");
  bench.end();
});

function okAnswer(bench: TestBench, at: number): Uint8Array {
  const { identity } = bench.shardOf(2, 0)!;
  const answer = { ...identity, status: GreetingStatus.OK, frameSizeMax: 1 << 20 };
  writeAnswer(bench.memory, at, answer, bench.crc32c);
  return bench.memory.bytes.slice(at, at + ANSWER_SIZE);
}

function flip(bytes: Uint8Array, at: number): Uint8Array {
  bytes[at]! ^= 1;
  return bytes;
}

/** A header that announces a payload which does not follow. */
function header(liar: Liar, length: number): Uint8Array {
  const { memory, crc32c } = liar.bench;
  const at = liar.bench.scratch(new Uint8Array(FRAME_HEADER_SIZE));
  writeFrameHeader(memory.view, at, 1, length, liar.sequence++, 0, crc32c);
  return memory.bytes.slice(at, at + FRAME_HEADER_SIZE);
}
