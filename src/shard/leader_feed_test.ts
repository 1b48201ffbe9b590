import { strict as assert } from "node:assert";
import { SendOutcome } from "../rpc/peer_links.ts";
import { LeaderFeed, LEADERS_PER_FRAME_MAX } from "./leader_feed.ts";
import { TestSender } from "./test_peer_sender.ts";

class Bench {
  readonly sender = new TestSender();
  led = new Map<number, number>();
  readonly heard: [number, number, number][] = [];
  readonly feed = new LeaderFeed({
    sender: this.sender,
    led: () => [...this.led].map(([groupId, epoch]) => ({ groupId, epoch, inSync: 5 })),
    onLeader: (groupId, node, epoch, inSync) => {
      assert.equal(inSync, 5);
      this.heard.push([groupId, node, epoch]);
    },
  });

  lead(groupId: number, epoch: number): void {
    this.led.set(groupId, epoch);
    this.feed.tell({ groupId, epoch, inSync: 5 });
  }

  /** Hands every frame to the same feed, as if node 9 had sent it. */
  loop(): [number, number, number][] {
    for (const { payload } of this.sender.frames.splice(0)) {
      const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
      assert(this.feed.onFrame(9, view, 0, payload.length));
    }
    return this.heard.splice(0);
  }
}

Deno.test("a node that is reached is told of every group, and then of news alone", () => {
  const bench = new Bench();
  bench.lead(4, 7);
  bench.feed.flush();
  assert.deepEqual(bench.sender.frames, [], "nobody is reached yet");
  bench.lead(6, 8);
  bench.feed.onUp(2);
  bench.feed.flush();
  bench.feed.flush();
  assert.deepEqual(bench.sender.frames.map(({ node, shard }) => [node, shard]), [[2, 0]]);
  assert.deepEqual(bench.loop(), [[4, 9, 7], [6, 9, 8]]);
  bench.lead(4, 9);
  bench.lead(4, 11);
  bench.feed.flush();
  assert.deepEqual(bench.loop(), [[4, 9, 11]], "of news in one turn the newest");
});

Deno.test("what a full link does not take is sent later; what a broken one lost comes with the next", () => {
  const bench = new Bench();
  bench.feed.onUp(2);
  bench.lead(1, 5);
  bench.sender.outcome = SendOutcome.FULL;
  bench.feed.flush();
  bench.sender.outcome = SendOutcome.QUEUED;
  bench.feed.flush();
  assert.deepEqual(bench.loop(), [[1, 9, 5]]);
  bench.feed.onDown(2);
  bench.lead(3, 6);
  bench.feed.flush();
  assert.deepEqual(bench.loop(), []);
  bench.feed.onUp(2);
  bench.feed.flush();
  assert.deepEqual(bench.loop(), [[1, 9, 5], [3, 9, 6]]);
});

Deno.test("many groups are many frames", () => {
  const bench = new Bench();
  for (let groupId = 0; groupId < 2 * LEADERS_PER_FRAME_MAX + 1; groupId++) {
    bench.led.set(groupId, 1);
  }
  bench.feed.onUp(2);
  bench.feed.flush();
  assert.equal(bench.sender.frames.length, 3);
  assert.equal(bench.loop().length, bench.led.size);
});

Deno.test("a frame that makes no sense is refused", () => {
  const { feed } = new Bench();
  const view = new DataView(new ArrayBuffer(16));
  assert.equal(feed.onFrame(1, view, 0, 8), false);
  view.setUint32(8, 0x10000, true);
  assert.equal(feed.onFrame(1, view, 0, 12), false);
  view.setUint32(8, 5, true);
  view.setUint32(4, 0x80000000, true);
  assert.equal(feed.onFrame(1, view, 0, 12), false);
});
