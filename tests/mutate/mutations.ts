/**
 * Deliberate bugs of storage, each a small change of one or two places in the sources: what the simulation must
 * catch, or the directed test that an entry names. A list that nothing could catch would prove nothing.
 *
 * A snippet is found in its file exactly once, or the mutation no longer applies, which is an error: it is
 * brought up to date with the code that it changes.
 *
 * @module
 */

/** Replaces `find` by `by` in a file below `src/storage`. */
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly by: string;
}

export interface Mutation {
  /** What the bug does, in a few words. */
  readonly name: string;
  readonly edits: readonly Edit[];
  /** A seed that is known to meet it, tried first. */
  readonly seed?: number;
  /** Few seeds meet it: this test, which brings it about, is what catches it. */
  readonly test?: DirectedTest;
}

/** A test that fails because of a bug. */
export interface DirectedTest {
  /** From the repository's root. */
  readonly file: string;
  /** What its name begins with, or is. */
  readonly name: string;
}

function edit(file: string, find: string, by = ""): Edit {
  return { file, find, by };
}

/** Of one compacted log, from seeds. */
const COMPACTED: DirectedTest = {
  file: "tests/sim/compaction_test.ts",
  name:
    "compacted logs keep the last value of each key, their offsets and producers, through power cuts",
};

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "a trim unlinks segments before its PREFIX is durable",
    edits: [edit("log_cut.ts", "log.parts.retire(segment, lsn);", "log.parts.retire(segment, 0);")],
    seed: 64,
  },
  {
    name: "a checkpoint does not wait for the LSN that its rows reflect",
    edits: [edit("checkpoint.ts", "yield* options.durable(Math.max(reflected, floor - 1));")],
    seed: 10,
  },
  {
    name: "a checkpoint does not wait for the SEAL before its floor",
    edits: [edit("checkpoint.ts", "Math.max(reflected, floor - 1)", "reflected")],
    test: {
      file: "src/storage/write_order_test.ts",
      name: "a checkpoint is not there before the write that it begins behind",
    },
  },
  {
    name: "the pieces of a large batch are not durable",
    edits: [edit("large_append.ts", "length, true, done)", "length, false, done)")],
    seed: 7,
  },
  {
    name: "retention takes one segment too many",
    edits: [edit(
      "retention.ts",
      "if (!tooOld && !tooMuch) break;",
      "if (!tooOld && !tooMuch) return offset > log.startOffset ? segment.endOffset : offset;",
    )],
    seed: 4,
  },
  {
    name: "retention by size goes below its limit",
    edits: [edit(
      "retention.ts",
      "left - segment.sizeBytes >= limits.retentionBytes",
      "left >= limits.retentionBytes",
    )],
    seed: 7,
  },
  {
    name: "a chunk is written before its records are durable",
    edits: [edit("write_behind.ts", "if (chunk.recordLsn > this.durableLsn) break;")],
    test: {
      file: "tests/sim/torn_block_test.ts",
      name: "a block torn to garbage takes nothing that was acknowledged before",
    },
  },
  {
    name: "a log start passes the record of a large batch, and replay drops its segment",
    edits: [
      edit("log_cut.ts", "if (offset >= (log.unrecorded", "if (offset > (log.unrecorded"),
      edit("replay.ts", " && !goesOn(segment, sequence)"),
    ],
    seed: 79,
  },
  {
    name: "a cut writes to the segment before its TRUNCATE is durable",
    edits: [edit(
      "log_cut.ts",
      "  yield* journal.durable(lsn);\n  for (const each of dropped)",
      "  for (const each of dropped)",
    )],
    seed: 24,
  },
  {
    name: "a cut writes again what was written, with no record to mend it",
    edits: [edit(
      "log_cut.ts",
      "const isWritten = segment.writtenPosition >= position;",
      "const isWritten = false;",
    )],
    test: {
      file: "src/storage/write_order_test.ts",
      name: "a cut does not write again what was written",
    },
  },
  {
    name: "a cut leaves the producers' state behind it",
    edits: [
      edit(
        "log_cut.ts",
        "  log.producers.truncate(index);\n  log.cutEntries(index, offset);",
        "  log.cutEntries(index, offset);",
      ),
    ],
  },
  {
    name: "a replayed cut does not write what it cuts",
    edits: [edit(
      "replay.ts",
      "const { lastIndex, endOffset, position } = record.cut;\n    const flushed = yield* this.#flush(this.applied);",
      "const { lastIndex, endOffset, position } = record.cut;\n    const flushed = 0 as number;",
    )],
    test: {
      file: "src/storage/write_order_test.ts",
      name: "a replayed cut first writes what it cuts",
    },
  },
  {
    name: "the record behind a checkpoint carries nothing",
    edits: [edit("checkpoint.ts", "  log.carryNeeded = true;\n")],
  },
  {
    name: "the record behind a large batch carries nothing",
    edits: [edit("large_append.ts", "  log.carryNeeded = true;\n")],
    seed: 11,
  },
  {
    name: "a checkpoint does not flush the segments",
    edits: [edit(
      "checkpoint.ts",
      "const synced = yield* io((done) => parts.context.disk.syncFileSystem(done));",
      "const synced = 0 as number;",
    )],
  },
  {
    name: "a checkpoint does not wait for what it captured to be written",
    edits: [edit(
      "checkpoint.ts",
      "while (!segment.dropped && segment.writtenPosition < segment.capturedBytes) {",
      "while (false as boolean) {",
    )],
  },
  {
    name: "checkpoints always overwrite the same slot",
    edits: [edit("checkpoint_slots.ts", "this.#older = this.#older === 0 ? 1 : 0;")],
    seed: 12,
  },
  {
    name: "a row counts a large batch whose record is still to come",
    edits: [edit(
      "checkpoint_row.ts",
      "row.int64(unrecorded === null ? log.endOffset : unrecorded.baseOffset);",
      "row.int64(log.endOffset);",
    )],
    seed: 23,
  },
  {
    name: "the name of a large batch's file is not durable",
    edits: [edit("large_append.ts", "if (!segment.nameSynced) {", "if (false as boolean) {")],
    seed: 14,
  },
  {
    name: "a large batch that its successor's record mends is called lost",
    edits: [edit("replay.ts", "      if (mended) continue;\n")],
    test: {
      file: "src/storage/write_order_test.ts",
      name: "a torn block behind a large batch is mended from the record that shares it",
    },
  },
  {
    name: "replay writes older records over large batches still to come",
    edits: [edit(
      "write_behind.ts",
      "if (segment.landings !== null) end = endBeforeLanding(segment.landings, chunk.windowStart, end);",
    )],
    seed: 14,
  },
  {
    name: "a segment is entered before its first batch is taken",
    edits: [
      edit(
        "partition_log.ts",
        "      this.parts.prepare(this, next, length);\n      return null;\n    }\n    return next;",
        "      this.parts.prepare(this, next, length);\n      return null;\n    }\n    this.enter(next);\n    return next;",
      ),
      edit("replay.ts", "segment = this.#fileOf(log, generation) ?? segment;"),
    ],
    test: {
      file: "src/storage/large_append_test.ts",
      name:
        "a large batch is found again when an entry without a batch came before it in a prepared segment",
    },
  },
  {
    name: "a chunk overtakes the padded write of the block that it shares",
    edits: [edit("write_behind.ts", "if (segment.writtenPosition < chunk.waitsFor) return false;")],
  },
  {
    name: "a deletion unlinks segments before its record is durable",
    edits: [edit(
      "engine.ts",
      "    yield* this.journal.durable(lsn);\n    for (const segment of segments) this.retire(segment, lsn);",
      "    for (const segment of segments) this.retire(segment, 0);",
    )],
    test: {
      file: "src/storage/write_order_test.ts",
      name: "a deletion leaves the log as it was, or takes all of it",
    },
  },
  {
    name: "recovery does not flush what it rewrote before it switches",
    edits: [edit(
      "recovery.ts",
      "    result = yield* io((done) => disk.syncFileSystem(done));\n    if (result < 0) return result;\n    const rowsByShard",
      "    const rowsByShard",
    )],
    seed: 6,
  },
  {
    name: "a stop waits for a large batch with checkpoints switched off",
    edits: [edit(
      "engine.ts",
      "    for (const log of [...this.logs.values()]) yield* this.#landLarge(log);\n    this.#stopping = true;",
      "    this.#stopping = true;\n    for (const log of [...this.logs.values()]) yield* this.#landLarge(log);",
    )],
    test: {
      file: "src/storage/large_append_test.ts",
      name: "a stop ends while the ring is full and a large batch waits to be recorded",
    },
  },
  {
    name: "progress before a cut is told of what comes behind it",
    edits: [edit("partition_log.ts", "    endOffset = Math.min(endOffset, this.endOffset);\n")],
    test: {
      file: "src/storage/write_order_test.ts",
      name: "what was durable before a cut is not told of behind it",
    },
  },
  {
    name: "files that compaction replaces go at once",
    edits: [
      edit(
        "compactions.ts",
        "      this.#replaced.push({ segment, left });",
        "      this.#parts.retire(segment, 0);",
      ),
    ],
    test: COMPACTED,
  },
  {
    name: "the first batch of an aborted transaction counts",
    edits: [
      edit(
        "compaction_rules.ts",
        "if (ranges[i]! <= offset && offset < ranges[i + 1]!)",
        "if (ranges[i]! < offset && offset < ranges[i + 1]!)",
      ),
    ],
    test: COMPACTED,
  },
  {
    name: "compaction drops the last batch of a producer",
    edits: [
      edit(
        "compaction_rules.ts",
        "if (last >= 0) return batchBaseOffset(view, at) === last;",
        "if (last >= 0) return false;",
      ),
    ],
    test: COMPACTED,
  },
  {
    name: "a round with a full map takes the whole log for covered",
    edits: [
      edit(
        "compaction.ts",
        "keys + batchRecordCount(view, at) > capacity) return base;",
        "keys + batchRecordCount(view, at) > capacity) return endOffset;",
      ),
    ],
    test: COMPACTED,
  },
  {
    name: "a marker goes before the records of its transaction",
    edits: [
      edit(
        "compaction_rules.ts",
        "this.#observed.delete(batchProducerId(view, at)) || this.#isOverfull ||",
        "this.#isOverfull ||",
      ),
    ],
    test: COMPACTED,
  },
  {
    name: "a replica drops a tombstone by itself",
    edits: [
      edit(
        "compaction.ts",
        "if (batchEndOffset(view, at) > this.#rules.removalEnd) flags |= RewriteFlag.KEEP_TOMBSTONES;",
      ),
    ],
    test: {
      file: "src/replication/compacted_logs_test.ts",
      name:
        "a new leader's log was compacted at another time: its followers go on, and so do those that were away",
    },
  },
  {
    name: "a compacted segment is mended in place alone",
    edits: [
      edit(
        "segment_rewrite.ts",
        "if (result !== Refilled.ABSENT || isLast || !isSettled(segment, true)) return result;",
        "return result;",
      ),
    ],
    test: {
      file: "src/replication/compacted_logs_test.ts",
      name:
        "damage in a log that was compacted at another time than those of the others is mended with what they have",
    },
  },
];
