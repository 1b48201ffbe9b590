import { strict as assert } from "node:assert";
import { Timers } from "../io/timers.ts";
import type { WantedMembers } from "../raft/next_members.ts";
import { MemberSteward } from "./member_steward.ts";

const WANTED: WantedMembers = { voters: [{ node: 1, incarnation: 1 }], learners: [] };

/** Groups that need some steps each before their members are as wanted. */
class Bench {
  readonly timers = new Timers();
  nowMs = 0;
  /** Steps that are missing, by group. */
  readonly missing = new Map<number, number>();
  readonly leads = new Set<number>();
  readonly settled: number[] = [];
  /** Looks at any group. */
  looks = 0;
  /** The controller has not heard of these. */
  readonly untold = new Set<number>();
  readonly steward = new MemberSteward({
    timers: this.timers,
    nowMs: () => this.nowMs,
    replicaOf: (groupId) => ({
      leading: this.leads.has(groupId),
      approach: () => {
        this.looks++;
        const missing = this.missing.get(groupId) ?? 0;
        this.missing.set(groupId, Math.max(0, missing - 1));
        return missing === 0;
      },
    }),
    wanted: (groupId) => this.missing.has(groupId) ? WANTED : null,
    onSettled: (groupId) => {
      this.settled.push(groupId);
      return this.untold.has(groupId);
    },
  });

  add(groupId: number, missing: number): void {
    this.missing.set(groupId, missing);
    this.leads.add(groupId);
    this.steward.watch(groupId);
  }

  pass(ms: number): void {
    for (const until = this.nowMs + ms; this.nowMs < until; this.nowMs++) {
      this.timers.run(this.nowMs);
    }
  }
}

Deno.test("a group is looked after until its members are as they should be, and then rests", () => {
  const bench = new Bench();
  bench.add(7, 3);
  bench.pass(1_000);
  assert.deepEqual(bench.settled, [7]);
  assert.equal(bench.steward.count, 0);
  const { looks } = bench;
  bench.pass(10_000);
  assert.equal(bench.looks, looks, "nothing is looked at any more");
});

Deno.test("a group whose change the controller has not recorded is reported again", () => {
  const bench = new Bench();
  bench.untold.add(7);
  bench.add(7, 0);
  bench.pass(500);
  assert(bench.settled.length > 2);
  bench.untold.delete(7);
  bench.pass(200);
  assert.equal(bench.steward.count, 0);
});

Deno.test("who does not lead, or has nothing to look after, is let go", () => {
  const bench = new Bench();
  bench.add(7, 100);
  bench.steward.watch(8);
  bench.pass(200);
  assert.equal(bench.steward.count, 1);
  bench.leads.delete(7);
  bench.pass(200);
  assert.equal(bench.steward.count, 0);
  assert.deepEqual(bench.settled, []);
});

Deno.test("thousands of groups are looked at in turn, a few at a time", () => {
  const bench = new Bench();
  for (let groupId = 1; groupId <= 2_000; groupId++) bench.add(groupId, 1);
  bench.pass(1);
  assert(bench.looks <= 64, `${bench.looks} looks in one round`);
  bench.pass(5_000);
  assert.equal(new Set(bench.settled).size, 2_000);
  assert.equal(bench.steward.count, 0);
});
