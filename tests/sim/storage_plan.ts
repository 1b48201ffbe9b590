/**
 * What a seed of the storage's simulation does much of, and how its disk fails: drawn once, so that one seed has
 * many large batches and another many trims, and rare meetings become usual in some.
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import { EINTR, EIO, EMFILE, ENFILE, ENOMEM } from "../../src/io/errno.ts";
import type { DiskOperation, FaultPlan, MemoryDiskOptions } from "../../src/io/memory_disk.ts";

export interface StoragePlan {
  readonly disk: Pick<MemoryDiskOptions, "roughness" | "lazyOdds">;
  /** One append in so many is a large batch, or a trim instead; one deletion in so many is carried out. */
  readonly largeOdds: number;
  readonly trimOdds: number;
  readonly deleteOdds: number;
  /** Likewise a cut: behind one of so many of the last entries, or where a checkpoint may have found the end. */
  readonly cutOdds: number;
  readonly cutWithin: number;
  /** At one step in so many a life ends in a cut of a log that was just written; 0: never. */
  readonly doomOdds: number;
  /** A run has so many times as many lives: these are short. */
  readonly livesFactor: number;
  /** So many appends to one log follow each other, at most, in one turn. */
  readonly burstMax: number;
  /** One time in so many that a checkpoint could begin it does. */
  readonly checkpointOdds: number;
  /** Segments are of 8 KiB times two to the power of this or more, and 128 KiB at most. */
  readonly segmentSizeMin: number;
  /** Power cuts come within so many operations of the disk, for each step of a life. */
  readonly powerCutWithin: number;
  /** In one life of so many the disk fails; 0: never. */
  readonly failureOdds: number;
}

/** Operations that may fail in one life; each failure ends it, or is returned to the caller. */
const FAILING: readonly DiskOperation[] = [
  "open",
  "read",
  "write",
  "syncFileSystem",
  "syncDirectory",
  "allocate",
  "truncate",
  "unlink",
  "makeDirectory",
];
/** The failure comes within so many operations of its kind. */
const FAILURE_WITHIN = 40;
const HICCUPS_WITHIN = 60;

export function planOf(random: Random): StoragePlan {
  const lazyOdds = pick(random, [0, 4, 16]);
  const doomOdds = pick(random, [0, 0, 25]);
  return {
    disk: {
      roughness: {
        garbage: true,
        unreadable: true,
        wholeBlocks: doomOdds > 0 || random.nextBelow(3) === 0,
      },
      ...(lazyOdds === 0 ? {} : { lazyOdds }),
    },
    largeOdds: pick(random, [60, 20, 4]),
    trimOdds: pick(random, [60, 20, 5]),
    deleteOdds: pick(random, [20, 6, 2]),
    cutOdds: pick(random, [60, 20, 8]),
    cutWithin: pick(random, [12, 3]),
    doomOdds,
    livesFactor: doomOdds > 0 ? 3 : 1,
    burstMax: pick(random, [1, 4, 16]),
    checkpointOdds: pick(random, [4, 1]),
    segmentSizeMin: pick(random, [0, 0, 4]),
    powerCutWithin: pick(random, [1, 1, 0.1]),
    failureOdds: pick(random, [0, 8, 3]),
  };
}

/** One failure, of an operation drawn at random. */
export function planFailure(random: Random): FaultPlan {
  const operation = pick(random, FAILING);
  const nth = 1 + random.nextBelow(FAILURE_WITHIN);
  // Of what is kept twice, one copy may fail.
  const isOnce = operation === "read" || operation === "open";
  const count = isOnce ? 1 : 1 + random.nextBelow(3);
  return { operation, nth, count, fault: { kind: "error", errno: EIO } };
}

/** Calls that fail now and then for want of something that comes back: nobody may notice. */
export function planHiccups(random: Random): FaultPlan {
  const errno = pick(random, [EMFILE, ENFILE, ENOMEM, EINTR]);
  const fault = { kind: "error", errno } as const;
  return { operation: pick(random, FAILING), nth: 1, count: HICCUPS_WITHIN, odds: 4, fault };
}

function pick<T>(random: Random, from: readonly T[]): T {
  return from[random.nextBelow(from.length)]!;
}
