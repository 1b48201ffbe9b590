/**
 * What one seed decides: the shape of a run. Every run leaves most features out and pushes the rest, so
 * that runs differ more than if each had a bit of everything.
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import { type NetworkPlan, networkPlanOf, PEACEFUL } from "./network_faults.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
/** Wall clocks of hosts without a time service. */
const SKEW_MS_MAX = 600_000;

export interface SwarmPlan {
  /** Nodes of the cluster; lives and faults are those of each. */
  readonly nodes: number;
  /** Replicas of each partition of the clients' topics. */
  readonly replication: number;
  /** `min.insync.replicas` of the clients' topics. */
  readonly minInsync: number;
  /** For how long a node stays away between two lives, at most (virtual ms). */
  readonly downMsMax: number;
  /** The wall clocks of the nodes differ by up to this (ms). */
  readonly skewMsMax: number;
  readonly network: NetworkPlan;
  /** Clients ask who leads what, though there is one node only. */
  readonly discovers: boolean;
  readonly lives: number;
  /** Virtual time of each life (ms). */
  readonly lifeMs: number;
  readonly shardsMax: number;
  /** Shards miss turns, and take them in any order. */
  readonly outOfStep: boolean;
  readonly arenaBytes: number;
  readonly journalBytes: number;
  readonly extentBytes: number;
  readonly segmentBytes: number;
  readonly latencyMs: { readonly min: number; readonly max: number } | null;
  /** Moments in which one operation takes very long, per life. */
  readonly slowMoments: number;
  /** Room beyond what journals take (bytes); null: unlimited. */
  readonly spareBytes: number | null;
  readonly ioErrors: boolean;
  /** Some reads and writes of the disk end short. */
  readonly shortTransfers: boolean;
  /** Between lives the disk is damaged. */
  readonly damage: boolean;
  readonly powerCuts: boolean;
  readonly topics: number;
  readonly partitionsMax: number;
  readonly batchBytesMax: number;
  readonly pipelining: number;
  readonly idempotentProducers: number;
  readonly plainProducers: number;
  /** Producers compress, and write wrong times into headers; the broker mends those. */
  readonly oddBatches: boolean;
  /** Clients that send batches which no consumer could read. */
  readonly spoilers: number;
  readonly consumers: number;
  readonly groupMembers: number;
  /** Clients that write where they may not. */
  readonly forgers: number;
  readonly admins: number;
  /** Clients that stall, poll for long, crowd and take nothing. */
  readonly nuisances: number;
  readonly retention: boolean;
}

export function planOf(random: Random): SwarmPlan {
  const chance = (percent: number): boolean => random.nextBelow(100) < percent;
  const pick = <T>(...values: readonly T[]): T => values[random.nextBelow(values.length)]!;
  const arenaBytes = pick(6, 8, 16) * MIB;
  const batchBytesMax = pick(200, 4 * KIB, 40 * KIB, 200 * KIB);
  // One write of the journal must hold the largest batch.
  const journalBytes = batchBytesMax > 100 * KIB ? 4 * MIB : pick(MIB, 2 * MIB, 4 * MIB);
  const full = chance(12);
  const plan: SwarmPlan = {
    nodes: 1,
    replication: 1,
    minInsync: 1,
    downMsMax: 0,
    skewMsMax: 0,
    network: PEACEFUL,
    discovers: false,
    lives: 1 + random.nextBelow(5),
    lifeMs: pick(50, 150, 400),
    shardsMax: pick(1, 1, 2, 3, 4),
    arenaBytes,
    journalBytes,
    extentBytes: journalBytes / (batchBytesMax > 100 * KIB ? 4 : pick(4, 8)),
    segmentBytes: pick(256 * KIB, MIB, 64 * MIB),
    latencyMs: chance(40) ? { min: 0.05, max: pick(0.2, 1, 5) } : null,
    slowMoments: chance(20) ? 1 + random.nextBelow(3) : 0,
    spareBytes: full ? pick(MIB, 4 * MIB) : null,
    ioErrors: !full && chance(12),
    damage: !full && chance(10),
    powerCuts: chance(80),
    topics: 1 + random.nextBelow(3),
    partitionsMax: pick(1, 3, 8, 20),
    batchBytesMax,
    pipelining: pick(1, 2, 5),
    idempotentProducers: random.nextBelow(3),
    plainProducers: random.nextBelow(3),
    consumers: random.nextBelow(4),
    groupMembers: chance(50) ? random.nextBelow(4) : 0,
    admins: chance(60) ? 1 : 0,
    retention: chance(30),
    shortTransfers: chance(25),
    oddBatches: chance(50),
    spoilers: chance(40) ? 1 : 0,
    nuisances: 0,
    forgers: 0,
    outOfStep: false,
  };
  return { ...plan, damage: plan.damage && !plan.ioErrors };
}

/** How many clients stall, crowd and take nothing; of a Random of its own, so that the rest of a seed stays as it is. */
export function nuisancesOf(random: Random): number {
  if (random.nextBelow(4) > 0) return 0;
  return [3, 12, 40][random.nextBelow(3)]!;
}

/** How many clients write where they may not; of a Random of its own, too. */
export function forgersOf(random: Random): number {
  return random.nextBelow(100) < 30 ? 1 : 0;
}

/** Whether shards miss turns; of a Random of its own, too. */
export function isOutOfStep(random: Random): boolean {
  return random.nextBelow(2) === 0;
}

/** What the world around the nodes is like; of a Random of its own, too. */
export function worldOf(
  random: Random,
): Pick<SwarmPlan, "network" | "discovers" | "skewMsMax"> {
  const network = networkPlanOf(random);
  const discovers = random.nextBelow(2) === 0;
  return { network, discovers, skewMsMax: random.nextBelow(2) === 0 ? 0 : SKEW_MS_MAX };
}

/** The same, with damage for certain, and short lives: what counts is what lies between them. */
export function damagedPlanOf(random: Random): SwarmPlan {
  const plan = planOf(random);
  const { lives, partitionsMax } = plan;
  // Large enough to go straight to their segment.
  const large = random.nextBelow(4) === 0
    ? { batchBytesMax: 440 * KIB, journalBytes: 4 * MIB, extentBytes: MIB }
    : {};
  return {
    ...plan,
    ...large,
    lives: 1 + (lives % 3),
    lifeMs: random.nextBelow(3) === 0 ? 250 : 60,
    arenaBytes: 6 * MIB,
    partitionsMax: Math.min(8, partitionsMax),
    latencyMs: null,
    slowMoments: 0,
    spareBytes: null,
    ioErrors: false,
    damage: true,
    idempotentProducers: 1 + random.nextBelow(2),
    plainProducers: 1 + random.nextBelow(2),
  };
}
