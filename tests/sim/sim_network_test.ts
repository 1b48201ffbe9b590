import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { wrapMemory } from "../../src/bytes/memory.ts";
import type { Completion } from "../../src/io/completion.ts";
import { ECANCELED, ECONNREFUSED, ECONNRESET } from "../../src/io/errno.ts";
import { CONFIRM_MS_MAX } from "../../src/io/sockets.ts";
import { type ClientEnd, MemorySockets } from "./memory_sockets.ts";
import { SimNetwork } from "./sim_network.ts";

const ADDRESS = "n:9092";
const MEMORY = wrapMemory(new ArrayBuffer(1 << 20));

/** A host that takes clients; what it took. */
function host(network: SimNetwork): ClientEnd[] {
  const taken: ClientEnd[] = [];
  network.accept("n", ADDRESS, (client) => taken.push(client));
  return taken;
}

function text(parts: readonly Uint8Array[]): string {
  return parts.map((part) => new TextDecoder().decode(part)).join("");
}

function send(client: ClientEnd, what: string): void {
  client.send(new TextEncoder().encode(what));
}

Deno.test("SimNetwork without faults carries everything at once, both ways, and ends", () => {
  const network = new SimNetwork(1);
  const [taken, client] = [host(network), network.dial("c", ADDRESS)];
  send(client, "hello");
  assert.equal(text(taken[0]!.toServer), "hello");
  client.downlink!.carry(new TextEncoder().encode("you"));
  assert.equal(text(client.fromServer), "you");
  client.hangUp();
  assert(client.ended && !client.closed);
  client.downlink!.end();
  assert(client.closed);
  assert.deepEqual(network.connections, []);
});

Deno.test("SimNetwork delays, in order, and slow links take time for every byte", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const network = new SimNetwork(seed);
    network.delayMs = { min: 1, max: 20 };
    const taken = host(network);
    const client = network.dial("c", ADDRESS);
    for (const part of ["a", "b", "c"]) send(client, part);
    network.step(0.5);
    assert.equal(taken.length, 0);
    network.step(25);
    assert.equal(text(taken[0]!.toServer), "abc");
  }
  const network = new SimNetwork(1);
  network.link("c", "n").bytesPerMs = 2;
  const [taken, client] = [host(network), network.dial("c", ADDRESS)];
  send(client, "0123456789");
  network.step(4.9);
  assert.equal(text(taken[0]!.toServer), "");
  network.step(5);
  assert.equal(text(taken[0]!.toServer), "0123456789");
});

Deno.test("SimNetwork holds what a cut link carries until it is whole; the other way works meanwhile", () => {
  const network = new SimNetwork(2);
  const [taken, client] = [host(network), network.dial("c", ADDRESS)];
  network.link("c", "n").cut = true;
  send(client, "late");
  client.downlink!.carry(new TextEncoder().encode("at once"));
  network.step(10_000);
  assert.equal(text(taken[0]!.toServer), "");
  assert.equal(text(client.fromServer), "at once");
  network.link("c", "n").cut = false;
  network.step(10_001);
  assert.equal(text(taken[0]!.toServer), "late");
});

Deno.test("SimNetwork closes what nobody listens for: at once, or when the attempt arrives", () => {
  const network = new SimNetwork(3);
  assert(network.dial("c", ADDRESS).closed);
  const taken = host(network);
  network.link("c", "n").cut = true;
  const client = network.dial("c", ADDRESS);
  network.refuse(ADDRESS);
  assert(!client.closed);
  network.link("c", "n").cut = false;
  network.step(1);
  assert(client.closed);
  assert.deepEqual(taken, []);
});

Deno.test("SimNetwork resets lose what was under way; a host that dies ends its connections as far as links let it", () => {
  const network = new SimNetwork(4);
  const taken = host(network);
  const [first, second, third] = ["c", "c", "d"].map((from) => network.dial(from, ADDRESS));
  network.link("c", "n").cut = true;
  send(first!, "lost");
  network.connections[0]!.reset();
  assert(first!.closed && first!.gone && !second!.closed);
  network.link("n", "d").cut = true;
  network.die("n");
  assert(second!.closed && !third!.closed);
  network.heal();
  assert(third!.closed);
  assert.equal(text(taken[0]!.toServer), "");
  assert.deepEqual(network.connections, []);
});

/** Two hosts with sockets; `a` connects to `b`. */
class Pair {
  readonly network = new SimNetwork(5);
  readonly a = new MemorySockets(MEMORY, [], 0, new Xoshiro128(6));
  readonly b = new MemorySockets(MEMORY, [], 0, new Xoshiro128(7));
  accepted = -1;

  constructor() {
    this.network.place(this.a, "a");
    this.network.place(this.b, "b");
    this.network.listen("b", 7, this.b, (socket) => this.accepted = socket);
  }

  /** What an operation ended with, or null. */
  settle(start: (done: Completion) => void): number | null {
    let told: number | null = null;
    start({ complete: (result) => told = result });
    while (this.a.step() || this.b.step());
    return told;
  }

  connect(): number {
    return this.settle((done) => this.a.connect("b", 7, done))!;
  }
}

Deno.test("SimNetwork connects sockets of two hosts, over its links", () => {
  const pair = new Pair();
  const { a, b, network } = pair;
  assert.equal(pair.settle((done) => a.connect("b", 8, done)), -ECONNREFUSED);
  const socket = pair.connect();
  network.link("a", "b").delayMs = { min: 3, max: 3 };
  assert(pair.settle((done) => a.send(socket, 0, 100, false, done))! > 0);
  let received = 0;
  b.receiveInto(pair.accepted, 4096, 100, 1, true, { complete: (result) => received = result });
  for (const [atMs, isThere] of [[2, false], [3, true]] as const) {
    network.step(atMs);
    while (b.step());
    assert.equal(received > 0, isThere);
  }
});

Deno.test("SimNetwork lets an attempt wait behind a cut, and breaks a connection that nobody confirms", () => {
  const pair = new Pair();
  const { a, b, network } = pair;
  network.link("b", "a").cut = true;
  let told: number | null = null;
  const attempt = a.connect("b", 7, { complete: (result) => told = result });
  while (a.step());
  assert.equal(told, null);
  a.cancelConnect(attempt);
  while (a.step());
  assert.equal(told, -ECANCELED);
  network.heal();
  const socket = pair.connect();
  network.link("a", "b").cut = true;
  assert(pair.settle((done) => a.send(socket, 0, 10, false, done))! > 0);
  network.step(CONFIRM_MS_MAX - 1);
  assert(pair.settle((done) => a.send(socket, 0, 10, false, done))! > 0);
  network.step(CONFIRM_MS_MAX + 1);
  assert.equal(pair.settle((done) => a.send(socket, 0, 10, false, done)), -ECONNRESET);
  assert.equal(
    pair.settle((done) => b.receiveInto(pair.accepted, 4096, 10, 1, true, done)),
    0,
  );
  assert.deepEqual(network.connections, []);

  network.heal();
  const again = pair.connect();
  network.die("b");
  assert.equal(pair.settle((done) => a.receiveInto(again, 4096, 10, 1, true, done)), 0);
  assert.equal(pair.settle((done) => a.connect("b", 7, done)), -ECONNREFUSED);
});
