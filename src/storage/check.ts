/**
 * Verifies everything that a stopped node has on disk.
 *
 * The truth about a log is its checkpoint row plus later journal records, so the check does what a start
 * does: it recovers the node, and then reads every extent and every batch of every segment (`verify.ts`).
 * It must be given a disk whose writes go nowhere (`src/cli/overlay_disk.ts`): nothing of the real one is changed.
 *
 * What is checked: the manifest, both checkpoint slots of every shard, the journal's chain, the index of
 * every segment, the checksum of every extent, and every batch.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Task } from "../io/task.ts";
import { findManifest, type Manifest, type ManifestRead } from "./manifest.ts";
import { recoverNode } from "./recovery.ts";
import { lostManifest } from "./recovery_files.ts";
import type { Damage, StorageContext } from "./shard_storage.ts";
import { type Verified, verifyLogs } from "./verify.ts";

/** What was found. */
export interface CheckReport extends Verified {
  /** "checked", or why nothing could be checked. */
  readonly outcome: "checked" | "empty" | "newer" | "damaged" | "foreign" | "memory" | "error";
  /** For people: what stood in the way. Empty when checked. */
  readonly reason: string;
  readonly errno: number;
  readonly nodeId: number;
  readonly shards: number;
  readonly replayedRecords: number;
  readonly damages: readonly Damage[];
  readonly suspectGroups: readonly number[];
  readonly suspectPartitions: readonly string[];
  /** Paths in the data directory that are not ours. */
  readonly strays: readonly string[];
}

/** Told now and then what is being read, with a share from 0 to 1. */
export type CheckProgress = (stage: string, done: number) => void;

/** Checks a node; `context.disk` keeps its writes to itself. */
export function* checkNode(context: StorageContext, onProgress: CheckProgress): Task<CheckReport> {
  return yield* new Check(context, onProgress).run();
}

class Check {
  readonly #context: StorageContext;
  readonly #onProgress: CheckProgress;
  readonly #damages: Damage[] = [];
  #suspects: readonly number[] = [];
  #suspectPartitions: readonly string[] = [];
  #strays: readonly string[] = [];
  #manifest: Manifest | null = null;
  #replayed = 0;
  #verified: Verified = { logs: 0, segments: 0, batches: 0, bytes: 0 };

  constructor(context: StorageContext, onProgress: CheckProgress) {
    this.#context = { ...context, onDamage: (damage) => this.#damages.push(damage) };
    this.#onProgress = onProgress;
  }

  *run(): Task<CheckReport> {
    const found = yield* this.#readManifest();
    switch (found.kind) {
      case "none":
      case "damaged": {
        const problem = lostManifest(this.#context.disk, found);
        if (problem !== null) return this.#report("damaged", problem, 0);
        return this.#report("empty", "There is no manifest: nothing was ever stored here", 0);
      }
      case "newer":
        return this.#report("newer", `The data directory has format ${found.formatVersion}`, 0);
      case "error":
        return this.#report("error", "Cannot read the manifest", found.errno);
    }
    const { manifest } = found;
    const shard = manifest.shards[0]!;
    const recovered = yield* recoverNode({
      context: this.#context,
      shardCount: manifest.shards.length,
      nodeId: manifest.nodeId,
      journalBytes: shard.extents.length * shard.extentBytes,
      extentBytes: shard.extentBytes,
      // To tell of all that is wrong, also where a start would wait for the device.
      looksOnly: true,
      onProgress: this.#onProgress,
    });
    this.#manifest = recovered.manifest ?? manifest;
    this.#suspects = recovered.suspectGroups;
    this.#suspectPartitions = recovered.suspectPartitions;
    this.#replayed = recovered.replayedRecords;
    this.#strays = recovered.strays;
    if (recovered.outcome !== "ready") {
      return this.#report(recovered.outcome, recovered.reason, recovered.errno);
    }
    const verified = yield* verifyLogs(
      this.#context,
      this.#manifest,
      (done) => this.#onProgress("verifying segments", done),
    );
    if (typeof verified === "number") {
      return this.#report("error", "Cannot read the recovered logs", -verified);
    }
    this.#verified = verified;
    return this.#report("checked", "", 0);
  }

  *#readManifest(): Task<ManifestRead> {
    const { disk, memory, arena } = this.#context;
    const bufferBytes = arena.blockSizeMax;
    const bufferAddress = arena.allocate(bufferBytes);
    assert(bufferAddress >= 0, "no memory to read the manifest");
    const { read } = yield* findManifest({ disk, memory, bufferAddress, bufferBytes });
    arena.release(bufferAddress);
    return read;
  }

  #report(outcome: CheckReport["outcome"], reason: string, errno: number): CheckReport {
    return {
      outcome,
      reason,
      errno,
      nodeId: this.#manifest?.nodeId ?? -1,
      shards: this.#manifest?.shards.length ?? 0,
      ...this.#verified,
      replayedRecords: this.#replayed,
      damages: this.#damages,
      suspectGroups: this.#suspects,
      suspectPartitions: this.#suspectPartitions,
      strays: this.#strays,
    };
  }
}
