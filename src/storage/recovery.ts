/**
 * Recovery of a node: from the files of the last run to new checkpoints, for any number of shards.
 *
 *     1  read the manifest (none: a new directory), every old shard's checkpoint, survey its journal
 *     2  give up the reserved space (`ballast.ts`); replay: rewrite records that no row reflects to segments
 *     3  syncfs, because the replayed bytes may have been volatile until now
 *     4  create missing journal extents, if that leaves enough room, write checkpoints for the new shard count
 *        into new files
 *     5  replace the manifest (mount epoch + 1): the switch
 *     6  remove what the old manifest named and the new one does not, and files that no log has
 *
 * Until step 5 no file that the old manifest names is touched, except that segments are rewritten with the bytes
 * that they had or were to have: after a crash at any point the whole recovery is repeated. Groups
 * change shard only here.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { namesIn } from "../io/disk.ts";
import { EEXIST, EFBIG, EIO, ENOMEM } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import { ballastBytesFor, dropBallast } from "./ballast.ts";
import {
  CheckpointSlots,
  closeSlots,
  openSlots,
  reservedForCheckpoint,
} from "./checkpoint_slots.ts";
import { encodeRow } from "./checkpoint_row.ts";
import { LOGS_DIRECTORY } from "./engine.ts";
import { JOURNAL_WRITE_BYTES_MAX } from "./journal.ts";
import { makeDirectories, partitionOfPath } from "./log_names.ts";
import {
  findManifest,
  identityOf,
  KEPT_SHARDS_MAX,
  type KeptShard,
  type Manifest,
  MANIFEST_FORMAT_VERSION,
  type ShardManifest,
  writeManifest,
  writeManifestCopy,
} from "./manifest.ts";
import type { PartitionLog } from "./partition_log.ts";
import { cleanLogs, cleanShards, findStrays, notDirectory } from "./recovery_clean.ts";
import { copyServes, lostManifest, manifestLost, shardsElsewhere } from "./recovery_files.ts";
import { recoverKept, shardsToKeep } from "./recovery_kept.ts";
import { provideRings, type Rings, SHARDS_DIRECTORY } from "./recovery_rings.ts";
import { OldShards, type RecoveryBuffer } from "./recovery_shards.ts";
import { RecoveryStore } from "./recovery_store.ts";
import { tooMuchKept, waitsFor, type Withheld } from "./recovery_words.ts";
import { salvageLogs } from "./salvage.ts";
import type { Damage, StorageContext } from "./shard_storage.ts";

/** Size of one extent of a journal's ring, and of the ring, by default (bytes). */
export const JOURNAL_EXTENT_BYTES_DEFAULT = 64 * 1024 * 1024;
export const JOURNAL_BYTES_DEFAULT = 4 * JOURNAL_EXTENT_BYTES_DEFAULT;

export interface RecoveryOptions {
  /** Its arena is used while recovery runs, and whole again afterwards. */
  readonly context: StorageContext;
  readonly shardCount: number;
  readonly nodeId: number;
  /** Size of each shard's ring, and of its extents (bytes; multiples of the block). */
  readonly journalBytes?: number;
  readonly extentBytes?: number;
  /** Without any manifest, the logs found in the directories are used; what a device withholds is given up. */
  readonly acceptLoss?: boolean;
  /** Goes on over whatever stops a start, and gives nothing up: to look at what there is (`check.ts`). */
  readonly looksOnly?: boolean;
  /** Called with the present step, and a share from 0 to 1. */
  readonly onProgress?: (stage: string, done: number) => void;
}

const NO_LOGS = new Map<number, PartitionLog>();

/** How recovery went. */
export interface RecoveryReport {
  /** "ready", or why the node cannot start. */
  readonly outcome: "ready" | "newer" | "damaged" | "foreign" | "memory" | "error";
  /** For people: the obstacle. Empty when ready. */
  readonly reason: string;
  readonly errno: number;
  readonly manifest: Manifest | null;
  /** The disk was too full for the journals that were asked for: the old ones were dealt out. */
  readonly ringsDealt: boolean;
  /** Space to hold for the next start, once this one leads ({@linkcode keepBallast}). */
  readonly ballastBytes: number;
  /** A new data directory. */
  readonly fresh: boolean;
  readonly logCount: number;
  readonly replayedRecords: number;
  readonly damages: readonly Damage[];
  /** Paths in the data directory that are not ours, and were left alone. */
  readonly strays: readonly string[];
  /** Directories that no log has any longer, and that were removed. */
  readonly removed: readonly string[];
  /** Groups that may have lost something that was acknowledged. */
  readonly suspectGroups: readonly number[];
  /** The same, by the names that people know: `orders-3`. */
  readonly suspectPartitions: readonly string[];
}

/** Recovers the data directory; runs once, before any shard opens. */
export function* recoverNode(options: RecoveryOptions): Task<RecoveryReport> {
  return yield* new Recovery(options).run();
}

class Recovery {
  readonly #options: RecoveryOptions;
  readonly #context: StorageContext;
  readonly #store: RecoveryStore;
  readonly #damages: Damage[] = [];
  #old: Manifest | null = null;
  /** The shards of the last run, and all logs of the node. */
  #node: OldShards | null = null;
  /** Kept, because a device withheld a file. */
  #kept: readonly KeptShard[] = [];
  #replayed = 0;
  #bufferBytesNeeded = 0;
  #manifest: Manifest | null = null;
  readonly #removed: string[] = [];
  readonly #strays: string[] = [];
  #ringsDealt = false;
  /** There is no manifest, and loss is accepted: every directory is salvaged. */
  #salvageAll = false;
  #withheld: Withheld | null = null;
  /** The space that the new checkpoints reserve, where there is room. */
  #checkpointBytes = 0;

  constructor(options: RecoveryOptions) {
    this.#options = options;
    this.#context = {
      ...options.context,
      onDamage: (damage) => {
        this.#damages.push(damage);
        // At once: the finding is in the rows after the switch, and a crash may come before the report.
        options.context.onDamage(damage);
      },
    };
    this.#store = new RecoveryStore(this.#context);
  }

  *run(): Task<RecoveryReport> {
    const { arena } = this.#context;
    const bufferBytes = Math.min(JOURNAL_WRITE_BYTES_MAX, arena.blockSizeMax);
    const bufferAddress = arena.allocate(bufferBytes);
    assert(bufferAddress >= 0, "no memory for recovery");
    const buffer = { address: bufferAddress, bytes: bufferBytes };
    const report = yield* this.#runWith(buffer);
    arena.release(bufferAddress);
    return report;
  }

  get #logs(): Map<number, PartitionLog> {
    return this.#node?.logs ?? NO_LOGS;
  }

  /** Not stopped by what an operator has to decide. */
  get #goesOn(): boolean {
    const { acceptLoss, looksOnly } = this.#options;
    return acceptLoss === true || looksOnly === true;
  }

  *#runWith(buffer: RecoveryBuffer): Task<RecoveryReport> {
    const { disk, memory } = this.#context;
    const place = { disk, memory, bufferAddress: buffer.address, bufferBytes: buffer.bytes };
    const { read: found, copyBecause } = yield* findManifest(place);
    if (copyBecause !== null) this.#context.onDamage(copyServes(copyBecause));
    if (found.kind === "newer") {
      return this.#stop("newer", `The data directory has format ${found.formatVersion}`);
    }
    if (found.kind === "error") return this.#stop("error", "Cannot read the manifest", found.errno);
    if (found.kind === "found") {
      this.#old = found.manifest;
      this.#store.census.limit *= Math.max(1, found.manifest.shards.length);
      if (found.manifest.nodeId !== this.#options.nodeId) {
        return this.#stop(
          "foreign",
          `The data directory is that of node ${found.manifest.nodeId}, not ${this.#options.nodeId}`,
        );
      }
    } else {
      const problem = lostManifest(disk, found);
      if (problem !== null && !this.#goesOn) return this.#stop("damaged", problem);
      this.#salvageAll = problem !== null;
      if (problem !== null) this.#context.onDamage(manifestLost(problem));
    }
    const obstacle = notDirectory(disk);
    if (obstacle !== null) return this.#stop("damaged", obstacle);
    const elsewhere = this.#old === null ? null : shardsElsewhere(disk, this.#old);
    if (elsewhere !== null && !this.#goesOn) return this.#stop("damaged", elsewhere);
    const node = this.#newNode(buffer);
    this.#node = node;
    yield* node.read();
    // Replay may already need some of it: for the directory of a log that was created on a full disk.
    let result = yield* dropBallast(disk);
    // What starts that were cut short have left would be in the way of this one's files. Only where everything
    // that the manifest names is sound: it may be an old one, put back.
    if (result >= 0 && this.#old !== null && this.#damages.length === 0) {
      yield* cleanShards(disk, this.#old);
    }
    if (result >= 0) result = yield* this.#replay(node, buffer);
    if (result >= 0) result = yield* this.#switch(node, buffer);
    this.#store.close(this.#logs.values());
    if (result === -ENOMEM) return this.#shortOfMemory();
    const withheld = this.#withheld;
    if (withheld !== null) return this.#stop("error", waitsFor(withheld), withheld.errno);
    if (result === -EFBIG) return this.#stop("error", tooMuchKept(this.#kept), EFBIG);
    if (result < 0) return this.#stop("error", `Recovery failed: errno ${-result}`, -result);
    return this.#report("ready", "", 0);
  }

  #newNode(buffer: RecoveryBuffer): OldShards {
    return new OldShards({
      store: this.#store,
      context: this.#context,
      onDamage: (damage) => this.#context.onDamage(damage),
      buffer,
      mountEpoch: this.#old?.mountEpoch ?? 0,
      manifests: this.#old?.shards ?? [],
      groups: null,
      onProgress: (stage, done) => this.#progress(stage, done),
    });
  }

  /** The last run had more memory, and its data does not fit into the memory of this run. */
  #shortOfMemory(): RecoveryReport {
    const { arena } = this.#context;
    const MIB = 1024 * 1024;
    // A shard's largest block is an eighth of its memory, rounded down to a power of two.
    const block = Math.max(this.#bufferBytesNeeded, arena.blockSizeMax + 1);
    const neededBytes = 8 * 2 ** Math.ceil(Math.log2(block));
    const needed = Math.ceil(neededBytes / MIB);
    const had = Math.floor(arena.size / MIB);
    const reason =
      `${had} MiB of memory per core are too few to recover the data of the last run, which ` +
      `had more: start with at least ${needed} MiB per core`;
    return this.#stop("memory", reason, ENOMEM);
  }

  *#replay(node: OldShards, buffer: RecoveryBuffer): Task<number> {
    const acceptLoss = this.#options.acceptLoss === true;
    let result = yield* node.survey();
    this.#bufferBytesNeeded = node.bufferBytesNeeded;
    if (result < 0) return result;
    const kept = this.#old?.kept ?? [];
    const withheld = node.shards.flatMap((shard) => shard.withheld ?? []);
    // A loss that may pass is not made to last, unless it is accepted.
    if (withheld.length > 0 && kept.length + withheld.length > KEPT_SHARDS_MAX && !this.#goesOn) {
      this.#withheld = withheld[0]!;
      return -EIO;
    }
    result = yield* node.replay();
    if (result >= 0) result = yield* this.#salvage(node);
    if (result < 0) return result;
    const context = this.#context;
    const added = acceptLoss
      ? []
      : shardsToKeep(node, this.#old?.mountEpoch ?? 0, (damage) => context.onDamage(damage));
    const outcome = yield* recoverKept({
      store: this.#store,
      context,
      buffer,
      kept,
      added,
      node,
      acceptLoss,
      onProgress: (stage, done) => this.#progress(stage, done),
    });
    if (typeof outcome === "number") return outcome;
    this.#kept = outcome.kept;
    this.#replayed = node.replayed + outcome.replayed;
    return 0;
  }

  /** Brings back groups of hurt shards whose rows or first records are lost. */
  *#salvage(node: OldShards): Task<number> {
    if (node.isWhole && !this.#salvageAll) return 0;
    const { logs, shards } = node;
    const found = yield* salvageLogs(
      this.#store,
      LOGS_DIRECTORY,
      ({ groupId }, directory) =>
        (this.#salvageAll || shards[groupId % shards.length]!.isHurt) &&
        !logs.has(groupId) &&
        !node.doomedDirectories.includes(directory),
      // A shard that is kept has what is passed over.
      this.#goesOn || shards.every(({ isHurt, withheld }) => !isHurt || withheld !== null),
    );
    if (typeof found === "number") return found;
    for (const log of found) logs.set(log.groupId, log);
    return 0;
  }

  /** Makes everything durable, writes the new checkpoints, and replaces the manifest. */
  *#switch(node: OldShards, buffer: RecoveryBuffer): Task<number> {
    const { disk, memory } = this.#context;
    const old = this.#old;
    this.#progress("writing checkpoints", 0);
    for (const path of [LOGS_DIRECTORY, SHARDS_DIRECTORY]) {
      const made = yield* io((done) => disk.makeDirectory(path, done));
      if (made < 0 && made !== -EEXIST) return made;
    }
    const present = new Set(
      namesIn(disk, LOGS_DIRECTORY).map((name) => `${LOGS_DIRECTORY}/${name}`),
    );
    for (const log of this.#logs.values()) log.directoryMade ||= present.has(log.directory);
    let result = yield* makeDirectories(disk, this.#logs.values());
    if (result < 0) return result;
    result = yield* io((done) => disk.syncFileSystem(done));
    if (result < 0) return result;
    const rowsByShard = this.#encodeRows();
    for (const rows of rowsByShard) this.#checkpointBytes += 2 * reservedForCheckpoint(rows);
    const provided = yield* this.#provideRings(node, buffer);
    if (typeof provided === "number") return provided;
    this.#ringsDealt = provided.dealt;
    const mountEpoch = (old?.mountEpoch ?? 0) + 1;
    const firstLsn = node.newestLsn + 1;
    const shards: ShardManifest[] = [];
    for (const [i, { journalId, extents, extentBytes }] of provided.rings.entries()) {
      this.#progress("writing checkpoints", i / this.#options.shardCount);
      const stem = `${SHARDS_DIRECTORY}/checkpoint-${mountEpoch}-${i}`;
      const shard: ShardManifest = {
        journalId,
        firstLsn,
        extents,
        extentBytes,
        checkpoints: [`${stem}-a`, `${stem}-b`],
      };
      result = yield* this.#writeRows(shard, rowsByShard[i]!, mountEpoch);
      if (result < 0) return result;
      shards.push(shard);
    }
    yield* node.close();
    result = yield* io((done) => disk.syncDirectory(SHARDS_DIRECTORY, done));
    if (result < 0) return result;
    const manifest: Manifest = {
      formatVersion: MANIFEST_FORMAT_VERSION,
      ...identityOf(old),
      nodeId: this.#options.nodeId,
      mountEpoch,
      nextJournalId: provided.nextJournalId,
      shards,
      kept: this.#kept,
    };
    const place = { disk, memory, bufferAddress: buffer.address, bufferBytes: buffer.bytes };
    result = yield* writeManifest(place, manifest);
    if (result < 0) return result;
    yield* writeManifestCopy(place, manifest);
    this.#manifest = manifest;
    yield* cleanShards(disk, manifest);
    // Anything that damage took a name from may still be wanted by an operator.
    if (this.#damages.length === 0) {
      this.#removed.push(...yield* cleanLogs(disk, this.#logs.values()));
    }
    this.#strays.push(...findStrays(disk, this.#logs.values()));
    return 0;
  }

  *#provideRings(node: OldShards, buffer: RecoveryBuffer): Task<Rings | number> {
    const { disk, memory } = this.#context;
    const { shardCount, journalBytes, extentBytes = JOURNAL_EXTENT_BYTES_DEFAULT } = this.#options;
    return yield* provideRings({
      old: this.#old,
      unusable: new Set([...node.badExtents, ...this.#kept.flatMap(({ extents }) => extents)]),
      shardCount,
      extentBytes,
      extentCount: Math.max(1, Math.ceil((journalBytes ?? JOURNAL_BYTES_DEFAULT) / extentBytes)),
      spareBytes: ballastBytesFor(this.#checkpointBytes),
      disk,
      memory,
      bufferAddress: buffer.address,
      bufferBytes: buffer.bytes,
      onProgress: (done) => this.#progress("making journals", done),
    });
  }

  /** The rows of each new shard's groups. */
  #encodeRows(): Uint8Array<ArrayBuffer>[][] {
    const { shardCount } = this.#options;
    const rows = Array.from({ length: shardCount }, (): Uint8Array<ArrayBuffer>[] => []);
    for (const log of this.#logs.values()) rows[log.groupId % shardCount]!.push(encodeRow(log));
    return rows;
  }

  /** Writes a new shard's rows into both of its new slots. */
  *#writeRows(
    shard: ShardManifest,
    rows: readonly Uint8Array<ArrayBuffer>[],
    mountEpoch: number,
  ): Task<number> {
    const handles = yield* openSlots(this.#context, shard, true);
    const problem = Math.min(...handles);
    if (problem < 0) return problem;
    const slots = new CheckpointSlots({
      context: this.#context,
      handles,
      journalId: shard.journalId,
      mountEpoch,
      older: 0,
      sequence: 0,
    });
    let result = yield* slots.write(rows, shard.firstLsn - 1);
    if (result >= 0) result = yield* slots.write(rows, shard.firstLsn - 1);
    yield* closeSlots(this.#context, handles);
    return result;
  }

  #progress(stage: string, done: number): void {
    this.#options.onProgress?.(stage, done);
  }

  #stop(
    outcome: "newer" | "damaged" | "foreign" | "memory" | "error",
    reason: string,
    errno = 0,
  ): RecoveryReport {
    return this.#report(outcome, reason, errno);
  }

  #report(outcome: RecoveryReport["outcome"], reason: string, errno: number): RecoveryReport {
    const suspects = [...this.#logs.values()].filter((log) => log.suspect);
    return {
      outcome,
      reason,
      errno,
      manifest: this.#manifest,
      ringsDealt: this.#ringsDealt,
      ballastBytes: ballastBytesFor(this.#checkpointBytes),
      fresh: this.#old === null,
      logCount: this.#logs.size,
      replayedRecords: this.#replayed,
      damages: this.#damages,
      suspectGroups: suspects.map((log) => log.groupId),
      suspectPartitions: suspects.map((log) => partitionOfPath(log.directory)).sort(),
      strays: this.#strays,
      removed: this.#removed,
    };
  }
}
