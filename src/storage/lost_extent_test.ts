import { strict as assert } from "node:assert";
import { getInt64 } from "../bytes/int64.ts";
import { EIO } from "../io/errno.ts";
import { io } from "../io/task.ts";
import {
  batchEndOffset,
  batchRecordCount,
  batchSize,
  LEADER_EPOCH_OFFSET,
} from "../wire/record_batch.ts";
import { type Log, MetaKind } from "./log.ts";
import { decodeRow, encodeRow } from "./checkpoint_row.ts";
import { verifyLogs } from "./verify.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";

const GROUP = 1;
const BATCHES = 60;
const VALUE_BYTES = 5000;

/** A stopped node with a log of several segments; returns their paths, oldest first. */
function stoppedNode(seed: number, valueBytes = VALUE_BYTES): { node: TestNode; paths: string[] } {
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
  for (let appended = 0; appended < BATCHES;) {
    if (append(node, log, valueBytes) >= 0) appended++;
  }
  assert.equal(node.finish(node.engines[0]!.stop()), 0);
  const paths = node.disk.paths().filter((path) => path.endsWith(".log")).sort();
  assert.ok(valueBytes < VALUE_BYTES || paths.length > 2, "the log should have rolled");
  return { node, paths };
}

function append(node: TestNode, log: Log, valueBytes: number, term = 1): number {
  const size = writeSampleBatch(node.memory, node.crc32c, 0, {
    recordCount: 1,
    valueBytes,
    fill: 1,
    timestampMs: 5000,
  });
  const offset = log.append(0, size, term, node.nowMs);
  node.settle();
  return offset;
}

/** Offsets of the records that a consumer gets, and asserts that it comes to the end. */
function readOffsets(node: TestNode, log: Log): number[] {
  const bytes = node.readAll(log, 0);
  assert.ok(bytes !== null, "a read failed, or did not move on");
  const view = new DataView(bytes.buffer);
  const offsets: number[] = [];
  let expected = 0;
  for (let at = 0; at < bytes.length; at += batchSize(view, at)) {
    assert.equal(getInt64(view, at), expected, "batches cover every offset");
    if (batchRecordCount(view, at) > 0) offsets.push(getInt64(view, at));
    expected = batchEndOffset(view, at);
  }
  assert.equal(expected, log.endOffset);
  return offsets;
}

function remove(node: TestNode, path: string): void {
  const { disk } = node;
  const removed = node.finish(function* () {
    return yield* io((done) => disk.unlink(path, done));
  }());
  assert.equal(removed, 0);
}

interface Case {
  readonly name: string;
  readonly valueBytes?: number;
  readonly damage: (node: TestNode, paths: readonly string[]) => void;
  /** Most records that may be lost with it. */
  readonly lostMax: number;
}

const CASES: readonly Case[] = [
  {
    name: "a flipped bit in the first segment",
    damage: (node, paths) => node.disk.flipBit(paths[0]!, 70_000, 3),
    lostMax: 15,
  },
  {
    name: "a flipped bit at the end of the segment that is written to",
    damage: (node, paths) => node.disk.flipBit(paths.at(-1)!, 100, 1),
    lostMax: 15,
  },
  {
    name: "a flipped bit in a log of one extent: all of it",
    valueBytes: 100,
    damage: (node, paths) => node.disk.flipBit(paths[0]!, 100, 1),
    lostMax: BATCHES,
  },
  {
    name: "a segment file that is gone",
    damage: (node, paths) => remove(node, paths[1]!),
    lostMax: 20,
  },
  {
    name: "the file of the segment that is written to is gone",
    damage: (node, paths) => remove(node, paths.at(-1)!),
    lostMax: 20,
  },
  {
    name: "a segment and its index are gone",
    damage: (node, paths) => {
      remove(node, paths[0]!);
      remove(node, paths[0]!.replace(".log", ".index"));
    },
    lostMax: 20,
  },
  {
    name: "a flipped bit in a segment whose index is gone",
    damage: (node, paths) => {
      node.disk.flipBit(paths[0]!, 70_000, 3);
      remove(node, paths[0]!.replace(".log", ".index"));
    },
    lostMax: 10,
  },
];

for (const { name, valueBytes = VALUE_BYTES, damage, lostMax } of CASES) {
  Deno.test(`A loss that is accepted: ${name}`, () => {
    const { node, paths } = stoppedNode(1, valueBytes);
    damage(node, paths);
    assert.equal(node.mount(1), true);
    assert.equal(node.readAll(node.log(GROUP)!, 0), null, "damage is refused at first");
    const told = node.damages.filter(({ file }) => paths.includes(file));
    assert.ok(told.length > 0 && told.every(({ lost }) => /offsets \d+ to \d+/.test(lost)));

    // An accepting start: the reader comes to the end, the writer goes on.
    assert.equal(node.mount(1), true);
    node.engines[0]!.loader.acceptLoss = true;
    const log = node.log(GROUP)!;
    const kept = readOffsets(node, log);
    const lost = BATCHES - kept.length;
    assert.ok(lost > 0 && lost <= lostMax, `${lost} records are lost`);
    let appended = -1;
    for (let i = 0; i < 20 && appended < 0; i++) appended = append(node, log, valueBytes);
    assert.equal(appended, BATCHES);
    assert.deepEqual(readOffsets(node, log), [...kept, BATCHES]);
    assert.equal(node.finish(node.engines[0]!.stop()), 0);

    // It stays accepted; nothing is damage any more.
    node.damages.length = 0;
    assert.equal(node.mount(1), true);
    assert.deepEqual(readOffsets(node, node.log(GROUP)!), [...kept, BATCHES]);
    node.engines = [];
    const context = node.context(0);
    assert.ok(node.finish(verifyLogs(context, node.report!.manifest!, () => {})) !== null);
    assert.deepEqual(node.damages.filter(({ lost }) => !/^Nothing/.test(lost)), []);
  });
}

Deno.test("An append alone finds that its segment is gone, and goes on in a new one", () => {
  const { node, paths } = stoppedNode(2);
  remove(node, paths.at(-1)!);
  assert.equal(node.mount(1), true);
  node.engines[0]!.loader.acceptLoss = true;
  const log = node.log(GROUP)!;
  let appended = -1;
  for (let i = 0; i < 20 && appended < 0; i++) appended = append(node, log, VALUE_BYTES);
  assert.equal(appended, BATCHES);
  assert.equal(readOffsets(node, log).at(-1), BATCHES);
});

Deno.test("A lost extent stays apart from sound ones when the index is rebuilt", () => {
  const { node, paths } = stoppedNode(3);
  node.disk.flipBit(paths[0]!, 10_000, 3);
  assert.equal(node.mount(1), true);
  node.engines[0]!.loader.acceptLoss = true;
  const kept = readOffsets(node, node.log(GROUP)!);
  assert.equal(node.finish(node.engines[0]!.stop()), 0);
  remove(node, paths[0]!.replace(".log", ".index"));
  assert.equal(node.mount(1), true);
  assert.ok(readOffsets(node, node.log(GROUP)!).length >= kept.length);
});

Deno.test("A row written before extents could be given up is read as one without", () => {
  const { node } = stoppedNode(4);
  assert.equal(node.mount(1), true);
  const engine = node.engines[0]!;
  const log = engine.logs.get(GROUP)!;
  const row = encodeRow(log);
  new DataView(row.buffer).setUint32(0, 1, true);
  const older = decodeRow(engine, row)!;
  assert.equal(older.endOffset, BATCHES);
  assert.ok(older.segmentList.every(({ lost }) => lost === null));
});

Deno.test("What the device does not give is given up by a start that verified, and by no other", () => {
  const { node, paths } = stoppedNode(5);
  assert.equal(node.mount(1), true);
  const damaged = { file: paths[0]!, position: -1, lost: "", groupId: GROUP };
  const fault = { kind: "error", errno: EIO } as const;
  const readsFail = (path: string): void => {
    for (let nth = 1; nth <= 200; nth++) {
      node.disk.inject({ operation: "read", path: new RegExp(path), nth, fault });
    }
  };
  readsFail(paths[0]!);
  node.engines[0]!.loader.acceptLoss = true;
  assert.equal(node.readAll(node.log(GROUP)!, 0), null, "it may answer tomorrow");
  node.finish(node.engines[0]!.giveUp([damaged, { ...damaged, groupId: 99 }]));
  const kept = readOffsets(node, node.log(GROUP)!);
  assert.ok(kept.length < BATCHES && kept[0]! > 0);
});

Deno.test("An extent that can be read after all is reported", () => {
  const { node, paths } = stoppedNode(6);
  const healed: string[] = [];
  const context = node.context.bind(node);
  node.context = (shard) => ({
    ...context(shard),
    onReadable: ({ file, position }) => healed.push(`${file}:${position}`),
  });
  assert.equal(node.mount(1), true);
  const fault = { kind: "error", errno: EIO } as const;
  node.disk.inject({ operation: "read", path: new RegExp(paths[0]!), nth: 1, fault });
  assert.equal(node.readAll(node.log(GROUP)!, 0), null);
  assert.equal(readOffsets(node, node.log(GROUP)!).length, BATCHES);
  assert.deepEqual(healed, [`${paths[0]}:0`]);
});

Deno.test("What is read in the place of a lost extent is of the extent's term, not of its segment's", () => {
  const { node, paths } = stoppedNode(7, 100);
  for (let term = 2; term < 4; term++) {
    assert.equal(node.mount(1), true);
    const log = node.log(GROUP)!;
    log.appendMeta(MetaKind.NO_OP, term, new Uint8Array(0));
    for (let i = 0; i < 30; i++) append(node, log, 100, term);
    assert.equal(node.finish(node.engines[0]!.stop()), 0);
  }
  // In the extent that holds what was written last; both lives went on in the one segment.
  node.disk.flipBit(paths[0]!, 12_000, 1);
  assert.equal(node.mount(1), true);
  node.engines[0]!.loader.acceptLoss = true;
  const log = node.log(GROUP)!;
  assert.equal(log.segments().length, 1);
  const bytes = node.readAll(log, 0)!;
  const view = new DataView(bytes.buffer);
  let lost = 0;
  for (let at = 0; at < bytes.length; at += batchSize(view, at)) {
    const term = view.getInt32(at + LEADER_EPOCH_OFFSET, false);
    const last = batchEndOffset(view, at) - 1;
    assert.equal(term, log.termAt(log.indexAt(last)), `offset ${last}`);
    if (batchRecordCount(view, at) === 0 && term > 1) lost++;
  }
  assert.equal(lost, 1);
});
