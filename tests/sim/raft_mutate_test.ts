import { strict as assert } from "node:assert";
import { huntRaft, lineOf } from "../mutate/raft_hunt.ts";
import { RAFT_MUTATIONS } from "../mutate/raft_mutations.ts";

/** Seeds tried for a bug whose known seed does not meet it any more: as many as the unit suite runs. */
const SEEDS = 200;

Deno.test("the simulation and the tests of the Raft core catch deliberate bugs", async () => {
  const verdicts = await huntRaft(RAFT_MUTATIONS, SEEDS, (verdict) => console.log(lineOf(verdict)));
  const missed = verdicts.filter(({ outcome }) => outcome !== "caught");
  assert.deepEqual(missed.map(lineOf), []);
});
