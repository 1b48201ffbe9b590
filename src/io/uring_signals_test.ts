import { strict as assert } from "node:assert";
import { Uring, UringFailure, type UringOptions, wakeRing } from "./uring.ts";
import { type EchoOrder, SignalWords } from "./uring_signals_worker.ts";
import { finish, openTestRing, testMemory, testShim, Told } from "./uring_fixture.ts";
import { Op } from "./uring_ops.ts";

function nop(ring: Uring, done: Told): void {
  ring.start(Op.Nop, 0, 0, -1, 0, 0, 0, done);
}

/** Milliseconds that `act` takes. */
function timed(act: () => void): number {
  const start = performance.now();
  act();
  return performance.now() - start;
}

Deno.test("Uring turn() without a timeout only collects", () => {
  using ring = openTestRing();
  assert(timed(() => assert.equal(ring.turn(0, 0), 0)) < 500);
  const done = new Told();
  for (let i = 0; i < 64; i++) nop(ring, done);
  assert.equal(ring.pending, 64);
  assert.equal(ring.turn(0, 0), 64);
  assert.deepEqual([ring.pending, ring.prepared, done.count], [0, 0, 64]);
});

Deno.test("Uring turn() sleeps and polls as long as it may, and no longer", () => {
  using ring = openTestRing();
  for (const [timeoutUs, pollUs] of [[20_000, 0], [20_000, 5_000], [20_000, 50_000]] as const) {
    const tookMs = timed(() => assert.equal(ring.turn(timeoutUs, pollUs), 0));
    assert(tookMs >= 19.9 && tookMs < 1000, `${tookMs} ms with ${pollUs} us of polling`);
  }
});

Deno.test("a ring that cannot be opened says why", () => {
  using ring = openTestRing();
  const failsWith = (message: RegExp, index: number, options: UringOptions): void => {
    assert.throws(() => new Uring(testShim(), index, options), (error) => {
      assert(error instanceof UringFailure);
      assert.match(error.message, message);
      return true;
    });
  };
  failsWith(/errno 17/, ring.index, {});
  failsWith(/too old|Linux 6\.1/, ring.index + 100, { ops: 100 });
});

Deno.test("Uring gives a reused slot to its new operation", () => {
  using ring = openTestRing();
  for (let i = 0; i < 3000; i++) {
    assert.equal(finish(ring, (done) => ring.start(Op.Nop, 0, 0, -1, 0, 0, 0, done)), 0);
  }
  assert.equal(ring.pending, 0);
});

Deno.test("a doorbell to oneself arrives, one to a closed ring is counted", () => {
  using ring = openTestRing();
  ring.doorbell(ring.index);
  assert.equal(ring.turn(1_000_000, 0), 0);
  assert.equal(ring.doorbells, 1);
  ring.doorbell(255);
  ring.turn(0, 0);
  assert.deepEqual([ring.doorbells, ring.doorbellsFailed], [0, 1]);
});

Deno.test("doorbells reach a ring whose completions overflow, every one of them", () => {
  using sender = openTestRing();
  using target = openTestRing({ submissions: 8, completions: 16, ops: 8, dones: 8 });
  const count = 500;
  for (let i = 0; i < count; i++) sender.doorbell(target.index);
  sender.turn(0, 0);
  let arrived = 0;
  for (let i = 0; i < 2 * count && arrived < count; i++) {
    target.turn(1000, 0);
    arrived += target.doorbells;
  }
  assert.equal(arrived, count);
  assert.equal(sender.doorbellsFailed, 0);
});

Deno.test("wakeRing() ends a wait before or after it has begun", () => {
  using ring = openTestRing();
  wakeRing(testShim(), ring.index);
  assert(timed(() => ring.turn(1_000_000, 0)) < 500);
  assert.equal(ring.takeWake(), true);
  assert.equal(ring.takeWake(), false);
  assert.equal(ring.turn(1000, 0), 0);
  assert.equal(ring.takeWake(), false, "one call wakes once");
  wakeRing(testShim(), 255);
});

Deno.test("Uring watch() ends polling when the word says so, and says when it sleeps", async () => {
  using ring = openTestRing();
  const address = 4096;
  const word = new Int32Array(testMemory().bytes.buffer, address, 1);
  ring.watch(address);
  word[0] = 0;
  assert(timed(() => ring.turn(1_000_000, 1_000_000)) < 500, "a message had come already");
  assert(timed(() => ring.turn(1_000_000, 0)) < 500, "without polling too");
  word[0] = 2;
  assert(timed(() => ring.turn(20_000, 1_000)) >= 19.9);
  assert.equal(word[0], 1, "whoever has a message now must ring");
  word[0] = 2;
  ring.turn(0, 0);
  assert.equal(word[0], 2, "nothing slept");
  const source = `self.onmessage = (event) => {
    const { pointer, delayMs } = event.data;
    const view = Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(pointer), 4);
    const deadline = performance.now() + delayMs;
    self.postMessage("ready");
    while (performance.now() < deadline);
    self.postMessage(Atomics.exchange(new Int32Array(view), 0, 0));
  };`;
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(source)}`, {
    type: "module",
  });
  const next = (): Promise<unknown> =>
    new Promise((resolve) => worker.onmessage = (event) => resolve(event.data));
  const ready = next();
  const base = Deno.UnsafePointer.value(testShim().gregor_region_pointer());
  worker.postMessage({ pointer: BigInt(base) + BigInt(address), delayMs: 30 });
  assert.equal(await ready, "ready");
  const was = next();
  word[0] = 2;
  assert(timed(() => ring.turn(5_000_000, 5_000_000)) < 2000);
  assert.equal(word[0], 0);
  assert.equal(await was, 2, "the sender saw a poller: no doorbell needed");
  worker.terminate();
});

/** Starts the far side; the function given back wakes it and waits for its end. */
async function startEcho(order: EchoOrder): Promise<() => Promise<void>> {
  const url = new URL("./uring_signals_worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  const next = (): Promise<string> =>
    new Promise((resolve, reject) => {
      worker.onmessage = (event) => resolve(event.data);
      worker.onerror = (event) => reject(new Error(event.message));
    });
  const opened = next();
  worker.postMessage(order);
  assert.equal(await opened, "open");
  return async () => {
    const ended = next();
    wakeRing(testShim(), order.ring);
    assert.equal(await ended, "woken");
    worker.terminate();
  };
}

Deno.test("two Workers ring each other, and the main thread wakes one", async () => {
  using ring = openTestRing();
  const other = ring.index + 100;
  const rounds = 2000;
  const end = await startEcho({
    ring: other,
    answerTo: ring.index,
    rounds,
    words: 0,
    pollUs: 0,
  });
  for (let round = 0; round < rounds; round++) {
    ring.doorbell(other);
    const deadline = performance.now() + 5000;
    do ring.turn(100_000, round % 2 === 0 ? 0 : 50); while (
      ring.doorbells === 0 && performance.now() < deadline
    );
    assert.equal(ring.doorbells, 1, `round ${round}`);
  }
  await end();
});

for (const pollUs of [0, 3, 50]) {
  Deno.test(`watched words lose no message, with ${pollUs} us of polling`, async () => {
    using ring = openTestRing();
    const other = ring.index + 100;
    const address = 8192;
    const rounds = 20_000;
    testMemory().bytes.fill(0, address, address + 256);
    const words = new SignalWords(ring, testMemory().bytes.buffer, address, 0, other);
    const end = await startEcho({
      ring: other,
      answerTo: ring.index,
      rounds,
      words: address,
      pollUs,
    });
    for (let round = 0; round < rounds; round++) {
      words.send();
      assert(words.receive(pollUs), `round ${round}`);
    }
    await end();
  });
}
