import { strict as assert } from "node:assert";
import { ECANCELED, ECONNREFUSED, ECONNRESET, EINVAL } from "./errno.ts";
import { clearFault, setFault } from "./faults.ts";
import { listen } from "./host.ts";
import type { Uring } from "./uring.ts";
import { Op } from "./uring_ops.ts";
import { UringSockets } from "./uring_sockets.ts";
import { finish, openTestRing, testMemory, testShim, Told, turnUntil } from "./uring_fixture.ts";

function socketsOf(ring: Uring): UringSockets {
  return new UringSockets(ring, Float64Array.of(0), 4096, () => {});
}

function listenOn(host: string): { fd: number; port: number } | null {
  const listener = listen(testShim(), host, 0);
  return "fd" in listener ? listener : null;
}

function openDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

for (const host of ["127.0.0.1", "::1"]) {
  Deno.test(`UringSockets connect() reaches ${host} and moves bytes both ways`, () => {
    using ring = openTestRing();
    const sockets = socketsOf(ring);
    const listener = listenOn(host);
    // A machine may be without IPv6.
    if (listener === null) return;
    const accepted = new Told();
    ring.accept(listener.fd, accepted);
    const connected = new Told();
    assert(sockets.connect(host, listener.port, connected) >= 0);
    const client = turnUntil(ring, connected);
    const server = turnUntil(ring, accepted);
    assert(client >= 0 && server >= 0);
    const { bytes } = testMemory();
    for (const [from, to] of [[client, server], [server, client]] as const) {
      bytes.fill(0xab, 8192, 8292);
      bytes.fill(0, 12288, 12388);
      assert.equal(finish(ring, (done) => sockets.send(from, 8192, 100, false, done)), 100);
      const received = finish(ring, (done) => sockets.receiveInto(to, 12288, 100, 100, true, done));
      assert.equal(received, 100);
      assert(bytes.subarray(12288, 12388).every((byte) => byte === 0xab));
    }
    sockets.close(client);
    sockets.close(server);
    ring.close(listener.fd, null);
    ring.turn(0, 0);
  });
}

Deno.test("UringSockets connect() says why it failed and leaves no descriptor", () => {
  using ring = openTestRing();
  const sockets = socketsOf(ring);
  const { fd, port } = listenOn("127.0.0.1")!;
  const before = openDescriptors();
  const told = new Told();
  assert.equal(sockets.connect("localhost", port, told), -EINVAL, "names are resolved elsewhere");
  assert.equal(sockets.connect("127.0.0.1", 65_536, told), -EINVAL);
  assert.equal(told.count, 0);
  setFault(testShim(), 9, {
    opcodes: [Op.Connect],
    ring: ring.index,
    errno: ECONNRESET,
    perform: true,
    count: 1,
  });
  assert.equal(finish(ring, (done) => sockets.connect("127.0.0.1", port, done)), -ECONNRESET);
  assert.equal(clearFault(testShim(), 9), 1);
  ring.close(fd, null);
  ring.turn(0, 0);
  assert.equal(finish(ring, (done) => sockets.connect("127.0.0.1", port, done)), -ECONNREFUSED);
  assert.equal(openDescriptors(), before - 1, "the listener is closed, and nothing else is open");
});

Deno.test("UringSockets cancelConnect() ends an attempt that gets no answer", () => {
  using ring = openTestRing();
  const sockets = socketsOf(ring);
  // Nobody accepts, and the queue is full after two connections.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const { port } = listener.addr as Deno.NetAddr;
  const before = openDescriptors();
  const open = [0, 1].map(() => finish(ring, (done) => sockets.connect("127.0.0.1", port, done)));
  const told = new Told();
  const attempt = sockets.connect("127.0.0.1", port, told);
  assert(attempt >= 0);
  ring.turn(50_000, 0);
  assert.equal(told.count, 0);
  sockets.cancelConnect(attempt);
  assert.equal(turnUntil(ring, told), -ECANCELED);
  // Too late is no error, and hits nobody else.
  sockets.cancelConnect(attempt);
  for (const socket of open) sockets.close(socket);
  ring.turn(0, 0);
  assert.equal(openDescriptors(), before);
});
