import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { wrapMemory } from "../../src/bytes/memory.ts";
import type { Completion } from "../../src/io/completion.ts";
import { ECANCELED, ECONNREFUSED, ECONNRESET } from "../../src/io/errno.ts";
import { MemoryNetwork, MemorySockets } from "./memory_sockets.ts";

const MEMORY = wrapMemory(new ArrayBuffer(1 << 20));

function pair(seed: number): { a: MemorySockets; b: MemorySockets; network: MemoryNetwork } {
  const random = new Xoshiro128(seed);
  const network = new MemoryNetwork();
  const a = new MemorySockets(MEMORY, [], 0, random);
  const b = new MemorySockets(MEMORY, [], 0, random);
  a.network = network;
  b.network = network;
  return { a, b, network };
}

/** Steps both until nothing can go on; the result that was told, or null. */
function settle(
  sockets: readonly MemorySockets[],
  start: (done: Completion) => void,
): number | null {
  let told: number | null = null;
  start({ complete: (result) => told = result });
  while (sockets.some((end) => end.step()));
  return told;
}

Deno.test("MemorySockets connect() reaches who listens, and bytes move both ways in pieces", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const { a, b, network } = pair(seed);
    let server = -1;
    network.listen("::1", 7, b, (socket) => server = socket);
    const client = settle([a, b], (done) => a.connect("::1", 7, done))!;
    assert(client > 0 && server > 0);
    for (
      const [from, socket, to, other] of [[a, client, b, server], [b, server, a, client]] as const
    ) {
      for (let i = 0; i < 1000; i++) MEMORY.bytes[i] = (i * 7 + seed) & 0xff;
      MEMORY.bytes.fill(0, 4096, 5096);
      let sent = 0;
      let received = 0;
      while (received < 1000) {
        if (sent < 1000) {
          sent += settle([a, b], (done) => from.send(socket, sent, 1000 - sent, false, done))!;
        }
        const at = 4096 + received;
        received += settle([a, b], (done) => to.receiveInto(other, at, 5096 - at, 1, true, done))!;
      }
      assert.deepEqual(MEMORY.bytes.slice(4096, 5096), MEMORY.bytes.slice(0, 1000));
    }
    // The end of one is seen by the other, after what was sent before it.
    settle([a, b], (done) => a.send(client, 0, 1, false, done));
    a.close(client);
    assert.equal(settle([a, b], (done) => b.receiveInto(server, 4096, 10, 1, true, done)), 1);
    assert.equal(settle([a, b], (done) => b.receiveInto(server, 4096, 10, 1, true, done)), 0);
    assert.equal(settle([a, b], (done) => b.send(server, 0, 1, false, done)), -ECONNRESET);
    b.close(server);
  }
});

Deno.test("MemorySockets connect() is refused where nobody listens, and waits for a silent host", () => {
  const { a, b, network } = pair(1);
  assert.equal(settle([a, b], (done) => a.connect("h", 1, done)), -ECONNREFUSED);
  network.listen("h", 1, b, () => {});
  network.silent.add("h:1");
  let told: number | null = null;
  const attempt = a.connect("h", 1, { complete: (result) => told = result });
  assert.equal(a.step(), false);
  a.cancelConnect(attempt);
  assert.equal(told, null, "never from inside the call");
  a.step();
  assert.equal(told, -ECANCELED);
  a.cancelConnect(attempt);
  network.silent.clear();
  assert(settle([a, b], (done) => a.connect("h", 1, done))! > 0);
  network.unlisten("h", 1);
  assert.equal(settle([a, b], (done) => a.connect("h", 1, done)), -ECONNREFUSED);
});

Deno.test("MemorySockets cut() loses what was under way, at both ends", () => {
  const { a, b, network } = pair(3);
  let server = -1;
  network.listen("h", 1, b, (socket) => server = socket);
  const client = settle([a, b], (done) => a.connect("h", 1, done))!;
  assert(settle([a, b], (done) => a.send(client, 0, 100, false, done))! > 0);
  a.cut(client);
  assert.equal(settle([a, b], (done) => b.receiveInto(server, 4096, 10, 1, true, done)), 0);
  assert.equal(settle([a, b], (done) => a.receiveInto(client, 4096, 10, 1, true, done)), 0);
  assert.equal(settle([a, b], (done) => a.send(client, 0, 1, false, done)), -ECONNRESET);
  assert.equal(settle([a, b], (done) => b.send(server, 0, 1, false, done)), -ECONNRESET);
});
