import { strict as assert } from "node:assert";
import { simulateJournal } from "./journal_simulation.ts";

const SEEDS = Number(Deno.env.get("GREGOR_TEST_SEEDS") ?? 150);
const FIRST_SEED = Number(Deno.env.get("GREGOR_TEST_FIRST_SEED") ?? 1);
const STEPS = 120;

Deno.test("a journal comes back after a crash at every write boundary", () => {
  let runs = 0;
  let tornTails = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    const boundaries = simulateJournal(seed, Infinity, STEPS).operations;
    for (let crashAt = 0; crashAt <= boundaries; crashAt++) {
      const first = simulateJournal(seed, crashAt, STEPS);
      assert.equal(first.problem, null, `seed ${seed}, crash at ${crashAt}: ${first.problem}`);
      const again = simulateJournal(seed, crashAt, STEPS);
      assert.equal(again.traceHash, first.traceHash, `seed ${seed} is not reproducible`);
      tornTails += first.tornTails;
      runs += 2;
    }
  }
  assert.ok(tornTails > runs / 200, `only ${tornTails} torn tails in ${runs} runs`);
  if (SEEDS > 150) console.log(`${SEEDS} seeds, ${runs} runs, ${tornTails} torn tails`);
});
