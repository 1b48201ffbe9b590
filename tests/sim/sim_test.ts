/**
 * Whole nodes from seeds: those that once found a fault, some fresh ones, and one small workload whose
 * power is cut at every boundary.
 *
 * `GREGOR_SIM_SEEDS` fresh seeds are run (one in three twice); `GREGOR_SIM_FIRST_SEED` says where they begin, and
 * `GREGOR_SIM_STRIDE` how many boundaries of the small workload are left out.
 */

import { strict as assert } from "node:assert";
import { PEACEFUL } from "./network_faults.ts";
import { runOnce, runSeed, type WorkloadOptions } from "./workload.ts";

/** The comment of each says what it found. */
const PAST_SEEDS = [
  1, // a checkpoint that found no memory ended the broker
  2, // a request larger than one write of the journal waited for ever
  5, // a damaged metadata log: the start waited for ever
  25, // a full disk, and a recovery that needs room
  35, // a fetch of a deleted topic got the error of a broken disk
  75, // reading ahead evicted the chunk that was about to be read
  1145, // an index block was filed in two parts, and the second had no place
  1031, // as 1, later; a block was written without the bytes before its batch
];

const FRESH = Number(Deno.env.get("GREGOR_SIM_SEEDS") ?? 12);
const FIRST = Number(
  Deno.env.get("GREGOR_SIM_FIRST_SEED") ?? Math.floor(Math.random() * 2 ** 30),
);
const TWICE_ONE_IN = 3;
const STRIDE = Number(Deno.env.get("GREGOR_SIM_STRIDE") ?? 1);

Deno.test("seeds that once failed hold", () => {
  for (const seed of PAST_SEEDS) run(seed, runOnce);
});

Deno.test("fresh seeds hold, and those that are run twice run the same", () => {
  let acknowledgements = 0;
  for (let i = 0; i < FRESH; i++) {
    acknowledgements += run(FIRST + i, i % TWICE_ONE_IN === 0 ? runSeed : runOnce);
  }
  assert(acknowledgements > 0, "no client did any work");
  console.log(`seeds ${FIRST} to ${FIRST + FRESH - 1}: ${acknowledgements} acknowledgements held`);
});

/** Two shards, a producer of each kind, a group, an administrator; no faults but the cut. */
const SMALL: WorkloadOptions = {
  plan: {
    nodes: 1,
    replication: 1,
    minInsync: 1,
    downMsMax: 0,
    skewMsMax: 0,
    network: PEACEFUL,
    discovers: false,
    lives: 1,
    lifeMs: 80,
    shardsMax: 2,
    arenaBytes: 6 * 2 ** 20,
    journalBytes: 2 ** 20,
    extentBytes: 2 ** 18,
    segmentBytes: 2 ** 20,
    latencyMs: null,
    slowMoments: 0,
    spareBytes: null,
    ioErrors: false,
    shortTransfers: false,
    damage: false,
    powerCuts: false,
    topics: 1,
    partitionsMax: 2,
    batchBytesMax: 2000,
    pipelining: 2,
    idempotentProducers: 1,
    plainProducers: 1,
    oddBatches: true,
    spoilers: 1,
    consumers: 1,
    groupMembers: 1,
    forgers: 1,
    admins: 1,
    nuisances: 0,
    retention: false,
  },
};

Deno.test("a power cut at every boundary of a small workload loses nothing", () => {
  const { operations } = runOnce(7, SMALL);
  assert(operations > 100);
  let cuts = 0;
  for (let cutAt = 0; cutAt < operations; cutAt += STRIDE) {
    runAt({ cutAt });
    cuts++;
  }
  console.log(`${cuts} cuts in ${operations} operations`);
});

Deno.test("a second power cut at every boundary of the recovery loses nothing", () => {
  const { operations } = runOnce(7, SMALL);
  let cuts = 0;
  for (let cutRecoveryAt = 0; cutRecoveryAt < 150; cutRecoveryAt += STRIDE) {
    runAt({ cutAt: Math.floor(operations * 0.8), cutRecoveryAt });
    cuts++;
  }
  console.log(`${cuts} cuts of a recovery`);
});

function run(seed: number, simulate: typeof runSeed): number {
  try {
    return simulate(seed).acknowledgements;
  } catch (error) {
    throw new Error(`deno task sim --seed ${seed} --trace: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function runAt(cut: WorkloadOptions): void {
  try {
    runOnce(7, { ...SMALL, ...cut });
  } catch (error) {
    const message = `${JSON.stringify(cut)}: ${(error as Error).message}`;
    throw new Error(message, { cause: error });
  }
}
