import { strict as assert } from "node:assert";
import { EMFILE } from "../io/errno.ts";
import { io } from "../io/task.ts";
import { MetaKind } from "./log.ts";
import type { PartitionLog } from "./partition_log.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";

function nodeWithLog(): { node: TestNode; log: PartitionLog } {
  const node = new TestNode({ seed: 81 });
  assert.equal(node.mount(1), true);
  const log = node.engines[0]!.createLog({
    groupId: 2,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: TEST_LIMITS,
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
  node.settle();
  const { memory, crc32c } = node;
  for (let i = 0; i < 20; i++) {
    const batch = { recordCount: 1, valueBytes: 3000, fill: i, timestampMs: 5000 };
    while (log.append(0, writeSampleBatch(memory, crc32c, 0, batch), 1, node.nowMs) < 0) {
      node.settle();
    }
  }
  node.settle();
  return { node, log };
}

function leaveFile(node: TestNode, path: string): void {
  const handle = node.finish(io((done) => node.disk.open(path, true, done)))!;
  assert.ok(handle >= 0, path);
  node.finish(io((done) => node.disk.close(handle, done)));
}

function leaveDirectory(node: TestNode, path: string): void {
  assert.equal(node.finish(io((done) => node.disk.makeDirectory(path, done))), 0);
}

Deno.test("what is not ours in a data directory is left alone, and named", () => {
  const { node, log } = nodeWithLog();
  const files = [
    "notes.txt",
    "logs/notes.txt",
    "logs/notes.7.1",
    "shards/notes.txt",
    `${log.directory}/notes.txt`,
    "backup/of-everything",
    "logs/by-hand/00000000000000000000-1-1-1.log",
    "logs/copy-of-orders.2.1/00000000000000000000-1-1-1.log",
    "shards/old/journal-1-0",
  ];
  for (const directory of ["backup", "logs/by-hand", "logs/copy-of-orders.2.1", "shards/old"]) {
    leaveDirectory(node, directory);
  }
  for (const path of files) leaveFile(node, path);
  node.finish(io((done) => node.disk.syncFileSystem(done)));
  const bytes = node.readAll(log, 0);
  for (let start = 0; start < 3; start++) {
    if (start === 1) { for (const engine of node.engines) node.finish(engine.stop()); }
    node.crash();
    assert.equal(node.mount(1 + start % 2), true, node.report?.reason);
    assert.deepEqual([...node.report!.strays].sort(), [
      "backup",
      "logs/by-hand",
      "logs/copy-of-orders.2.1",
      "logs/notes.7.1",
      "logs/notes.txt",
      `${log.directory}/notes.txt`,
      "notes.txt",
      "shards/notes.txt",
      "shards/old",
    ]);
    assert.deepEqual(node.readAll(node.log(2)!, 0), bytes);
    assert.deepEqual(node.damages, []);
    const paths = node.disk.paths();
    for (const path of files) assert.ok(paths.includes(path), path);
  }
});

Deno.test("strays cost nothing when checkpoints are lost: what has the name of a log and is none is no log", () => {
  const { node, log } = nodeWithLog();
  leaveFile(node, "logs/notes.7.1");
  leaveDirectory(node, "logs/by-hand");
  node.finish(io((done) => node.disk.syncFileSystem(done)));
  const bytes = node.readAll(log, 0);
  for (const engine of node.engines) node.finish(engine.stop());
  node.crash();
  // Behind another start the journal has nothing of it any more.
  assert.equal(node.mount(1), true);
  const slots = node.report!.manifest!.shards[0]!.checkpoints;
  node.crash();
  for (const slot of slots) node.disk.loseBlock(slot, 0);
  assert.equal(node.mount(1, true), true);
  assert.deepEqual(node.report!.suspectGroups, [2]);
  assert.deepEqual(node.readAll(node.log(2)!, 0), bytes);
});

Deno.test("the directory of a deleted log with something in it stays, is reported once, and holds up nothing", () => {
  const { node, log } = nodeWithLog();
  leaveFile(node, `${log.directory}/notes.txt`);
  node.finish(io((done) => node.disk.syncFileSystem(done)));
  assert.equal(node.finish(node.engines[0]!.deleteLog(2)), 0);
  for (let i = 0; i < 4; i++) node.settle();
  assert.deepEqual(node.strays, [log.directory]);
  assert.deepEqual(node.disk.namesIn(log.directory), ["notes.txt"]);
  const operations = node.disk.operations;
  node.settle();
  assert.equal(node.disk.operations, operations, "it is tried again and again");
  node.crash();
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.report!.strays, [log.directory]);
});

Deno.test("the remains of a deletion are removed, and reported", () => {
  const { node } = nodeWithLog();
  leaveDirectory(node, "logs/gone-3.9.1");
  leaveFile(node, "logs/gone-3.9.1/00000000000000000000-1-1-1.log");
  node.finish(io((done) => node.disk.syncFileSystem(done)));
  node.crash();
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.report!.removed, ["logs/gone-3.9.1"]);
  assert.deepEqual(node.report!.strays, []);
});

Deno.test("a file in the place of a directory is named by the start that it stops", () => {
  const node = new TestNode({ seed: 82 });
  leaveFile(node, "logs");
  assert.equal(node.mount(1), false);
  assert.match(node.report!.reason, /logs is not a directory/);
});

Deno.test("a directory whose logs cannot be listed is not taken for a new one", () => {
  const { node } = nodeWithLog();
  node.crash();
  node.disk.crash();
  for (const path of ["manifest", "manifest.copy"]) node.disk.loseFile(path);
  node.disk = node.disk.restart();
  node.disk.list = (path) => path === "logs" ? -EMFILE : [];
  assert.equal(node.mount(1), false);
  assert.match(node.report!.reason, /logs cannot be listed/);
});

Deno.test("where none of the journals and checkpoints is there, nothing is begun anew in their place", () => {
  const { node } = nodeWithLog();
  node.finish(io((done) => node.disk.syncFileSystem(done)));
  node.crash();
  // As where they have a file system of their own that is not mounted.
  for (const path of node.disk.paths()) if (path.startsWith("shards/")) node.disk.loseFile(path);
  const before = node.disk.paths();
  const manifest = node.disk.blockAt("manifest", 0)!.slice();
  assert.equal(node.mount(1), false);
  assert.equal(node.report!.outcome, "damaged");
  assert.match(node.report!.reason, /None of the 4 journals and checkpoints .* mount it/);
  assert.deepEqual(node.disk.paths(), before);
  assert.deepEqual(node.disk.blockAt("manifest", 0), manifest);
  node.crash();
  assert.equal(node.mount(1, true), true);
  assert.deepEqual(node.report!.suspectGroups, [2]);
});
