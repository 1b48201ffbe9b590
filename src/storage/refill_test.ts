import { strict as assert } from "node:assert";
import { runTask } from "../io/task.ts";
import { MetaKind } from "./log.ts";
import type { PartitionLog } from "./partition_log.ts";
import { type RecordSource, Refilled } from "./refill.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";

const GROUP = 1;
const BATCHES = 15;
/** The cut begins after so many turns of the refill, and fewer. */
const STEPS = 12;
/** Longest way of the disk and the log until nothing moves (turns). */
const TURNS_MAX = 5_000;

/** A node after a restart: a log of two extents in one segment, and its bytes. */
function restarted(seed: number): { node: TestNode; log: PartitionLog; bytes: Uint8Array } {
  const node = new TestNode({ seed });
  assert.equal(node.mount(1), true);
  const log = node.engines[0]!.createLog({
    groupId: GROUP,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: TEST_LIMITS,
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
  for (let i = 0; i < BATCHES; i++) {
    const batch = { recordCount: 1, valueBytes: 6_000, fill: i, timestampMs: 5_000 + i };
    const size = writeSampleBatch(node.memory, node.crc32c, 0, batch);
    while (log.append(0, size, 1, node.nowMs) < 0) node.settle();
    node.settle();
  }
  const bytes = node.readAll(log, 0)!;
  node.engines[0]!.checkpoint();
  node.settle();
  node.crash();
  assert.equal(node.mount(1), true);
  return { node, log: node.log(GROUP) as PartitionLog, bytes };
}

Deno.test("a log can be cut in the extent behind a damaged one that is being written anew", () => {
  for (let step = 0; step < STEPS; step++) {
    const { node, log, bytes } = restarted(1);
    const [engine] = node.engines;
    const segment = log.segmentList[0]!;
    runTask(engine!.loader.loadIndex(segment), () => {});
    node.settle();
    assert.equal(segment.index.count, 2);
    const length = segment.index.lengths[0]!;
    node.disk.flipBit(segment.file.path, length - 50, 1);
    const source: RecordSource = {
      *fetch({ offset, address }, accepts) {
        assert.equal(offset, 0);
        yield* engine!.nextTurn();
        node.memory.bytes.set(bytes.subarray(0, length), address);
        return accepts(length) ? length : -Refilled.ABSENT;
      },
    };
    let refilled = -1;
    let cut = -1;
    const place = { groupId: GROUP, file: segment.file.path, position: 0 };
    runTask(engine!.refill(place, source), (result) => refilled = result);
    for (let i = 0; i < step; i++) {
      node.disk.step();
      node.turn();
    }
    const end = BATCHES - 2;
    runTask(log.truncate(log.indexAt(end - 1)), (result) => cut = result);
    for (let turn = 0; refilled < 0 || cut < 0; turn++) {
      assert(turn < TURNS_MAX, "it does not end");
      node.disk.step();
      node.turn();
    }
    assert.equal(cut, 0);
    assert.equal(log.endOffset, end);
    node.settle();
    if (refilled === Refilled.BUSY) {
      runTask(engine!.refill(place, source), (result) => refilled = result);
      node.settle();
    }
    assert.equal(refilled, Refilled.MENDED, `step ${step}`);
    assert.deepEqual(node.readAll(log, 0), bytes.subarray(0, bytes.length / BATCHES * end));
  }
});
