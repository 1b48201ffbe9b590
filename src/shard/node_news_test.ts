import { strict as assert } from "node:assert";
import { wrapMemory } from "../bytes/memory.ts";
import { LiveNodes } from "../cluster/live_nodes.ts";
import { Mailboxes, mailboxesSize } from "./mailbox.ts";
import { NodeNews } from "./node_news.ts";

Deno.test("the other shards hear which nodes can be reached, whatever the number of news", () => {
  const memory = wrapMemory(new ArrayBuffer(mailboxesSize(3)));
  const boxes = [0, 1, 2].map((shard) => new Mailboxes(memory, 0, shard, 3));
  const live = [0, 1, 2].map(() => new LiveNodes());
  const news = [0, 1, 2].map((shard) => new NodeNews(boxes[shard]!, live[shard]!));
  const pass = (): void => {
    for (let turn = 0; turn < 100; turn++) {
      const done = news[0]!.flush();
      boxes[0]!.publish(() => {});
      for (const shard of [1, 2]) {
        boxes[shard]!.drain({
          onMessage: (_from, _type, _call, view, at) => news[shard]!.onNodes(view, at),
        });
        boxes[shard]!.publish(() => {});
      }
      boxes[0]!.drain({ onMessage: () => {} });
      if (done) return;
    }
    assert.fail("there is always something left");
  };
  const alive = (nodeId: number) => live.map((each) => each.isAlive(nodeId));
  assert.deepEqual(alive(5), [true, true, true], "nothing was heard of it");
  for (let nodeId = 0; nodeId < 500; nodeId++) news[0]!.tell(nodeId, false);
  pass();
  assert.deepEqual(alive(0), [false, false, false]);
  assert.deepEqual(alive(499), [false, false, false]);
  news[0]!.tell(5, true);
  news[0]!.tell(7, true);
  news[0]!.tell(7, false);
  pass();
  assert.deepEqual(alive(5), [true, true, true]);
  assert.deepEqual(alive(7), [false, false, false], "the newest counts");
});
