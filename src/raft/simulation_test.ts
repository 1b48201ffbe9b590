import { strict as assert } from "node:assert";
import { type Outcome, RaftSimulation } from "./test_simulation.ts";

/** How many seeds, and the first of them; in CI, others for other sources. */
const SEEDS = Number(Deno.env.get("GREGOR_RAFT_SEEDS") ?? 200);
const FIRST = Number(
  Deno.env.get("GREGOR_RAFT_FIRST_SEED") ?? Deno.env.get("GREGOR_SIM_FIRST_SEED") ?? 1,
);

Deno.test("simulation: Raft's claims hold from any seed, and peace ends in silence", () => {
  let committed = 0;
  let elections = 0;
  let configurations = 0;
  let reads = 0;
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const outcome = run(seed);
    assert.equal(run(seed).hash, outcome.hash, `seed ${seed} differs the second time`);
    committed += outcome.committed;
    elections += outcome.elections;
    configurations += outcome.configurations;
    reads += outcome.reads;
  }
  assert.ok(committed > 50 * SEEDS, `only ${committed} entries were committed`);
  assert.ok(elections > SEEDS, `only ${elections} elections`);
  assert.ok(configurations > SEEDS / 4, `only ${configurations} configurations`);
  assert.ok(reads > SEEDS / 4, `only ${reads} reads`);
});

function run(seed: number): Outcome {
  try {
    return new RaftSimulation(seed).run();
  } catch (error) {
    const replay = `deno run -A tests/sim/raft_trace.ts ${seed}`;
    throw new Error(`seed ${seed}: ${(error as Error).message} (${replay})`, { cause: error });
  }
}
