import { strict as assert } from "node:assert";
import { NODE_CALLS_MAX, NODE_CALLS_SERVED_MAX } from "../base/limits.ts";
import { Xoshiro128 } from "../base/prng.ts";
import { runTask } from "../io/task.ts";
import { Timers } from "../io/timers.ts";
import { SendOutcome } from "../rpc/peer_links.ts";
import { NodeCalls, type NodeRequest } from "./node_calls.ts";
import { PeerFrame } from "./peer_sender.ts";
import { TestSender } from "./test_peer_sender.ts";

/** A node: what it was asked, and answers on its way. */
class Bench {
  readonly sender = new TestSender();
  readonly timers = new Timers();
  nowMs = 0;
  readonly served: { request: NodeRequest; done: (response: Uint8Array | null) => void }[] = [];
  readonly calls = new NodeCalls({
    sender: this.sender,
    serve: (request, done) => this.served.push({ request, done }),
    timers: this.timers,
    nowMs: () => this.nowMs,
    random: new Xoshiro128(1),
  });

  pass(ms: number): void {
    this.nowMs += ms;
    this.timers.run(this.nowMs);
  }
}

const REQUEST: NodeRequest = {
  apiKey: 19,
  version: 7,
  caller: { clientId: "café", clientHost: "/10.0.0.1" },
  body: Uint8Array.of(1, 2, 3),
};

function start(bench: Bench, node: number, request = REQUEST, waitMs = 1_000) {
  const answers: (Uint8Array | null)[] = [];
  runTask(bench.calls.call(node, 0, request, waitMs), (answer) => answers.push(answer));
  return answers;
}

/** Takes frames from one node to another. */
function carry(from: Bench, fromNode: number, to: Bench): void {
  for (const { type, payload } of from.sender.frames.splice(0)) {
    if (type === PeerFrame.CALL) assert(to.calls.onCall(fromNode, 3, payload));
    else assert(to.calls.onReply(fromNode, payload));
  }
}

Deno.test("a request reaches the other node as it is, and so does the answer", () => {
  const [asker, server] = [new Bench(), new Bench()];
  for (const clientId of ["café", "", null]) {
    const request = { ...REQUEST, caller: { ...REQUEST.caller, clientId } };
    const answers = start(asker, 2, request);
    carry(asker, 1, server);
    const { request: received, done } = server.served.pop()!;
    assert.deepEqual(received, request);
    done(Uint8Array.of(9));
    assert.deepEqual(server.sender.frames.map(({ node, shard }) => [node, shard]), [[1, 3]]);
    carry(server, 2, asker);
    assert.deepEqual(answers, [Uint8Array.of(9)]);
  }
  assert.equal(asker.calls.openCount, 0);
});

Deno.test("a call ends without an answer: refused, too late, the connection broke, or never sent", () => {
  const [asker, server] = [new Bench(), new Bench()];
  const refused = start(asker, 2);
  carry(asker, 1, server);
  server.served.pop()!.done(null);
  carry(server, 2, asker);
  assert.deepEqual(refused, [null]);

  const late = start(asker, 2);
  carry(asker, 1, server);
  asker.pass(1_000);
  assert.deepEqual(late, [null]);
  server.served.pop()!.done(Uint8Array.of(1));
  carry(server, 2, asker);
  assert.deepEqual(late, [null], "an answer that comes after all is dropped");

  const [broken, other] = [start(asker, 2), start(asker, 5)];
  asker.calls.onDown(2);
  assert.deepEqual(broken, [null]);
  assert.deepEqual(other, []);
  asker.calls.stop();
  assert.deepEqual(other, [null]);

  asker.sender.outcome = SendOutcome.DOWN;
  assert.deepEqual(start(asker, 2), [null]);
  assert.equal(asker.calls.openCount, 0);
});

Deno.test("nobody answers who does not wait any more, and nobody for another node", () => {
  const [asker, server] = [new Bench(), new Bench()];
  const answers = start(asker, 2);
  carry(asker, 1, server);
  server.pass(1_001);
  server.served[0]!.done(Uint8Array.of(1));
  assert.deepEqual(server.sender.frames, []);
  server.nowMs = 0;
  server.served[0]!.done(Uint8Array.of(1));
  carry(server, 7, asker);
  assert.deepEqual(answers, []);
});

Deno.test("open calls and served ones are bounded", () => {
  const [asker, server] = [new Bench(), new Bench()];
  const waiting = Array.from({ length: NODE_CALLS_MAX }, () => start(asker, 2));
  assert.deepEqual(start(asker, 2), [null]);
  const [call] = asker.sender.frames;
  for (let i = 0; i <= NODE_CALLS_SERVED_MAX; i++) server.calls.onCall(1, 0, call!.payload);
  assert.equal(server.served.length, NODE_CALLS_SERVED_MAX);
  carry(server, 2, asker);
  assert.deepEqual(waiting[0], [null], "the one too many was refused at once");
  server.served.pop()!.done(null);
  server.calls.onCall(1, 0, call!.payload);
  assert.equal(server.served.length, NODE_CALLS_SERVED_MAX);
});

Deno.test("frames that make no sense are refused", () => {
  const [asker, server] = [new Bench(), new Bench()];
  start(asker, 2);
  const { payload } = asker.sender.frames[0]!;
  const headSize = payload.length - REQUEST.body.length;
  for (let size = 0; size < headSize; size++) {
    assert.equal(server.calls.onCall(1, 0, payload.slice(0, size)), false, `${size} bytes`);
  }
  const negative = payload.slice();
  new DataView(negative.buffer).setInt32(12, -2, true);
  assert.equal(server.calls.onCall(1, 0, negative), false);
  assert.equal(asker.calls.onReply(2, Uint8Array.of(1, 2, 3, 4)), false);
});
