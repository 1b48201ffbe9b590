import { strict as assert } from "node:assert";
import { Arena } from "../bytes/arena.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { ENOENT } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import { MetaKind } from "./log.ts";
import { DISK_ERROR_PATH, encodeDiskError, readDiskError, verifyNode } from "./disk_error_mark.ts";
import { verifyLogs } from "./verify.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";

const LOGS = 3;
const BATCHES = 60;
const LARGEST_BYTES = 300_000;

/** A recovered node that serves nothing: logs of several segments, one with a batch of many extents' size. */
function recoveredNode(seed: number): TestNode {
  const node = new TestNode({ seed });
  assert.equal(node.mount(2), true);
  for (let groupId = 1; groupId <= LOGS; groupId++) {
    const log = node.engines[groupId % 2]!.createLog({
      groupId,
      incarnation: 1,
      name: `orders-${groupId}`,
      segmentLimits: TEST_LIMITS,
      listener: null,
    });
    log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
    for (let appended = 0; appended < BATCHES;) {
      const large = groupId === LOGS && appended === BATCHES / 2;
      const size = writeSampleBatch(node.memory, node.crc32c, 0, {
        recordCount: 1,
        valueBytes: large ? LARGEST_BYTES : 5000,
        fill: 1,
        timestampMs: 5000,
      });
      if (log.append(0, size, 1, node.nowMs) >= 0) appended++;
      node.settle();
    }
  }
  for (const engine of node.engines) assert.equal(node.finish(engine.stop()), 0);
  assert.equal(node.mount(2), true);
  node.engines = [];
  return node;
}

function* leaveMark(node: TestNode): Task<void> {
  const { disk } = node;
  const text = encodeDiskError("2026-11-23T22:41:22.161Z", "Cannot write\nthe journal: errno 5");
  node.memory.bytes.fill(0, 0, BLOCK_SIZE);
  node.memory.bytes.set(text, 0);
  const handle = yield* io((done) => disk.open(DISK_ERROR_PATH, true, done));
  yield* io((done) => disk.write(handle, 0, 0, BLOCK_SIZE, true, done));
  yield* io((done) => disk.truncate(handle, text.length, done));
  yield* io((done) => disk.sync(handle, done));
  yield* io((done) => disk.close(handle, done));
  yield* io((done) => disk.syncDirectory("", done));
}

function segmentPaths(node: TestNode): string[] {
  return node.disk.namesIn("logs").flatMap((name) =>
    node.disk.namesIn(`logs/${name}`)
      .filter((file) => file.endsWith(".log"))
      .map((file) => `logs/${name}/${file}`)
  );
}

Deno.test("verifyLogs() reads every byte of a sound node, reports each percent once, keeps no memory", () => {
  const node = recoveredNode(1);
  const context = node.context(0);
  const free = context.arena.freeBytes;
  const told: number[] = [];
  const verified = node.finish(
    verifyLogs(context, node.report!.manifest!, (done) => told.push(done)),
  )!;
  assert.ok(typeof verified !== "number");
  assert.deepEqual(node.damages, []);
  assert.deepEqual([verified.logs, verified.batches], [LOGS, LOGS * BATCHES]);
  assert.ok(verified.segments > LOGS, "the logs should have rolled");
  assert.ok(verified.bytes > LOGS * BATCHES * 5000 + LARGEST_BYTES - 5000);
  assert.equal(context.arena.freeBytes, free);
  assert.equal(told.at(-1), 1);
  assert.deepEqual(told, [...new Set(told)].sort((a, b) => a - b));
});

Deno.test("verifyLogs() has several reads on their way", () => {
  const node = recoveredNode(2);
  const { disk } = node;
  let most = 0;
  const context = {
    ...node.context(0),
    onDamage: () => {},
    disk: new Proxy(disk, {
      get: (target, name) => {
        most = Math.max(most, target.inFlight);
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    }),
  };
  assert.ok(node.finish(verifyLogs(context, node.report!.manifest!, () => {})) !== null);
  assert.ok(most >= 2, `${most} at most`);
});

Deno.test("verifyLogs() names each of several damages, and continues after them", () => {
  const node = recoveredNode(3);
  const paths = segmentPaths(node);
  const damaged = [paths[0]!, paths[2]!, paths.at(-1)!];
  for (const path of damaged) node.disk.flipBit(path, 100, 5);
  const verified = node.finish(verifyLogs(node.context(0), node.report!.manifest!, () => {}))!;
  assert.ok(typeof verified !== "number");
  assert.deepEqual(node.damages.map(({ file }) => file).sort(), [...damaged].sort());
  for (const { position, lost } of node.damages) {
    assert.equal(position, 0);
    assert.match(lost, /does not match its checksum: offsets \d+ to \d+/);
  }
  assert.ok(verified.batches < LOGS * BATCHES && verified.batches > LOGS * BATCHES / 2);
});

Deno.test("verifyLogs() says of an extent that its memory is too small for that it was not read", () => {
  const node = recoveredNode(4);
  const context = node.context(0);
  const small = { ...context, arena: new Arena(context.arena.base, 2 ** 20) };
  assert.ok(small.arena.blockSizeMax < LARGEST_BYTES);
  const verified = node.finish(verifyLogs(small, node.report!.manifest!, () => {}))!;
  assert.ok(typeof verified !== "number");
  assert.equal(verified.batches, LOGS * BATCHES - 1);
  assert.deepEqual(node.damages.map(({ lost }) => /not verified/.test(lost)), [true]);
});

Deno.test("The mark of a disk error outlives every power cut before the verification is complete", () => {
  const whole = recoveredNode(5);
  assert.equal(whole.finish(readDiskError(whole.context(0))), null);
  whole.finish(leaveMark(whole));
  const told = whole.finish(readDiskError(whole.context(0)));
  assert.equal(told, "2026-11-23T22:41:22.161Z Cannot write the journal: errno 5");
  const before = whole.disk.operations;
  const verify = (node: TestNode) => verifyNode(node.context(0), node.report!.manifest!, () => {});
  assert.ok(whole.finish(verify(whole)) !== null);
  const operations = whole.disk.operations - before;
  assert.equal(whole.disk.size(DISK_ERROR_PATH), -ENOENT);
  whole.crash();
  assert.equal(whole.disk.size(DISK_ERROR_PATH), -ENOENT, "the removal was not durable");

  // The last two operations remove it: by then everything was read.
  for (let cut = 0; cut < operations - 2; cut += 7) {
    const node = recoveredNode(5);
    node.finish(leaveMark(node));
    node.disk.crashAfterOps(cut);
    assert.equal(node.finish(verify(node)), null);
    node.crash();
    assert.ok(node.disk.size(DISK_ERROR_PATH) > 0, `gone after ${cut} of ${operations} operations`);
    assert.equal(node.mount(1), true);
    node.engines = [];
    assert.ok(node.finish(verify(node)) !== null);
    assert.equal(node.disk.size(DISK_ERROR_PATH), -ENOENT);
  }
});
