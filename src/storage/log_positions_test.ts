import { strict as assert } from "node:assert";
import { AppendGate } from "./append_gate.ts";
import { LOG_BUSY, LOG_FAILED } from "./log.ts";
import { LogPositions } from "./log_positions.ts";

/** Ten records of term 2 behind a no-op, of which `durable` are durable and `committed` entries committed. */
function positions(durable: number, committed: number): LogPositions {
  const log = new LogPositions();
  log.addMeta(1, 2);
  log.addRecords(10);
  log.reachDurable(1 + durable, durable);
  log.commit(committed);
  return log;
}

Deno.test("positions move together, and nothing is durable or committed that is not there", () => {
  const log = positions(4, 3);
  assert.deepEqual([log.lastIndex, log.lastTerm, log.endOffset], [11, 2, 10]);
  assert.deepEqual([log.durableIndex, log.durableEndOffset, log.committedIndex], [5, 4, 3]);
  assert.throws(() => log.reachDurable(12, 10), /durable beyond/);
  assert.throws(() => positions(4, 3).reachDurable(11, 11), /durable beyond/);
  assert.throws(() => positions(4, 3).commit(12), /committed beyond/);
  assert.throws(() => positions(4, 3).commit(2), /never goes back/);
  assert.throws(() => positions(4, 3).addMeta(12, 1), /never go back/);
  assert.throws(() => positions(4, 3).addRecords(0), /without records/);
});

Deno.test("a cut takes what is durable with it, and never what is committed", () => {
  const log = positions(8, 3);
  log.cut(6, 2, 5);
  assert.deepEqual([log.lastIndex, log.endOffset], [6, 5]);
  assert.deepEqual([log.durableIndex, log.durableEndOffset], [6, 5]);
  assert.throws(() => log.cut(2, 2, 1), /committed beyond/);
  assert.throws(() => positions(8, 3).cut(12, 2, 10), /takes entries away/);
  // Other nodes may have had it on their disks before this one.
  assert.equal(positions(1, 9).committedIndex, 9);
});

Deno.test("a log that begins anew is committed up to its snapshot point, and not more durable than before", () => {
  const log = positions(8, 3);
  log.reset(500, 7, 400);
  assert.deepEqual([log.lastIndex, log.lastTerm, log.endOffset, log.committedIndex], [
    500,
    7,
    400,
    500,
  ]);
  assert.deepEqual([log.durableIndex, log.durableEndOffset], [9, 8]);
});

Deno.test("a gate that has failed opens only when the log is mended", () => {
  const gate = new AppendGate();
  gate.hold();
  assert.equal(gate.refusal, LOG_BUSY);
  gate.fail();
  gate.release();
  gate.hold();
  assert.equal(gate.refusal, LOG_FAILED);
  gate.mend();
  assert.equal(gate.refusal, 0);
  gate.hold();
  gate.mend();
  assert.equal(gate.refusal, LOG_BUSY, "a hold goes on");
  gate.release();
  assert.equal(gate.refusal, 0);
});
