/**
 * The shards of an earlier run, as a start finds them: logs from their checkpoint rows, and from the journal records
 * that no row reflects.
 *
 * ```
 *   read()      rows of each shard's newest valid slot -> logs
 *   survey()    what the journals hold, and what they lack; nothing is written
 *   replay()    records -> logs and their segments; logs that may lack records become suspect
 * ```
 *
 * Of a journal that lacks writes, a log is suspect unless it has a record behind them that follows those before
 * them: a group counts its records, so it had none among the lost ones.
 *
 * @module
 */

import { io, type Task } from "../io/task.ts";
import type { CheckpointSlot } from "./checkpoint_file.ts";
import { decodeRow } from "./checkpoint_row.ts";
import { closeSlots, openSlots, readSlots } from "./checkpoint_slots.ts";
import { rebuildIndex } from "./index_rebuild.ts";
import type { JournalExtent } from "./journal_ring.ts";
import type { JournalRecord } from "./journal_record.ts";
import {
  type JournalDamage,
  type JournalScan,
  type JournalVisitor,
  scanJournal,
} from "./journal_scan.ts";
import type { ShardManifest } from "./manifest.ts";
import type { PartitionLog } from "./partition_log.ts";
import { failedScan, openExtents } from "./recovery_files.ts";
import type { RecoveryStore } from "./recovery_store.ts";
import {
  lostBatch,
  lostSlots,
  lostWrites,
  staleSlot,
  unreadableExtent,
  unreadableRows,
  unreadableSlots,
  type Withheld,
  withheldExtent,
  withheldSlot,
} from "./recovery_words.ts";
import { Replay, ReplaySurvey } from "./replay.ts";
import type { Damage, StorageContext } from "./shard_storage.ts";

/** Dirty memory at which replay pauses to write (share of the arena). */
const FLUSH_SHARE = 1 / 4;

/** A block of the arena that journals are read into. */
export interface RecoveryBuffer {
  readonly address: number;
  readonly bytes: number;
}

export interface OldShardsOptions {
  readonly store: RecoveryStore;
  readonly context: StorageContext;
  readonly onDamage: (damage: Damage) => void;
  readonly buffer: RecoveryBuffer;
  /** Of the run that wrote the journals. */
  readonly mountEpoch: number;
  readonly manifests: readonly ShardManifest[];
  /** The only groups to be read and replayed; null: all. */
  readonly groups: ReadonlySet<number> | null;
  readonly onProgress: (stage: string, done: number) => void;
}

/** One of the shards, and what it lacks. */
export interface OldShard {
  readonly manifest: ShardManifest;
  readonly extents: JournalExtent[];
  /** The checkpoint slot that rows were taken from, and the first LSN after it. */
  slot: string;
  fromLsn: number;
  slots: readonly CheckpointSlot[];
  /** It lost rows or journal records: whole groups may be missing. */
  isHurt: boolean;
  /** The last lost LSN, or 0. */
  lostLsn: number;
  /** A file that is missed, and that its device may give back later. */
  withheld: Withheld | null;
}

export class OldShards {
  readonly #options: OldShardsOptions;
  readonly shards: OldShard[] = [];
  readonly logs = new Map<number, PartitionLog>();
  /** Whether the groups whose rows were read were suspect then. */
  readonly #wasSuspect = new Map<number, boolean>();
  /** Extents that cannot be read to their end. */
  readonly badExtents = new Set<string>();
  /** Directories of logs that were deleted, or replaced by one of another name. */
  doomedDirectories: readonly string[] = [];
  /** Largest journal write, which must be read at once (bytes). */
  bufferBytesNeeded = 0;
  newestLsn = 0;
  /** Records that were replayed. */
  replayed = 0;
  #survey: ReplaySurvey | null = null;
  #applied: ReadonlySet<PartitionLog> = new Set();

  constructor(options: OldShardsOptions) {
    this.#options = options;
  }

  /** Nothing that a start needs is missing, so far. */
  get isWhole(): boolean {
    return this.shards.every(({ isHurt }) => !isHurt);
  }

  /** A suspect log to which nothing was added since the rows were written, as far as can be known. */
  isFrozen(log: PartitionLog): boolean {
    return log.suspect && this.#wasSuspect.get(log.groupId) !== false && !this.#applied.has(log);
  }

  /** Takes the logs from the rows of every shard. */
  *read(): Task<void> {
    const { context, store, manifests, groups, onDamage, onProgress } = this.#options;
    for (const [i, manifest] of manifests.entries()) {
      onProgress("reading checkpoints", i / manifests.length);
      const extents = yield* openExtents(context, manifest);
      const shard: OldShard = {
        manifest,
        extents,
        slot: "",
        fromLsn: 0,
        slots: [],
        isHurt: false,
        lostLsn: 0,
        withheld: null,
      };
      this.shards.push(shard);
      const handles = yield* openSlots(context, manifest, false);
      let badRows = 0;
      const read = yield* readSlots(context, handles, manifest.journalId, (row) => {
        const log = decodeRow(store, row);
        if (log === null) badRows++;
        else if (groups !== null && !groups.has(log.groupId)) log.producers.clear();
        else {
          log.recorded = true;
          this.logs.set(log.groupId, log);
          this.#wasSuspect.set(log.groupId, log.suspect);
        }
      });
      yield* closeSlots(context, handles);
      shard.slots = read.slots;
      for (const damage of unreadableSlots(manifest, read)) onDamage(damage);
      // A crash during its writing leaves one damaged slot; the other one covers it.
      if (read.newest < 0) {
        onDamage(lostSlots(manifest));
        shard.withheld = withheldSlot(manifest, read.slots);
        shard.isHurt = true;
        continue;
      }
      shard.slot = manifest.checkpoints[read.newest]!;
      if (badRows > 0) {
        onDamage(unreadableRows(shard.slot, badRows));
        shard.isHurt = true;
      }
      shard.fromLsn = read.slots[read.newest]!.lsn + 1;
    }
  }

  /** Reads the journals; zero or a negative errno. */
  *survey(): Task<number> {
    const survey = new ReplaySurvey(this.logs);
    for (const [index, shard] of this.shards.entries()) {
      this.#options.onProgress("surveying journals", index / this.shards.length);
      const scan = yield* this.#scan(shard, survey, null);
      this.bufferBytesNeeded = Math.max(this.bufferBytesNeeded, scan.bufferBytesNeeded);
      if (scan.error < 0) return scan.error;
      this.newestLsn = Math.max(this.newestLsn, scan.newestLsn, shard.manifest.firstLsn);
      this.#noteJournalDamage(index, scan);
      this.#noteStaleSlot(index, scan);
    }
    this.#survey = survey;
    return 0;
  }

  /** Replays what was surveyed, and writes it to the segments; zero or a negative errno. */
  *replay(): Task<number> {
    const { store, onDamage, onProgress } = this.#options;
    const { touched, landings } = this.#survey!;
    const flush = (applied: Iterable<PartitionLog>): Task<number> => this.#flush(applied);
    const replay = new Replay(store, this.logs, flush, landings);
    this.doomedDirectories = replay.doomedDirectories;
    this.#applied = replay.applied;
    for (const groupId of touched) {
      const last = this.logs.get(groupId)?.segmentList.at(-1);
      if (last === undefined || last.indexLoaded) continue;
      // An index that contradicts the row may be from a later run that was cut off: rebuilt after the switch.
      if ((yield* store.loader.readIndex(last)) < 0) replay.rebuildLater(last);
      last.indexLoaded = true;
      last.unfiledEntries = null;
    }
    let misfits = 0;
    for (const [index, shard] of this.shards.entries()) {
      if (touched.size === 0 && shard.lostLsn === 0) continue;
      onProgress("replaying journals", index / this.shards.length);
      const scan = yield* this.#scan(shard, replay, replay);
      if (scan.error < 0) return scan.error;
      if (replay.misfits > misfits) shard.isHurt = true;
      misfits = replay.misfits;
      const flushed = yield* this.#flush(replay.applied);
      if (flushed < 0) return flushed;
      const lost = yield* replay.takeLostBatches();
      if (typeof lost === "number") return lost;
      for (const each of lost) onDamage(lostBatch(each));
      this.#judge(index, replay);
    }
    this.replayed = replay.records;
    return yield* this.#rebuild(replay);
  }

  /** Closes the journals. */
  *close(): Task<void> {
    const { disk } = this.#options.context;
    for (const { extents } of this.shards) {
      for (const { handle } of extents) {
        if (handle >= 0) yield* io((done) => disk.close(handle, done));
      }
    }
  }

  *#rebuild(replay: Replay): Task<number> {
    const { store } = this.#options;
    for (const segment of replay.rebuild) {
      store.writer.forgetFrom(segment, 0);
      const rebuilt = yield* rebuildIndex(store.loader, segment);
      if (rebuilt < 0) this.logs.get(segment.groupId)!.markSuspect();
      else segment.recountTimestamps();
      segment.indexLoaded = true;
      segment.entryCount = segment.index.count;
    }
    return 0;
  }

  /** Scans one journal; between its reads, replayed bytes are written out when there are many. */
  *#scan(shard: OldShard, visitor: JournalVisitor, replay: Replay | null): Task<JournalScan> {
    const { context, store, buffer, mountEpoch, groups } = this.#options;
    const { disk, memory, crc32c, arena } = context;
    const scan = scanJournal({
      disk,
      memory,
      crc32c,
      extents: shard.extents,
      journalId: shard.manifest.journalId,
      mountEpoch,
      fromLsn: shard.fromLsn,
      firstLsn: shard.manifest.firstLsn,
      bufferAddress: buffer.address,
      bufferBytes: buffer.bytes,
    }, groups === null ? visitor : new GroupsOnly(groups, visitor));
    let value = 0;
    for (;;) {
      const step = scan.next(value);
      if (step.done) return step.value;
      if (replay !== null && store.cache.dirtyBytes > arena.size * FLUSH_SHARE) {
        const result = yield* this.#flush(replay.applied);
        if (result < 0) return failedScan(result);
      }
      value = yield step.value;
    }
  }

  *#flush(applied: Iterable<PartitionLog>): Task<number> {
    const { store } = this.#options;
    const made = yield* store.makeFiles(applied);
    if (made < 0) return made;
    return yield* store.flush(applied);
  }

  /** A log of a shard that lost writes is suspect unless a later record shows that it had none among them. */
  #judge(index: number, replay: Replay): void {
    const { lostLsn } = this.shards[index]!;
    if (lostLsn === 0) return;
    for (const log of this.logs.values()) {
      if (log.groupId % this.shards.length !== index) continue;
      if (replay.followedLsn(log) <= lostLsn) log.markSuspect();
    }
  }

  #noteJournalDamage(index: number, scan: JournalScan): void {
    const { onDamage } = this.#options;
    const shard = this.shards[index]!;
    for (const extent of scan.unreadable) {
      onDamage(unreadableExtent(extent, scan.damages.length > 0));
      this.badExtents.add(extent.path);
    }
    for (const damage of scan.damages) {
      onDamage(lostWrites(index, damage));
      shard.lostLsn = Math.max(shard.lostLsn, damage.lastLsn);
    }
    if (scan.damages.length === 0) return;
    shard.withheld ??= withheldExtent(scan.unreadable);
    shard.isHurt = true;
  }

  #noteStaleSlot(index: number, { oldestLsn }: JournalScan): void {
    const shard = this.shards[index]!;
    const { slot, fromLsn, manifest, slots } = shard;
    if (slot === "" || fromLsn >= oldestLsn) return;
    this.#options.onDamage(staleSlot(index, slot, fromLsn, oldestLsn));
    shard.withheld ??= withheldSlot(manifest, slots);
    shard.isHurt = true;
    shard.lostLsn = Math.max(shard.lostLsn, oldestLsn - 1);
  }
}

/** Hands on the records of some groups. */
class GroupsOnly implements JournalVisitor {
  readonly #groups: ReadonlySet<number>;
  readonly #visitor: JournalVisitor;

  constructor(groups: ReadonlySet<number>, visitor: JournalVisitor) {
    this.#groups = groups;
    this.#visitor = visitor;
  }

  record(record: JournalRecord): Task<number> | void {
    if (this.#groups.has(record.groupId)) return this.#visitor.record(record);
  }

  damage(damage: JournalDamage): void {
    this.#visitor.damage(damage);
  }
}
