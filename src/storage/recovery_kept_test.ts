/** Files that a device withholds: a start goes on beside them, and recovers them when they can be read again. */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { EIO } from "../io/errno.ts";
import { LOG_FAILED, MetaKind } from "./log.ts";
import { filesOf, type ShardManifest } from "./manifest.ts";
import type { PartitionLog } from "./partition_log.ts";
import { checkNode } from "./check.ts";
import { takePicture } from "../../tests/sim/disk_picture.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";

const JOURNAL_BYTES = 256 * 1024;
const SEEDS = 40;

function makeLog(node: TestNode, groupId: number): PartitionLog {
  const log = node.engines[groupId % node.engines.length]!.createLog({
    groupId,
    incarnation: 1,
    name: `orders-${groupId}`,
    segmentLimits: TEST_LIMITS,
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
  return log;
}

function append(node: TestNode, log: PartitionLog, valueBytes: number): number {
  const { memory, crc32c } = node;
  const batch = {
    recordCount: 1,
    valueBytes,
    fill: log.endOffset,
    timestampMs: 5000 + log.endOffset,
  };
  const size = writeSampleBatch(memory, crc32c, 0, batch);
  return log.append(0, size, log.lastTerm, node.nowMs);
}

function fill(node: TestNode, log: PartitionLog, batches: number, valueBytes: number): void {
  for (let i = 0; i < batches; i++) {
    while (append(node, log, valueBytes) < 0) node.settle();
    node.settle();
  }
}

function checkpoints(node: TestNode, count: number): void {
  for (let i = 0; i < count; i++) {
    for (const engine of node.engines) engine.checkpoint();
    node.settle();
  }
}

function logOf(node: TestNode, groupId: number): PartitionLog {
  return node.log(groupId) as PartitionLog;
}

/** Group 1, with records in rows, segments and journal; what its shard's files are. */
function withContent(seed: number): { node: TestNode; shard: ShardManifest; bytes: Uint8Array } {
  const node = new TestNode({ seed, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  fill(node, log, 20, 6000);
  checkpoints(node, 1);
  fill(node, log, 3, 600);
  const bytes = node.readAll(log, 0)!;
  const shard = node.report!.manifest!.shards[0]!;
  node.crash();
  return { node, shard, bytes };
}

function refuseToOpen(node: TestNode, paths: readonly string[]): void {
  for (const path of paths) {
    const fault = { kind: "error", errno: EIO } as const;
    node.disk.inject({ operation: "open", nth: 1, count: Infinity, path, fault });
  }
}

for (const what of ["a journal extent", "both checkpoint slots"]) {
  const missingOf = (shard: ShardManifest): readonly string[] =>
    what === "a journal extent" ? [shard.extents[0]!] : shard.checkpoints;

  Deno.test(`a start that ${what} cannot be opened for keeps all of it, and a later one loses nothing`, () => {
    const { node, shard, bytes } = withContent(31);
    const missing = missingOf(shard);
    for (let start = 0; start < 3; start++) {
      refuseToOpen(node, missing);
      node.damages = [];
      assert.equal(node.mount(1), true);
      assert.deepEqual(node.report!.suspectGroups, [1]);
      assert.ok(
        node.damages.some(({ file, lost }) => missing.includes(file) && /--accept-loss/.test(lost)),
      );
      const log = logOf(node, 1);
      assert.equal(append(node, log, 100), LOG_FAILED);
      const found = node.readAll(log, 0)!;
      assert.deepEqual(found, bytes.subarray(0, found.length));
      checkpoints(node, 2);
      assert.equal(node.finish(node.engines[0]!.stop()), 0);
      const { kept } = node.report!.manifest!;
      assert.deepEqual(kept!.map(({ groups }) => groups), [[1]]);
      for (const path of filesOf(node.report!.manifest!)) {
        assert.ok(node.disk.size(path) >= 0, path);
      }
      node.crash();
    }
    node.damages = [];
    assert.equal(node.mount(1), true);
    assert.deepEqual(node.report!.suspectGroups, []);
    assert.deepEqual(node.readAll(logOf(node, 1), 0), bytes);
    assert.ok(node.damages.length > 0 && node.damages.every(({ harmless }) => harmless === true));
    assert.deepEqual(node.report!.manifest!.kept, []);
    for (const path of [...shard.extents, ...shard.checkpoints]) {
      assert.ok(!node.disk.paths().includes(path), path);
    }
    logOf(node, 1).setHardState(2, 1);
    fill(node, logOf(node, 1), 2, 600);
    const longer = node.readAll(logOf(node, 1), 0);
    node.crash();
    assert.equal(node.mount(1), true);
    assert.deepEqual(node.readAll(logOf(node, 1), 0), longer);
  });

  Deno.test(`a later start that accepts loss gives up what is kept: ${what}`, () => {
    const { node, shard } = withContent(32);
    refuseToOpen(node, missingOf(shard));
    assert.equal(node.mount(1), true);
    node.crash();
    refuseToOpen(node, missingOf(shard));
    node.damages = [];
    assert.equal(node.mount(1, true), true);
    assert.ok(node.damages.some(({ lost }) => /loss is accepted/.test(lost)));
    assert.deepEqual(node.report!.manifest!.kept, []);
    assert.deepEqual(node.disk.paths().filter((path) => shard.extents.includes(path)), []);
    assert.equal(logOf(node, 1).acceptLoss(), 0);
    fill(node, logOf(node, 1), 1, 100);
  });
}

Deno.test("a check names what is kept, and what a start would recover of it", () => {
  const { node, shard } = withContent(34);
  const [path] = shard.extents;
  refuseToOpen(node, [path!]);
  assert.equal(node.mount(1), true);
  node.crash();
  const check = (disk: TestNode["disk"]) => {
    const one = new TestNode({ seed: 1, journalBytes: JOURNAL_BYTES });
    one.disk = disk.restart({ memory: one.memory, random: new Xoshiro128(1) });
    return one;
  };
  node.disk.crash();
  const withheld = check(node.disk.fork());
  refuseToOpen(withheld, [path!]);
  const before = withheld.finish(checkNode(withheld.context(0), () => {}))!;
  assert.deepEqual(before.suspectGroups, [1]);
  assert.ok(before.damages.some(({ lost }) => lost.includes(path!) && /kept/.test(lost)));
  const returned = check(node.disk.fork());
  const after = returned.finish(checkNode(returned.context(0), () => {}))!;
  assert.deepEqual(after.suspectGroups, []);
  assert.ok(after.damages.every(({ harmless }) => harmless === true));
});

Deno.test("a group that is deleted while its records are withheld does not come back", () => {
  const { node, shard } = withContent(35);
  refuseToOpen(node, [shard.extents[0]!]);
  assert.equal(node.mount(1), true);
  makeLog(node, 2);
  node.finish(node.engines[0]!.deleteLog(1));
  node.settle();
  node.crash();
  refuseToOpen(node, [shard.extents[0]!]);
  assert.equal(node.mount(1), true);
  assert.equal(node.log(1), undefined);
  assert.deepEqual(node.report!.manifest!.kept, []);
  node.crash();
  assert.equal(node.mount(1), true);
  assert.equal(node.log(1), undefined);
  assert.notEqual(node.log(2), undefined);
});

Deno.test("a group with a record behind the lost ones, which follows those before, has lost nothing", () => {
  const node = new TestNode({ seed: 36, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  const logs = [1, 2, 3].map((groupId) => makeLog(node, groupId));
  node.settle();
  for (const log of logs) fill(node, log, 1, 600);
  fill(node, logs[1]!, 1, 700);
  fill(node, logs[0]!, 1, 800);
  node.crash();
  const [shard] = takePicture(node.disk).shards;
  const writes = [...shard!.writes.values()];
  // Group 2's last record, behind which group 1 has one, and group 3 has none.
  const lost = writes.findLast(({ records }) => records.some(({ groupId }) => groupId === 2))!;
  for (const { path, block } of shard!.blocks.filter(({ lsn }) => lsn === lost.lsn)) {
    node.disk.loseBlock(path, block);
  }
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.report!.suspectGroups, [2, 3]);
  assert.deepEqual(node.report!.manifest!.kept!.map(({ groups }) => groups), [[2, 3]]);
  fill(node, logOf(node, 1), 1, 900);
});

Deno.test("whatever is withheld, for however many starts, comes back once it can be read", () => {
  let kept = 0;
  let frozen = 0;
  let written = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = new Xoshiro128(seed);
    const node = new TestNode({ seed, journalBytes: JOURNAL_BYTES });
    const about = `seed ${seed}`;
    assert.equal(node.mount(1 + random.nextBelow(3)), true, about);
    const groups = [1, 2, 3, 4, 5];
    for (const groupId of groups) makeLog(node, groupId);
    /** What each group holds. */
    const expected = new Map<number, Uint8Array>();
    const write = (): void => {
      for (let i = 0; i < 12; i++) {
        const log = logOf(node, groups[random.nextBelow(groups.length)]!);
        if (log.suspect) continue;
        fill(node, log, 1, 200 + random.nextBelow(5000));
        written++;
        if (random.nextBelow(8) === 0) checkpoints(node, 1);
      }
      for (const groupId of groups) {
        const log = logOf(node, groupId);
        if (!log.suspect) expected.set(groupId, node.readAll(log, 0)!);
      }
    };
    write();
    const lost = new Set<string>();
    for (let start = 0; start < 4; start++) {
      const picture = takePicture(node.disk);
      node.crash();
      for (const { blocks, manifest } of picture.shards) {
        if (random.nextBelow(3) === 0) continue;
        if (random.nextBelow(4) === 0) {
          for (const path of manifest.checkpoints) {
            node.disk.loseBlock(path, 0);
            lost.add(path);
          }
        } else if (blocks.length > 0) {
          const { path, block } = blocks[random.nextBelow(blocks.length)]!;
          node.disk.loseBlock(path, block);
          lost.add(path);
        }
      }
      assert.equal(node.mount(1 + random.nextBelow(3)), true, `${about}: ${node.report!.reason}`);
      kept = Math.max(kept, node.report!.manifest!.kept!.length);
      for (const groupId of groups) {
        const log = logOf(node, groupId);
        assert.notEqual(log, undefined, `${about}: ${groupId}`);
        const found = node.readAll(log, 0)!;
        const whole = expected.get(groupId)!;
        assert.deepEqual(found, whole.subarray(0, found.length), `${about}: ${groupId}`);
        if (log.suspect) frozen++;
        else {
          assert.equal(found.length, whole.length, `${about}: ${groupId} lost records in silence`);
          log.setHardState(log.hardTerm + 1, 1);
        }
      }
      write();
      if (random.nextBelow(2) === 0) {
        for (const engine of node.engines) assert.equal(node.finish(engine.stop()), 0);
      }
    }
    node.crash();
    const paths = new Set(node.disk.paths());
    for (const path of lost) if (paths.has(path)) node.disk.giveBack(path);
    assert.equal(node.mount(2), true, about);
    assert.deepEqual(node.report!.suspectGroups, [], about);
    assert.deepEqual(node.report!.manifest!.kept, [], about);
    for (const groupId of groups) {
      const log = logOf(node, groupId);
      assert.deepEqual(node.readAll(log, 0), expected.get(groupId), `${about}: ${groupId}`);
    }
    for (const engine of node.engines) assert.equal(node.finish(engine.stop()), 0);
    node.crash();
    const report = node.finish(checkNode(node.context(0), () => {}))!;
    assert.deepEqual(report.damages.filter(({ harmless }) => harmless !== true), [], about);
  }
  assert.ok(kept > 2 && frozen > SEEDS && written > 10 * SEEDS, `${kept} ${frozen} ${written}`);
});
