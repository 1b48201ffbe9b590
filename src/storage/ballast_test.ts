import { strict as assert } from "node:assert";
import { BLOCK_SIZE } from "../io/disk.ts";
import { ENOENT, ENOSPC } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import { BALLAST_PATH, dropBallast, keepBallast } from "./ballast.ts";
import { LOG_NO_SPACE, MetaKind } from "./log.ts";
import type { PartitionLog } from "./partition_log.ts";
import { dealRings } from "./recovery_rings.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";

const KIB = 1024;
const BATCHES = 12;
/** Four extents: two for each of two shards. */
const JOURNAL_BYTES = 512 * KIB;

/** Takes all space that is left. */
function* fill(node: TestNode): Task<void> {
  const { disk } = node;
  const handle = yield* io((done) => disk.open("filler", true, done));
  let end = 2 ** 30;
  for (let step = 2 ** 20; step >= BLOCK_SIZE;) {
    const taken = yield* io((done) => disk.allocate(handle, end, step, done));
    if (taken >= 0) end += step;
    else step /= 2;
  }
  yield* io((done) => disk.close(handle, done));
  // Space and names that a power cut takes would give room back.
  yield* io((done) => disk.syncFileSystem(done));
  assert.equal(disk.freeBytes(), 0);
}

function append(node: TestNode, log: PartitionLog): number {
  const { memory, crc32c } = node;
  const batch = { recordCount: 2, valueBytes: 3000, fill: 7, timestampMs: 5000 };
  const size = writeSampleBatch(memory, crc32c, 0, batch);
  let offset = -11;
  for (let i = 0; offset === -11 && i < 20; i++) {
    offset = log.append(0, size, log.lastTerm, node.nowMs);
    node.settle();
  }
  return offset;
}

/** A killed node on a disk without a free block; what it holds is partly in the journal alone. */
function fullNode(
  seed: number,
  options: { ballast: boolean },
): { node: TestNode; bytes: Uint8Array } {
  const node = new TestNode({
    seed,
    journalBytes: JOURNAL_BYTES,
    disk: { capacityBytes: 4 * 2 ** 20 },
  });
  assert.equal(node.mount(1), true);
  const log = node.engines[0]!.createLog({
    groupId: 1,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: TEST_LIMITS,
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
  for (let i = 0; i < BATCHES; i++) assert.ok(append(node, log) >= 0);
  if (options.ballast) hold(node);
  node.finish(fill(node));
  const bytes = node.readAll(log, 0)!;
  node.crash();
  return { node, bytes };
}

/** What a broker does once it leads; with more shards than before, less than all that is wanted may be there. */
function hold(node: TestNode): void {
  const held = node.finish(keepBallast(node.disk, node.report!.ballastBytes))!;
  assert.ok(held >= 256 * KIB, `${held}`);
}

Deno.test("keepBallast() holds what there is, more once there is more, and dropBallast() frees it", () => {
  const node = new TestNode({ seed: 1, disk: { capacityBytes: 400 * KIB } });
  const { disk } = node;
  const keep = (bytes: number) => node.finish(keepBallast(disk, bytes));
  assert.equal(keep(100 * KIB), 100 * KIB);
  assert.equal(disk.freeBytes(), 300 * KIB);
  assert.equal(keep(50 * KIB), 100 * KIB, "never less than before");
  const held = keep(1000 * KIB)!;
  assert.ok(held > 300 * KIB && disk.freeBytes() < 32 * KIB, `${held}`);
  assert.equal(keep(1000 * KIB), held);
  assert.equal(node.finish(dropBallast(disk)), 0);
  assert.equal(disk.freeBytes(), 400 * KIB);
  assert.equal(disk.size(BALLAST_PATH), -ENOENT);
  assert.equal(node.finish(dropBallast(disk)), 0, "there was none");
  assert.equal(keep(2 * BLOCK_SIZE), 2 * BLOCK_SIZE, "less than the smallest piece");
});

Deno.test("Without room kept for it, a start on a full disk is refused; as soon as there is room, it succeeds", () => {
  const { node } = fullNode(2, { ballast: false });
  assert.equal(node.mount(1), false);
  assert.deepEqual([node.report!.outcome, node.report!.errno], ["error", ENOSPC]);
  node.finish(io((done) => node.disk.unlink("filler", done)));
  assert.equal(node.mount(1), true);
});

Deno.test("A start on a full disk succeeds with any number of shards, again and again", () => {
  const { node, bytes } = fullNode(3, { ballast: true });
  for (const shardCount of [1, 2, 2, 1, 2]) {
    assert.equal(node.mount(shardCount), true, node.report!.reason);
    const rings = node.report!.manifest!.shards.map(({ extents }) => extents.length);
    assert.deepEqual(rings, shardCount === 1 ? [4] : [2, 2]);
    hold(node);
    node.finish(fill(node));
    const log = node.log(1)! as PartitionLog;
    assert.deepEqual(node.readAll(log, 0)!.slice(0, bytes.length), bytes);
    let offset = 0;
    while (offset >= 0) offset = append(node, log);
    assert.equal(offset, LOG_NO_SPACE);
    assert.deepEqual(node.fatals, []);
    node.crash();
  }
});

Deno.test("A log that was made on a full disk has its directory after the next start", () => {
  const { node, bytes } = fullNode(5, { ballast: true });
  const { disk } = node;
  const makeDirectory = disk.makeDirectory.bind(disk);
  // A real one takes a block for a directory.
  disk.makeDirectory = (path, done) =>
    disk.freeBytes() >= BLOCK_SIZE ? makeDirectory(path, done) : done.complete(-ENOSPC, 0);
  assert.equal(node.mount(1), true, node.report!.reason);
  hold(node);
  node.finish(fill(node));
  const made = node.engines[0]!.createLog({
    groupId: 7,
    incarnation: 1,
    name: "late-0",
    segmentLimits: TEST_LIMITS,
    listener: null,
  });
  made.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
  node.settle();
  assert.equal(made.durableIndex, 0, "without a directory nothing is durable");
  node.crash();
  assert.equal(node.mount(1), true, node.report!.reason);
  assert.equal(node.log(7)!.lastIndex, 1);
  assert.deepEqual(node.readAll(node.log(1)!, 0), bytes);
});

Deno.test("A power cut at any operation of a start that deals out journals loses nothing", () => {
  for (let cut = 0;; cut++) {
    const { node, bytes } = fullNode(4, { ballast: true });
    node.disk.crashAfterOps(cut);
    const mounted = node.mount(2);
    if (mounted) assert.equal(node.report!.ringsDealt, true);
    node.crash();
    assert.equal(node.mount(1), true, `cut at ${cut}: ${node.report!.reason}`);
    assert.deepEqual(node.readAll(node.log(1)!, 0), bytes, `cut at ${cut}`);
    assert.deepEqual(node.damages, []);
    assert.deepEqual(node.report!.suspectGroups, []);
    if (mounted) return assert.ok(cut > 50, `${cut}`);
  }
});

Deno.test("dealRings() gives every old extent to one shard, under new journal ids, two at least to each", () => {
  const extents = (journal: number) => [0, 1, 2, 3].map((i) => `shards/journal-${journal}-${i}`);
  const shard = (journalId: number) => ({
    journalId,
    firstLsn: 1,
    extents: extents(journalId),
    extentBytes: 4096,
    checkpoints: ["a", "b"] as const,
  });
  const old = {
    formatVersion: 1,
    incarnation: "",
    clusterId: "",
    founders: [],
    pledge: null,
    nodeId: 0,
    mountEpoch: 3,
    nextJournalId: 9,
    shards: [shard(4), shard(7)],
  };
  for (const shardCount of [1, 2, 3, 4]) {
    const { rings, nextJournalId } = dealRings(old, shardCount)!;
    const ids = rings.map(({ journalId }) => journalId);
    assert.deepEqual(ids, Array.from({ length: shardCount }, (_, i) => 9 + i));
    assert.equal(nextJournalId, 9 + shardCount);
    const dealt = rings.flatMap((ring) => ring.extents);
    assert.deepEqual(dealt.toSorted(), [...extents(4), ...extents(7)].toSorted());
    assert.ok(rings.every((ring) => ring.extents.length >= 2));
  }
  assert.equal(dealRings(old, 5), null);
  assert.equal(dealRings(null, 1), null);
});
