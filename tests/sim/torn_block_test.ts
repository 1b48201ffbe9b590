import { strict as assert } from "node:assert";
import { MetaKind } from "../../src/storage/log.ts";
import type { PartitionLog } from "../../src/storage/partition_log.ts";
import { writeSampleBatch } from "./sample_batch.ts";
import { TestNode } from "./storage_node.ts";

const SEEDS = 60;
/** Power cuts at each of this many operations after the appends: the journal's write is one of them. */
const CUTS = 2;

function append(node: TestNode, log: PartitionLog, valueBytes: number): boolean {
  const { memory, crc32c } = node;
  const batch = { recordCount: 1, valueBytes, fill: log.endOffset, timestampMs: 9 };
  const size = writeSampleBatch(memory, crc32c, 0, batch);
  return log.append(0, size, log.lastTerm, node.nowMs) >= 0;
}

/** A batch that only its segment holds: two checkpoints have released the journal up to it. */
function settledBatch(node: TestNode): PartitionLog {
  assert.equal(node.mount(1), true);
  const engine = node.engines[0]!;
  const log = engine.createLog({
    groupId: 1,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: { segmentBytes: 2 ** 20, segmentMs: 1e12 },
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
  while (!append(node, log, 1000)) node.settle();
  for (let i = 0; i < 2; i++) {
    engine.checkpoint();
    node.settle();
  }
  return log;
}

Deno.test("a block torn to garbage takes nothing that was acknowledged before the record that carries it", () => {
  let torn = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    for (let cut = 0; cut < CUTS; cut++) {
      const node = new TestNode({ seed, disk: { roughness: { wholeBlocks: true } } });
      const log = settledBatch(node);
      const kept = node.readAll(log, 0)!;
      // Enough to close an extent, in one turn: its write may be handed out, in the turn after, beside the journal's.
      while (log.segmentList[0]!.dirtyHead === null) assert.equal(append(node, log, 4500), true);
      node.turn();
      node.turn();
      node.disk.crashAfterOps(cut);
      node.settle();
      const durable = log.durableEndOffset;
      node.crash();
      const before = `seed ${seed}, cut ${cut}`;
      assert.equal(node.mount(1), true, before);
      assert.deepEqual(node.report!.damages, [], before);
      const again = node.log(1)!;
      assert.ok(again.endOffset >= durable, before);
      if (again.endOffset === 1) torn++;
      assert.deepEqual(node.readAll(again, 0)?.slice(0, kept.length), kept, before);
    }
  }
  assert.ok(torn > SEEDS / 2, `the journal's write was lost ${torn} times`);
});
