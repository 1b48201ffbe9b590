import { strict as assert } from "node:assert";
import type { RecordRules, RecordWalk } from "../io/record_walk.ts";
import { RecordChecks } from "./record_checks.ts";

const RULES: RecordRules = { keysRequired: false, oldestMs: 0, newestMs: 0 };

/** A batch's length is how many slices its walk takes; its address is returned as the status. */
class FakeWalk implements RecordWalk {
  status = -1;
  maxTimestampMs = 0;
  refusedCount = 0;
  outOfTimeCount = 0;
  #left = 0;

  begin(address: number, length: number): boolean {
    this.status = address;
    this.#left = length;
    return this.#slice();
  }

  resume(address: number, _length: number): boolean {
    assert.equal(address, this.status, "another batch is resumed than was begun");
    return this.#slice();
  }

  refusedIndex(): number {
    return 0;
  }

  refusedReason(): number {
    return 0;
  }

  refusedTimestampMs(): number {
    return 0;
  }

  #slice(): boolean {
    this.#left--;
    return this.#left <= 0;
  }
}

function checks(): RecordChecks {
  return new RecordChecks(new FakeWalk(), new FakeWalk());
}

/** Turns until somebody may ask again. */
function turns(line: RecordChecks): number {
  let count = 1;
  while (!line.turn()) count++;
  return count;
}

Deno.test("a batch of one slice is answered at once, and beside a long one too", () => {
  const line = checks();
  assert.equal(line.check(10, 1, RULES)?.status, 10);
  assert(!line.busy);
  assert.equal(line.check(20, 3, RULES), null);
  assert(line.busy && line.waits(20) && !line.waits(30));
  assert.equal(line.check(30, 1, RULES)?.status, 30);
  assert.equal(turns(line), 2);
  assert(!line.waits(20));
  assert.equal(line.check(20, 3, RULES)?.status, 20);
  assert(!line.busy && !line.turn());
});

Deno.test("long batches are walked one after the other, each to be fetched", () => {
  const line = checks();
  for (const address of [20, 30, 40]) assert.equal(line.check(address, 3, RULES), null);
  for (const address of [20, 30, 40]) {
    assert.equal(turns(line), address === 20 ? 2 : 3);
    for (const other of [30, 40]) {
      if (other > address) assert.equal(line.check(other, 3, RULES), null);
    }
    // Until it is fetched, the next one is not begun.
    assert(line.turn());
    assert.equal(line.check(address, 3, RULES)?.status, address);
  }
  assert(!line.busy);
});

Deno.test("a batch found sound in line is not walked again until it is forgotten", () => {
  const line = checks();
  assert.equal(line.check(0, 3, RULES), null);
  assert(!line.hasEnded(0));
  assert.equal(turns(line), 2);
  assert(line.hasEnded(0) && !line.hasEnded(20));
  assert(Number.isNaN(line.soundMaxTimestampMs(0)));
  assert.equal(line.check(0, 3, RULES)?.status, 0);
  assert(!line.hasEnded(0));
  assert.equal(line.soundMaxTimestampMs(0), 0);
  assert(Number.isNaN(line.soundMaxTimestampMs(20)));
  line.forget(0);
  assert(Number.isNaN(line.soundMaxTimestampMs(0)));
  // What is refused is answered, not asked for again.
  assert.equal(line.check(20, 2, RULES), null);
  assert.equal(turns(line), 1);
  assert.equal(line.check(20, 2, RULES)?.status, 20);
  assert(Number.isNaN(line.soundMaxTimestampMs(20)));
});

Deno.test("a batch that nobody asks for any more gives its place up, wherever it stands", () => {
  const line = checks();
  for (const address of [20, 30, 40]) line.check(address, 3, RULES);
  line.forget(30);
  line.forget(99);
  line.forget(20);
  assert.equal(turns(line), 3);
  line.forget(40);
  assert(!line.busy);
  line.forget(40);
  assert.equal(line.check(50, 1, RULES)?.status, 50);
});
