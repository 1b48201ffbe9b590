import { strict as assert } from "node:assert";
import { softwareCrc32c } from "../bytes/crc32c.ts";
import { wrapMemory } from "../bytes/memory.ts";
import { AppendRuns } from "../raft/append_runs.ts";
import { TERM_MAX } from "../raft/limits.ts";
import { MessageKind, RaftMessage } from "../raft/message.ts";
import fc from "../../tests/harness/fast_check.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import {
  APPEND_HEAD_SIZE,
  decodeRow,
  encodeAppendHead,
  encodeMeta,
  encodeRow,
  groupOfRow,
  metaSize,
  ROW_SIZE,
} from "./frames.ts";
import { ReceivedAppend } from "./received_append.ts";
import { decodeSnapshot } from "./snapshot_frame.ts";

const index = fc.maxSafeNat();
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const term = fc.integer({ min: 0, max: TERM_MAX });

Deno.test("a row gives back every field of a message", () => {
  const fields = fc.record({
    kind: fc.integer({ min: 1, max: 8 }),
    outcome: fc.integer({ min: 0, max: 3 }),
    incarnation: u32,
    term,
    indexTerm: term,
    index,
    prevIndex: index,
    commit: index,
    match: index,
    accepted: index,
    token: index,
    pre: fc.boolean(),
    transfer: fc.boolean(),
    granted: fc.boolean(),
    quiet: fc.boolean(),
  });
  fc.assert(fc.property(fields, index, (values, groupId) => {
    const message = Object.assign(new RaftMessage(), values);
    message.from = 4;
    const view = new DataView(new ArrayBuffer(ROW_SIZE + 5));
    encodeRow(view, 5, groupId, message);
    const read = new RaftMessage();
    assert.equal(decodeRow(view, 5, 4, read), true);
    assert.deepEqual(read, message);
    assert.equal(groupOfRow(view, 5), groupId);
  }));
});

Deno.test("any bytes are a row or are refused", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: ROW_SIZE, maxLength: ROW_SIZE }), (bytes) => {
    const message = new RaftMessage();
    if (!decodeRow(new DataView(bytes.buffer, bytes.byteOffset), 0, 1, message)) return;
    assert.ok(message.term <= TERM_MAX && message.indexTerm <= TERM_MAX);
    assert.ok(message.index >= 0 && message.match >= 0 && message.kind >= MessageKind.VOTE_REQUEST);
  }));
});

/** A frame of one no-op and two batches at address 0 of a memory of its own; its length. */
function sampleAppend() {
  const memory = wrapMemory(new ArrayBuffer(16 * 1024));
  const crc32c = softwareCrc32c(memory);
  const { view, bytes } = memory;
  const message = new RaftMessage();
  message.clear(MessageKind.APPEND);
  Object.assign(message, { term: 3, index: 9, indexTerm: 2, incarnation: 1 });
  encodeRow(view, 0, 5, message);
  const recordsAt = APPEND_HEAD_SIZE + metaSize(0);
  encodeAppendHead(view, 0, recordsAt, 1, 7);
  encodeMeta(view, bytes, APPEND_HEAD_SIZE, 1, 3, new Uint8Array(0));
  let length = recordsAt;
  for (const [baseOffset, recordCount] of [[7, 2], [9, 1]] as const) {
    const batch = { recordCount, valueBytes: 50, fill: 3, timestampMs: 9 };
    const size = writeSampleBatch(memory, crc32c, length, batch);
    view.setBigInt64(length, BigInt(baseOffset), false);
    view.setInt32(length + 12, 3, false);
    length += size;
  }
  return { memory, crc32c, length };
}

Deno.test("an append lists its entries by term", () => {
  const { memory, crc32c, length } = sampleAppend();
  const runs = new AppendRuns();
  assert.equal(new ReceivedAppend(memory, crc32c).wrap(0, length, 9, runs), null);
  assert.deepEqual([runs.count, runs.firstOf(0), runs.lastIndex, runs.termOf(0)], [1, 10, 13, 3]);
});

Deno.test("an append that is cut or changed anywhere is refused, or lists no other records", () => {
  const { memory, crc32c, length } = sampleAppend();
  const received = new ReceivedAppend(memory, crc32c);
  const runs = new AppendRuns();
  const wholes = new Set([APPEND_HEAD_SIZE + metaSize(0), length]);
  for (let cut = 0; cut < length; cut++) {
    const problem = received.wrap(0, cut, 9, runs);
    // At a batch's end it is a shorter append; the links' own checksum covers whole frames.
    if (problem === null) {
      assert.ok(runs.lastIndex < 13 && (wholes.has(cut) || runs.lastIndex > 10));
    }
  }
  fc.assert(fc.property(
    fc.integer({ min: ROW_SIZE, max: length - 1 }),
    fc.integer({ min: 1, max: 255 }),
    (at, mask) => {
      memory.bytes[at]! ^= mask;
      received.wrap(0, length, 9, runs);
      memory.bytes[at]! ^= mask;
    },
  ));
});

Deno.test("any bytes are a snapshot or are refused", () => {
  const point = { index: 40, indexTerm: 2 };
  fc.assert(fc.property(fc.uint8Array({ minLength: 0, maxLength: 200 }), (bytes) => {
    const padded = new Uint8Array(300);
    padded.set(bytes);
    const view = new DataView(padded.buffer);
    const read = decodeSnapshot(view, padded, 0, bytes.length, point);
    if (read !== null) assert.ok(read.offset <= read.index);
  }));
});

Deno.test("terms that no group comes to are refused", () => {
  const view = new DataView(new ArrayBuffer(ROW_SIZE));
  for (const field of ["term", "indexTerm"] as const) {
    for (
      const [value, isRead] of [[TERM_MAX, true], [TERM_MAX + 1, false], [
        0xffffffff,
        false,
      ]] as const
    ) {
      const message = new RaftMessage();
      message.clear(MessageKind.HEARTBEAT);
      message[field] = value;
      encodeRow(view, 0, 1, message);
      assert.equal(decodeRow(view, 0, 1, new RaftMessage()), isRead);
    }
  }
});
