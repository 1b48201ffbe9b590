/**
 * Clusters in which the disk of one node is damaged between its lives: flipped bits, zeroed, stale and unreadable blocks, in
 * every kind of file, and blocks of segments on all nodes, by the seed. The fresh seeds of whole clusters have that, too, some of
 * them; here all have. Damaged extents are refilled by other nodes. A log that may lack records takes part in nothing; what is not filled by
 * the end, or does not start any more, an operator gives an empty disk.
 *
 * `GREGOR_SIM_ROT_SEEDS` seeds are run; `GREGOR_SIM_ROT_FIRST_SEED` says where they begin.
 */

import { strict as assert } from "node:assert";
import { runCluster } from "./cluster_workload.ts";

const FRESH = Number(Deno.env.get("GREGOR_SIM_ROT_SEEDS") ?? 4);
const FIRST = Number(Deno.env.get("GREGOR_SIM_ROT_FIRST_SEED") ?? 3000);
/** The comment of each says what it found. */
const PAST_SEEDS: readonly number[] = [
  3112, // a log that was filled anew was held against the loss of its former incarnation: the simulation's own fault
];
/** Lives are short, because damage is done between them; the damaged node is the only one whose disk is replaced. */
const PLAN = { rotten: 1, wiped: -1, restarts: true, lifeMs: 6_000, replication: 3 };

Deno.test("a cluster loses nothing where the disk of one node is damaged again and again", () => {
  let strikes = 0;
  let sores = 0;
  for (const seed of [...PAST_SEEDS, ...Array.from({ length: FRESH }, (_, i) => FIRST + i)]) {
    try {
      // Not trusted after an error, such a disk would be verified, and damage told twice.
      const result = runCluster(seed, { plan: { ...PLAN, ioErrors: false }, damage: true });
      strikes += result.strikes;
      sores += result.sores;
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  console.log(
    `${FRESH} seeds from ${FIRST} on: damaged ${strikes} times, and ${sores} times alive`,
  );
  assert.ok(strikes > 0 && sores > 0, "nothing was damaged");
});
