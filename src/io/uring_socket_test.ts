import { strict as assert } from "node:assert";
import { ECANCELED, ECONNREFUSED, EFAULT, EINVAL, ENOBUFS } from "./errno.ts";
import { peerAddress } from "./host.ts";
import type { Completion } from "./completion.ts";
import { encodeText } from "./shim.ts";
import type { Uring } from "./uring.ts";
import { FLAG_BUFFER, FLAG_MORE } from "./uring_ops.ts";
import { finish, openTestRing, testMemory, testShim, Told, turnUntil } from "./uring_fixture.ts";

const GROUP = 0;
const BUFFER_SIZE = 64 * 1024;

function listenLocally(): { fd: number; port: number } {
  const host = encodeText("127.0.0.1");
  const fd = testShim().gregor_listen(host, host.length, 0);
  assert(fd >= 0, `listen: ${fd}`);
  return { fd, port: testShim().gregor_local_port(fd) };
}

/** A connected pair: [accepted end, connecting end]. */
function connectPair(ring: Uring): [number, number] {
  const listener = listenLocally();
  const accepted = new Told();
  const connected = new Told();
  ring.accept(listener.fd, accepted);
  assert(ring.connect(`127.0.0.1:${listener.port}`, connected) >= 0);
  turnUntil(ring, accepted);
  turnUntil(ring, connected);
  assert.equal(accepted.flags[0]! & FLAG_MORE, FLAG_MORE);
  ring.close(listener.fd, null);
  turnUntil(ring, accepted, 2);
  assert.equal(accepted.results[1], -ECANCELED);
  return [accepted.results[0]!, connected.results[0]!];
}

function fill(address: number, length: number, seed: number): void {
  const bytes = testMemory().bytes;
  for (let i = 0; i < length; i++) bytes[address + i] = (i * 31 + seed) & 0xff;
}

function assertFilled(address: number, length: number, seed: number): void {
  const bytes = testMemory().bytes;
  for (let i = 0; i < length; i++) {
    if (bytes[address + i] !== ((i * 31 + seed) & 0xff)) assert.fail(`byte ${i} differs`);
  }
}

Deno.test("Uring receives into provided buffers and gives their ids", () => {
  using ring = openTestRing();
  ring.addBufferGroup(GROUP, 8);
  for (let id = 0; id < 2; id++) ring.provide(GROUP, id, id * BUFFER_SIZE, BUFFER_SIZE);
  const [server, client] = connectPair(ring);
  assert.equal(
    peerAddress(testShim(), server),
    `127.0.0.1:${testShim().gregor_local_port(client)}`,
  );
  assert.equal(peerAddress(testShim(), -1), "unknown");
  const seen = new Set<number>();
  for (let round = 0; round < 20; round++) {
    fill(1 << 20, 1000, round);
    const received = new Told();
    ring.recv(server, GROUP, round % 2 === 0, received);
    assert.equal(finish(ring, (done) => ring.send(client, 1 << 20, 1000, false, done)), 1000);
    assert.equal(turnUntil(ring, received), 1000);
    assert.equal(received.flags[0]! & FLAG_BUFFER, FLAG_BUFFER);
    const id = received.flags[0]! >>> 16;
    seen.add(id);
    assertFilled(id * BUFFER_SIZE, 1000, round);
    ring.provide(GROUP, id, id * BUFFER_SIZE, BUFFER_SIZE);
  }
  assert.deepEqual([...seen].sort(), [0, 1]);
  ring.close(client, null);
  assert.equal(finish(ring, (done) => ring.recv(server, GROUP, false, done)), 0, "end of stream");
  ring.close(server, null);
  ring.turn(0, 0);
  assert.equal(ring.pending, 0);
});

Deno.test("Uring recv() answers -ENOBUFS without a buffer and loses nothing", () => {
  using ring = openTestRing();
  ring.addBufferGroup(GROUP, 2);
  const [server, client] = connectPair(ring);
  fill(1 << 20, 100, 5);
  finish(ring, (done) => ring.send(client, 1 << 20, 100, false, done));
  assert.equal(finish(ring, (done) => ring.recv(server, GROUP, false, done)), -ENOBUFS);
  ring.provide(GROUP, 1, 0, BUFFER_SIZE);
  assert.equal(finish(ring, (done) => ring.recv(server, GROUP, false, done)), 100);
  assertFilled(0, 100, 5);
  ring.close(client, null);
  ring.close(server, null);
  ring.turn(0, 0);
});

/** Receives until `length` bytes have come; asserts that they do. */
class Receiving implements Completion {
  received = 0;
  ended = false;
  readonly #ring: Uring;
  readonly #fd: number;
  readonly #address: number;
  readonly #length: number;

  constructor(ring: Uring, fd: number, address: number, length: number) {
    this.#ring = ring;
    this.#fd = fd;
    this.#address = address;
    this.#length = length;
    this.#next();
  }

  complete(result: number): void {
    if (result <= 0) this.ended = true;
    else this.received += result;
    this.#next();
  }

  #next(): void {
    const missing = this.#length - this.received;
    if (this.ended || missing === 0) return;
    this.#ring.recvInto(this.#fd, this.#address + this.received, missing, true, this);
  }

  finish(): void {
    const deadline = performance.now() + 5000;
    while (this.received < this.#length) {
      assert(!this.ended && performance.now() < deadline, `${this.received} bytes`);
      this.#ring.turn(10_000, 0);
    }
  }
}

/** Sends all of a range as the socket takes it; returns how many sends that took. */
function sendAll(ring: Uring, fd: number, address: number, length: number): number {
  let sent = 0;
  let sends = 0;
  while (sent < length) {
    const full = sends > 0;
    const result = finish(ring, (done) => ring.send(fd, address + sent, length - sent, full, done));
    assert(result > 0, `send: ${result}`);
    sent += result;
    sends++;
  }
  assert.equal(sent, length);
  return sends;
}

Deno.test("Uring moves a large frame in place, in pieces that add up", () => {
  using ring = openTestRing();
  const [server, client] = connectPair(ring);
  const length = 5_000_000;
  fill(8 << 20, length, 3);
  testMemory().bytes.fill(0, 16 << 20, (16 << 20) + length);
  const receiving = new Receiving(ring, server, 16 << 20, length);
  sendAll(ring, client, 8 << 20, length);
  receiving.finish();
  assertFilled(16 << 20, length, 3);
  const ended = new Told();
  ring.recvInto(server, 16 << 20, 10, false, ended);
  ring.close(client, null);
  assert.equal(turnUntil(ring, ended), 0, "the peer has gone");
  ring.close(server, null);
  ring.turn(0, 0);
});

Deno.test("Uring sendVector() sends up to 1024 ranges as one stream", () => {
  using ring = openTestRing();
  const [server, client] = connectPair(ring);
  const view = testMemory().view;
  const table = 32 << 20;
  const source = 8 << 20;
  const target = 16 << 20;
  const count = 1024;
  const part = 3001;
  fill(source, count * part, 9);
  for (let i = 0; i < count; i++) {
    view.setFloat64(table + i * 16, source + i * part, true);
    view.setFloat64(table + i * 16 + 8, part, true);
  }
  const receiving = new Receiving(ring, server, target, count * part);
  const sent = new Told();
  ring.sendVector(client, table, count, false, sent);
  ring.flush();
  testMemory().bytes.fill(0, table, table + count * 16);
  const first = turnUntil(ring, sent);
  assert(first > 0 && first <= count * part);
  if (first < count * part) sendAll(ring, client, source + first, count * part - first);
  receiving.finish();
  assertFilled(target, count * part, 9);
  assert(finish(ring, (done) => ring.sendVector(client, table, 1025, false, done)) < 0, "too many");
  view.setFloat64(table, 1e12, true);
  view.setFloat64(table + 8, 1, true);
  assert(finish(ring, (done) => ring.sendVector(client, table, 1, false, done)) < 0, "outside");
  ring.close(client, null);
  ring.close(server, null);
  ring.turn(0, 0);
});

Deno.test("Uring echoes on many connections at once", () => {
  using ring = openTestRing({ submissions: 64, ops: 64 });
  const connections = 200;
  const rounds = 10;
  ring.addBufferGroup(GROUP, 256);
  for (let id = 0; id < 256; id++) ring.provide(GROUP, id, id * 4096, 4096);
  const listener = listenLocally();
  let echoed = 0;
  let replies = 0;
  const open: number[] = [];
  // The echoing end: one object per connection.
  const serve = (fd: number): void => {
    let id = 0;
    const onSent = {
      complete(result: number): void {
        assert.equal(result, 512);
        ring.provide(GROUP, id, id * 4096, 4096);
        ring.recv(fd, GROUP, true, onReceived);
      },
    };
    const onReceived = {
      complete(result: number, flags: number): void {
        if (result <= 0) return ring.close(fd, null);
        assert.equal(result, 512);
        id = flags >>> 16;
        echoed++;
        ring.send(fd, id * 4096, 512, false, onSent);
      },
    };
    ring.recv(fd, GROUP, true, onReceived);
  };
  ring.accept(listener.fd, { complete: (fd) => fd >= 0 && serve(fd) });
  for (let i = 0; i < connections; i++) {
    const base = (2 << 20) + i * 1024;
    fill(base, 512, i);
    ring.connect(`127.0.0.1:${listener.port}`, {
      complete(fd) {
        assert(fd >= 0);
        open.push(fd);
        let round = 0;
        const next = (): void => {
          ring.send(fd, base, 512, false, { complete: (sent) => assert.equal(sent, 512) });
          ring.recvInto(fd, base + 512, 512, false, {
            complete(result) {
              assert.equal(result, 512);
              assertFilled(base + 512, 512, i);
              replies++;
              if (++round < rounds) next();
            },
          });
        };
        next();
      },
    });
  }
  const deadline = performance.now() + 10_000;
  while (replies < connections * rounds && performance.now() < deadline) ring.turn(10_000, 0);
  assert.equal(replies, connections * rounds);
  assert.equal(echoed, connections * rounds);
  for (const fd of open) ring.close(fd, null);
  ring.close(listener.fd, null);
  while (ring.pending > 0 && performance.now() < deadline) ring.turn(10_000, 0);
  assert.equal(ring.pending, 0, "every operation has ended");
});

Deno.test("Uring connect() reports a refused connection and a malformed address", () => {
  using ring = openTestRing();
  const { fd, port } = listenLocally();
  testShim().gregor_close_fd(fd);
  const refused = new Told();
  assert(ring.connect(`127.0.0.1:${port}`, refused) >= 0);
  assert.equal(turnUntil(ring, refused), -ECONNREFUSED);
  assert(ring.connect("localhost:1", refused) < 0);
});

Deno.test("Uring cancel() ends one operation and spares its slot's next one", () => {
  using ring = openTestRing();
  const [server, client] = connectPair(ring);
  const first = new Told();
  const id = ring.recvInto(server, 0, 4, false, first);
  ring.turn(0, 0);
  ring.cancel(id);
  assert.equal(turnUntil(ring, first), -ECANCELED);
  const second = new Told();
  ring.recvInto(server, 0, 4, false, second);
  ring.cancel(id);
  ring.turn(1000, 0);
  assert.equal(second.count, 0, "the stale id hits nothing");
  finish(ring, (done) => ring.send(client, 4096, 4, false, done));
  assert.equal(turnUntil(ring, second), 4);
  const third = new Told();
  ring.recvInto(server, 0, 4, false, third);
  ring.turn(0, 0);
  ring.cancelAll(server);
  assert.equal(turnUntil(ring, third), -ECANCELED);
  ring.close(client, null);
  ring.close(server, null);
  ring.turn(0, 0);
});

Deno.test("Uring shutdown() ends what is in flight, and never the descriptor's next connection", () => {
  using ring = openTestRing();
  for (let round = 0; round < 50; round++) {
    const [server, client] = connectPair(ring);
    const received = new Told();
    ring.recvInto(server, 0, 8, false, received);
    ring.turn(0, 0);
    ring.shutdown(server);
    assert.equal(turnUntil(ring, received), 0);
    ring.close(server, null);
    ring.close(client, null);
    const [next, peer] = connectPair(ring);
    const answer = new Told();
    ring.recvInto(next, 0, 8, false, answer);
    fill(4096, 8, round);
    assert.equal(finish(ring, (done) => ring.send(peer, 4096, 8, false, done)), 8);
    assert.equal(turnUntil(ring, answer), 8, `round ${round}`);
    assertFilled(0, 8, round);
    ring.close(next, null);
    ring.close(peer, null);
    ring.turn(0, 0);
  }
});

Deno.test("Uring dispose() ends what is in flight: the kernel keeps nothing of a closed ring alive", () => {
  using ring = openTestRing();
  const closing = openTestRing();
  const [server, client] = connectPair(ring);
  closing.recvInto(server, 0, 8, true, new Told());
  closing.turn(0, 0);
  closing.dispose();
  testShim().gregor_close_fd(server);
  // The receive in flight held the connection open, had the ring lived on.
  assert.equal(finish(ring, (done) => ring.recvInto(client, 4096, 8, true, done)), 0);
  ring.close(client, null);
  ring.turn(0, 0);
});

Deno.test("Uring turn() fails when a buffer cannot be given to the kernel", () => {
  using ring = openTestRing();
  ring.addBufferGroup(GROUP, 2);
  ring.provide(GROUP, 0, 0, BUFFER_SIZE);
  assert.equal(ring.turn(0, 0), 0);
  ring.provide(GROUP, 1, 2 ** 40, BUFFER_SIZE);
  assert.equal(ring.turn(0, 0), -EFAULT, "outside the region");
  ring.provide(GROUP + 1, 1, 0, BUFFER_SIZE);
  assert.equal(ring.turn(0, 0), -EINVAL, "no such group");
});
