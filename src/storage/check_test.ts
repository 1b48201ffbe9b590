import { strict as assert } from "node:assert";
import { checkNode, type CheckReport } from "./check.ts";
import { io, type Task } from "../io/task.ts";
import { MetaKind } from "./log.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";

const BATCHES = 40;

/** A node with one log of several segments; what it holds is on disk, some of it in the journal alone. */
function filledNode(seed: number): TestNode {
  const node = new TestNode({ seed });
  assert.equal(node.mount(1), true);
  const log = node.engines[0]!.createLog({
    groupId: 7,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: TEST_LIMITS,
    listener: { onDurable: () => {}, onWritable: () => {} },
  });
  assert.equal(log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0)), 1);
  const size = writeSampleBatch(node.memory, node.crc32c, 0, {
    recordCount: 3,
    valueBytes: 2000,
    fill: 1,
    timestampMs: 5000,
  });
  for (let appended = 0; appended < BATCHES;) {
    if (log.append(0, size, 1, 1) >= 0) appended++;
    node.settle();
    if (appended === BATCHES / 2) node.engines[0]!.checkpoint();
  }
  node.crash();
  return node;
}

function check(node: TestNode): CheckReport {
  const report = node.finish(checkNode(node.context(0), () => {}));
  assert.ok(report !== null);
  return report;
}

Deno.test("checkNode() finds a crashed node sound, and reads all of it", () => {
  const report = check(filledNode(1));
  assert.deepEqual(report.damages, []);
  assert.equal(report.outcome, "checked");
  assert.deepEqual([report.nodeId, report.shards, report.logs], [1, 1, 1]);
  assert.equal(report.batches, BATCHES);
  assert.ok(report.segments > 1, "the log should have rolled");
  assert.ok(report.replayedRecords > 0, "some of it should have been in the journal alone");
});

Deno.test("checkNode() names the file and the place of a flipped bit in a segment", () => {
  const node = filledNode(2);
  const directory = `logs/${node.disk.namesIn("logs")[0]}`;
  const path = `${directory}/${node.disk.namesIn(directory).find((name) =>
    name.endsWith(".log")
  )!}`;
  node.disk.flipBit(path, 10_000, 3);
  const report = check(node);
  assert.equal(report.outcome, "checked");
  assert.equal(report.damages.length, 1);
  const damage = report.damages[0]!;
  assert.equal(damage.file, path);
  assert.equal(damage.groupId, 7);
  assert.ok(damage.position <= 10_000, `${damage.position}`);
  assert.match(damage.lost, /does not match its checksum: offsets \d+ to \d+/);
  assert.ok(report.batches < BATCHES);
});

Deno.test("checkNode() reads the manifest's copy, and distinguishes lost manifests from a new directory", () => {
  const node = filledNode(3);
  node.disk.flipBit("manifest", 60, 0);
  const mended = check(node);
  assert.equal(mended.outcome, "checked");
  assert.equal(mended.batches, BATCHES);
  assert.deepEqual(mended.damages.map(({ file, harmless }) => [file, harmless]), [[
    "manifest",
    true,
  ]]);
  assert.match(mended.damages[0]!.lost, /^Nothing: its copy \(manifest\.copy\) serves; /);

  const both = filledNode(4);
  for (const path of ["manifest", "manifest.copy"]) both.disk.flipBit(path, 60, 0);
  const damaged = check(both);
  assert.equal(damaged.outcome, "damaged");
  assert.match(damaged.reason, /^The manifest is damaged \(.+\), and so is its copy$/);

  const gone = filledNode(5);
  for (const path of ["manifest", "manifest.copy"]) {
    assert.equal(gone.finish(unlink(gone, path)), 0);
  }
  const lost = check(gone);
  assert.equal(lost.outcome, "damaged");
  assert.match(
    lost.reason,
    /manifest and its copy are missing, but there are files of 1 partition/,
  );
  assert.equal(check(new TestNode({ seed: 3 })).outcome, "empty");
});

function* unlink(node: TestNode, path: string): Task<number> {
  return yield* io((done) => node.disk.unlink(path, done));
}
