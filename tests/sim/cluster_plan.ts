/**
 * What one seed of a cluster of several nodes decides. Each family of faults is absent from about half of the seeds.
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import { type AmbushPlan, ambushPlanOf } from "./ambush.ts";
import type { Roughness } from "../../src/io/memory_file.ts";
import { clusterNetworkPlanOf } from "./network_faults.ts";
import { planOf, type SwarmPlan } from "./swarm.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
/** Links of one shard with another, both ways and for both lanes. */
const LINKS_BYTES = 320 * KIB;
/** The shortest run, and how much longer some are (virtual ms). */
const RUN_MS = 60_000;
const LONGER_MS_MAX = 15_000;
const SKEW_MS_MAX = 600_000;
/** Disks are damaged in one seed of so many. */
const DAMAGED_ONE_IN = 8;

export interface ClusterPlan extends SwarmPlan {
  /** For how long things go wrong (virtual ms). */
  readonly runMs: number;
  readonly stepMs: number;
  readonly thinkMs: number;
  readonly patienceMs: number;
  /** Nodes live and die; else each has one life. */
  readonly restarts: boolean;
  /** A node dies again as soon as it serves, several times. */
  readonly storms: boolean;
  /** A disk stands still for a while, and the network does not. */
  readonly freezes: boolean;
  /** A process does nothing for a while. */
  readonly pauses: boolean;
  /** Wall clocks jump. */
  readonly clockJumps: boolean;
  /** Partitions are handed from one node to another. */
  readonly transfers: boolean;
  /** Links, disks and clocks are sound until there is a cluster. */
  readonly calmFounding: boolean;
  /** Clients are served by a majority alone before the others come back. */
  readonly minorityStaysAway: boolean;
  /** Partitions move between the nodes. */
  readonly moves: boolean;
  /** This node loses its disk now and then; -1: none does. */
  readonly wiped: number;
  /** Faults that wait for their moment; null: there are none. */
  readonly ambush: AmbushPlan | null;
  /** Calls fail now and then for want of something that comes back; nobody may notice. */
  readonly hiccups: boolean;
  /** Other programs fill disks for a while. */
  readonly fills: boolean;
  /** What a cut leaves of writes that were under way besides keeping, losing and tearing them; null: nothing. */
  readonly roughness: Roughness | null;
  /** One operation of a disk in so many lets nearly all later ones go first; 0: none does. */
  readonly lazyOdds: number;
  /** Consumers of the new group protocol, in one group. */
  readonly readers: number;
  /**
   * The disk of this node is damaged between its lives; -1: none is. It is the one that loses its disk, if one does, and others
   * have what it held: of at least three replicas, or records may be lost.
   */
  readonly rotten: number;
  /** Of that disk sectors cannot be read, perhaps for a while, and what a power cut lost may be in another place. */
  readonly badSectors: boolean;
  /** Blocks of segments go bad while nodes live, on all nodes; of each record one good copy is left. */
  readonly sores: boolean;
  /** Reads and openings of files fail for a while. */
  readonly readErrors: boolean;
}

/** What a seed decides after its shape and its changes of who holds what. */
type Hardships =
  | Damages
  | "nuisances"
  | "readers"
  | "outOfStep"
  | "hiccups"
  | "ioErrors"
  | "fills"
  | "roughness"
  | "lazyOdds";
/** What a seed decides at last. */
type Damages = "rotten" | "badSectors" | "sores" | "readErrors";
type Membership = "moves" | "wiped" | "ambush";

/**
 * Changes of who holds what, and ambushes; of a Random of its own, so that the rest of a seed stays as it is. One node at
 * most loses its disk, of at least three replicas, or records may be lost.
 */
export function membershipPlanOf(
  random: Random,
  plan: Omit<ClusterPlan, Membership | Hardships>,
): Omit<ClusterPlan, Hardships> {
  const moves = random.nextBelow(2) === 0;
  const wipes = plan.restarts && plan.replication > 2 && random.nextBelow(2) === 0;
  const wiped = wipes ? random.nextBelow(plan.nodes) : -1;
  return { ...plan, moves, wiped, ambush: ambushPlanOf(random, plan.restarts) };
}

/** Disks that nobody damages. */
const SOUND: Pick<ClusterPlan, Damages> = {
  rotten: -1,
  badSectors: false,
  sores: false,
  readErrors: false,
};

/** Troubles of disks and clients; of a Random of its own, so that a seed without any is what it was. */
export function hardshipsOf(random: Random): Pick<ClusterPlan, Exclude<Hardships, Damages>> {
  const half = (): boolean => random.nextBelow(2) === 0;
  const nuisances = [2, 6, 15][random.nextBelow(3)]!;
  return {
    nuisances: half() ? nuisances : 0,
    readers: 0,
    outOfStep: half(),
    hiccups: half(),
    ioErrors: half(),
    fills: half(),
    roughness: half() ? { garbage: true, wholeBlocks: half() } : null,
    lazyOdds: half() ? [4, 16][random.nextBelow(2)]! : 0,
  };
}

/**
 * Damage of disks; of a Random of its own, too.
 *
 * @param isCertain there is some, as far as the shape of the cluster allows; else in one seed of a few
 */
export function damagesOf(
  random: Random,
  { nodes, replication, restarts, wiped }: Omit<ClusterPlan, Damages>,
  isCertain: boolean,
): Pick<ClusterPlan, Damages> {
  const half = (): boolean => random.nextBelow(2) === 0;
  const isDamaged = random.nextBelow(DAMAGED_ONE_IN) === 0;
  if (!isDamaged && !isCertain) return SOUND;
  const isRotten = half() && restarts && replication > 2;
  const node = wiped >= 0 ? wiped : random.nextBelow(nodes);
  return {
    rotten: isRotten ? node : -1,
    badSectors: half(),
    sores: half(),
    readErrors: half(),
  };
}

/** Disks and clients as sound as they were before there were hardships: for seeds that found something then. */
export const SPARED: Pick<ClusterPlan, Hardships> = {
  ...SOUND,
  nuisances: 0,
  readers: 0,
  outOfStep: false,
  hiccups: false,
  ioErrors: false,
  fills: false,
  roughness: null,
  lazyOdds: 0,
};

/** Consumers of the new group protocol, in half of the seeds; of a Random of its own, as above. */
export function readersOf(random: Random): Pick<ClusterPlan, "readers"> {
  return { readers: random.nextBelow(2) === 0 ? 2 + random.nextBelow(3) : 0 };
}

export function clusterPlanOf(
  random: Random,
  nodes: number | null,
): Omit<ClusterPlan, Membership | Hardships> {
  const half = (): boolean => random.nextBelow(2) === 0;
  const pick = <T>(...values: readonly T[]): T => values[random.nextBelow(values.length)]!;
  const one = planOf(random);
  const count = nodes ?? pick(3, 3, 3, 5);
  const restarts = half();
  const shardsMax = pick(1, 1, 2, 3);
  // A shard has links with every other node's shards, which are an eighth of its memory.
  const linksBytes = (count - 1) * shardsMax * LINKS_BYTES * 8;
  const replication = pick(count, count, 3, 2, Math.min(4, count));
  const batchBytesMax = pick(200, 4 * KIB, 40 * KIB, 150 * KIB);
  const journalBytes = batchBytesMax > 100 * KIB ? 4 * MIB : pick(MIB, 2 * MIB);
  return {
    ...one,
    nodes: count,
    replication: Math.min(count, replication),
    minInsync: replication > 2 && half() ? 2 : 1,
    downMsMax: pick(50, 2_000, 10_000),
    skewMsMax: half() ? SKEW_MS_MAX : 0,
    network: clusterNetworkPlanOf(random),
    discovers: true,
    lifeMs: restarts ? pick(1_500, 6_000, 20_000) : Infinity,
    shardsMax,
    arenaBytes: 2 ** Math.ceil(Math.log2(Math.max(8 * MIB, linksBytes))) * pick(1, 2),
    journalBytes,
    extentBytes: journalBytes / (batchBytesMax > 100 * KIB ? 4 : 8),
    batchBytesMax,
    latencyMs: half() ? { min: 0.1, max: pick(1, 5, 20) } : null,
    slowMoments: half() ? 1 + random.nextBelow(3) : 0,
    spareBytes: null,
    damage: false,
    powerCuts: restarts && half(),
    topics: 1 + random.nextBelow(2),
    partitionsMax: pick(1, 2, 4),
    idempotentProducers: 1 + random.nextBelow(2),
    plainProducers: random.nextBelow(2),
    consumers: 1 + random.nextBelow(2),
    groupMembers: random.nextBelow(4),
    admins: half() ? 1 : 0,
    retention: random.nextBelow(4) === 0,
    forgers: random.nextBelow(4) === 0 ? 1 : 0,
    runMs: RUN_MS + random.nextBelow(LONGER_MS_MAX),
    stepMs: pick(0.5, 1, 1, 2),
    thinkMs: pick(30, 100, 300),
    patienceMs: pick(1_500, 5_000, 20_000),
    restarts,
    storms: restarts && half(),
    freezes: half(),
    pauses: half(),
    clockJumps: half(),
    transfers: half(),
    calmFounding: half(),
    minorityStaysAway: half(),
  };
}
