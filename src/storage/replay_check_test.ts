import { strict as assert } from "node:assert";
import { crc32cOfBytes } from "../bytes/crc32c.ts";
import { getInt64Le } from "../bytes/int64.ts";
import { encodeRow } from "./checkpoint_row.ts";
import { CheckpointSlots, openSlots } from "./checkpoint_slots.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";
import {
  BLOCK_HEADER_SIZE,
  JournalRecordType,
  LSN_OFFSET,
  RECORD_PAYLOAD_LENGTH_OFFSET,
} from "./journal_format.ts";
import { LOG_BUSY, MetaKind } from "./log.ts";
import { JournalRoom } from "./journal_ring.ts";
import { moveStart } from "./log_cut.ts";
import type { PartitionLog } from "./partition_log.ts";

const NO_PAYLOAD = new Uint8Array(0);
const LARGE = 100_000;
const JUNK_BYTES = 400;

function makeLog(node: TestNode, groupId: number): PartitionLog {
  const log = node.engines[0]!.createLog({
    groupId,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: { ...TEST_LIMITS, segmentBytes: 2 ** 20 },
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, NO_PAYLOAD);
  return log;
}

function put(node: TestNode, log: PartitionLog, valueBytes: number): number {
  const batch = { recordCount: 1, valueBytes, fill: log.endOffset + 1, timestampMs: 9 };
  const size = writeSampleBatch(node.memory, node.crc32c, 0, batch);
  return log.append(0, size, log.lastTerm, node.nowMs);
}

function append(node: TestNode, log: PartitionLog, valueBytes: number): void {
  for (let i = 0; i < 30; i++) {
    if (put(node, log, valueBytes) >= 0) return;
    node.settle();
  }
  assert.fail("an append was refused for ever");
}

/** A log with three small batches, and room for a large one. */
function mounted(seed: number): { node: TestNode; log: PartitionLog } {
  const node = new TestNode({ seed });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  for (let i = 0; i < 3; i++) append(node, log, 600);
  append(node, log, LARGE);
  append(node, log, 600);
  node.settle();
  return { node, log };
}

Deno.test("a log start at a large batch on its way waits for its record", () => {
  const { node, log } = mounted(1);
  const end = log.endOffset;
  assert.equal(put(node, log, LARGE), end);
  assert.equal(log.trimPrefix(end), LOG_BUSY);
  assert.equal(log.trimPrefix(end - 1), 0);
  node.settle();
  assert.equal(log.trimPrefix(end), 0);
  node.settle();
  const bytes = node.readAll(log, end)!;
  node.crash();
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.report!.damages, []);
  const again = node.log(1)!;
  assert.deepEqual([again.startOffset, again.endOffset], [end, end + 1]);
  assert.deepEqual(node.readAll(again, end), bytes);
});

/** As versions before this one did: the start moves up to the batch, and its record follows. */
function trimEarly(log: PartitionLog): void {
  moveStart(log, log.unrecorded!.baseOffset);
  log.parts.journal!.prefix(log);
}

Deno.test("a directory where a log start was recorded before the large batch after it starts", () => {
  let replayed = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const { node, log } = mounted(seed);
    const end = log.endOffset;
    assert.equal(put(node, log, LARGE), end);
    trimEarly(log);
    let bytes: Uint8Array | null = null;
    if (seed % 2 === 0) {
      node.settle();
      assert.equal(log.durableEndOffset, end + 1);
      append(node, log, 500);
      node.settle();
      bytes = node.readAll(log, end);
    } else node.disk.crashAfterOps(seed);
    node.settle();
    node.crash();
    assert.equal(node.mount(1 + seed % 3), true, `seed ${seed}`);
    assert.deepEqual(node.report!.damages, [], `seed ${seed}`);
    const again = node.log(1)! as PartitionLog;
    assert.equal(again.suspect, false);
    if (bytes !== null) {
      replayed++;
      assert.deepEqual([again.startOffset, again.endOffset], [end, end + 2], `seed ${seed}`);
      assert.deepEqual(node.readAll(again, end), bytes);
    } else assert.notEqual(node.readAll(again, again.startOffset), null);
    const next = again.endOffset;
    if (again.lastTerm === 0) again.appendMeta(MetaKind.NO_OP, 1, NO_PAYLOAD);
    append(node, again, 300);
    assert.equal(again.endOffset, next + 1);
  }
  assert.ok(replayed > 0);
});

/** Fields of a record that a sound journal holds and that makes no sense for the log. */
interface Nonsense {
  readonly name: string;
  readonly type: number;
  readonly term?: number;
  readonly small?: number;
  readonly a?: number;
  readonly b?: number;
  readonly c?: number;
  readonly payloadBytes?: number;
}

const { APPEND, CREATE, HARD, META, PREFIX, REF, TRUNCATE } = JournalRecordType;
const NONSENSE: readonly Nonsense[] = [
  { name: "an unknown type", type: 77 },
  { name: "type 0", type: 0 },
  { name: "a meta entry beyond the end", type: META, a: 1000, b: 5 },
  { name: "a meta entry at another offset", type: META, a: 7, b: 1000 },
  {
    name: "a meta entry of an earlier term",
    type: META,
    small: MetaKind.NO_OP,
    a: 7,
    b: 5,
    term: 0,
  },
  { name: "a meta entry of an unknown kind", type: META, small: 9, a: 7, b: 5 },
  { name: "a term that was over", type: HARD, a: 1, term: 0 },
  { name: "a batch of another index", type: APPEND, a: 3, b: 1, payloadBytes: JUNK_BYTES },
  { name: "bytes that are no batch", type: APPEND, a: 7, b: 1, payloadBytes: JUNK_BYTES },
  { name: "a batch without bytes", type: APPEND, a: 7, b: 1, payloadBytes: 0 },
  {
    name: "more carried bytes than bytes",
    type: APPEND,
    small: 900,
    a: 7,
    b: 1,
    payloadBytes: 100,
  },
  { name: "a reference without a batch", type: REF, a: 7, b: 1, payloadBytes: 0 },
  { name: "a reference to junk", type: REF, a: 7, b: 1, c: 2 ** 30, payloadBytes: 72 },
  { name: "a start beyond the end", type: PREFIX, a: 500, b: 900 },
  { name: "a start that goes back", type: PREFIX, a: -4, b: -9 },
  { name: "a cut beyond the end", type: TRUNCATE, a: 500, b: 900, c: 10 },
  { name: "a cut before the start", type: TRUNCATE, a: -1, b: -1, c: 0 },
  { name: "a cut at no place of the segment", type: TRUNCATE, a: 3, b: 2, c: 2 ** 40 },
  { name: "a beginning that is no row", type: CREATE, payloadBytes: JUNK_BYTES },
];

for (const nonsense of NONSENSE) {
  Deno.test(`a start over a journal record with ${nonsense.name} names it, and serves the rest`, () => {
    const { node, log } = mounted(7);
    const other = makeLog(node, 2);
    append(node, other, 500);
    log.setHardState(1, 1);
    node.settle();
    const bytes = node.readAll(log, 0)!;
    const { term = 2, small = 0, a = 0, b = 0, c = 0, payloadBytes = 0 } = nonsense;
    const at = node.engines[0]!.context.arena.allocate(4096);
    node.memory.bytes.fill(0x5a, at, at + 4096);
    const { journal } = log.parts.journal!;
    assert.equal(journal.hasRoom(payloadBytes, JournalRoom.ORDINARY), true);
    const d = log.nextSequence();
    journal.record(nonsense.type as 1, 1, 1, term, small, a, b, c, d, at, payloadBytes);
    log.setHardState(9, 2);
    node.settle();
    append(node, other, 700);
    node.settle();
    const others = node.readAll(other, 0)!;
    node.crash();
    assert.equal(node.mount(1), true, node.report?.reason);
    assert.deepEqual(node.report!.suspectGroups, [1]);
    assert.equal(node.report!.damages.length, 1);
    const damage = node.report!.damages[0]!;
    assert.equal(damage.groupId, 1);
    assert.match(damage.file, /journal/);
    assert.match(damage.lost, new RegExp(`Journal record ${d} of group 1`));
    assert.deepEqual(node.readAll(node.log(1)!, 0), bytes);
    assert.equal(node.log(1)!.hardTerm, 1);
    assert.deepEqual(node.readAll(node.log(2)!, 0), others);
  });
}

Deno.test("a start over a sound journal write whose last record is cut short names it", () => {
  const { node, log } = mounted(8);
  const bytes = node.readAll(log, 0)!;
  const lsn = log.parts.journal!.journal.nextLsn;
  log.setHardState(3, 1);
  while (log.durableHardVersion < log.hardVersion) {
    node.turn();
    node.disk.step();
  }
  node.crash();
  const path = node.report!.manifest!.shards[0]!.extents[0]!;
  let forged = 0;
  for (let block = 0; block < 32; block++) {
    const found = node.disk.blockAt(path, block)?.slice();
    if (found === undefined) continue;
    const view = new DataView(found.buffer);
    if (getInt64Le(view, LSN_OFFSET) !== lsn) continue;
    view.setUint32(BLOCK_HEADER_SIZE + RECORD_PAYLOAD_LENGTH_OFFSET, 2 ** 31, true);
    view.setUint32(0, crc32cOfBytes(found, 4, found.length, 0), true);
    node.disk.replaceBlock(path, block, found);
    forged++;
  }
  assert.equal(forged, 1);
  assert.equal(node.mount(1), true);
  assert.equal(node.report!.damages.length, 1);
  assert.match(node.report!.damages[0]!.lost, new RegExp(`Journal writes ${lsn} to ${lsn}`));
  assert.deepEqual(node.readAll(node.log(1)!, 0), bytes);
});

Deno.test("a start over checkpoint rows that cannot be read names them, and brings back what it can", () => {
  const { node, log } = mounted(9);
  const other = makeLog(node, 2);
  append(node, other, 500);
  assert.equal(node.finish(node.engines[0]!.stop()), 0);
  const bytes = node.readAll(log, 0)!;
  const others = node.readAll(other, 0)!;
  const [row, junk] = [encodeRow(other), encodeRow(log)];
  const lsn = log.parts.journal!.journal.durableLsn;
  node.crash();
  junk.fill(0x5a, 100);
  const { mountEpoch, shards } = node.report!.manifest!;
  const handles = node.finish(openSlots(node.context(3), shards[0]!, false))!;
  assert.ok(typeof handles !== "number");
  const { journalId } = shards[0]!;
  const slots = { context: node.context(3), handles, journalId, mountEpoch, sequence: 90 };
  const written = new CheckpointSlots({ ...slots, older: 0 }).write([junk, row], lsn);
  assert.equal(node.finish(written), 0);
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.report!.suspectGroups, [1]);
  const [first] = node.report!.damages;
  assert.match(first!.lost, /1 checkpoint row/);
  assert.equal(first!.file, shards[0]!.checkpoints[0]);
  assert.deepEqual(node.readAll(node.log(2)!, 0), others);
  assert.deepEqual(node.readAll(node.log(1)!, 0), bytes);
});
