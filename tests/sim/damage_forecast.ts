/**
 * What a start may lose to damage, foretold from pictures of the disk before and after it.
 *
 * The rules are those of docs/formats/journal.md and checkpoint.md, written down a second time: a group is
 * its row in the newest whole slot, and the records after it up to the first missing one. What the pictures
 * show to be there must be there after the start; what they show to be lost must be named.
 *
 * @module
 */

import { JournalRecordType } from "../../src/storage/journal_format.ts";
import type {
  DiskPicture,
  PictureRecord,
  PictureRow,
  PictureShard,
  PictureSlot,
  PictureWrite,
} from "./disk_picture.ts";

/** What becomes of one group. */
export interface GroupForecast {
  /** Of its log: a log of a later one has been filled anew since. */
  readonly incarnation: number;
  /** Records from this offset on may be gone; Infinity: nothing is. */
  readonly lossFrom: number;
  /** Where it ended before. */
  readonly endBefore: number;
  /** Made from its segments: nothing but batches is known of it. */
  readonly salvaged: boolean;
  /** What moved the log start is lost: it may have gone back, to segments that are deleted. */
  readonly startLost: boolean;
}

/** What becomes of one shard of the life before. */
export interface ShardForecast {
  /** Its groups may be suspect. */
  readonly hurt: boolean;
  /** Files of which at least one must be named; empty when nothing needs to be. */
  readonly named: readonly string[];
}

export interface Forecast {
  readonly shards: readonly ShardForecast[];
  readonly groups: ReadonlyMap<number, GroupForecast>;
  /**
   * The newest write is gone, with every sign that it had completed: that is what a torn tail looks
   * like, and nothing could distinguish them (docs/formats/journal.md).
   */
  readonly untold: boolean;
}

export function foretell(before: DiskPicture, after: DiskPicture): Forecast {
  const shards: ShardForecast[] = [];
  const groups = new Map<number, GroupForecast>();
  let untold = false;
  before.shards.forEach((shard, index) => {
    const found = after.shards[index];
    if (found === undefined) return;
    const told = foretellShard(shard, found, after, groups);
    untold ||= told.untold;
    shards.push(told);
  });
  return { shards, groups, untold };
}

function foretellShard(
  before: PictureShard,
  after: PictureShard,
  disk: DiskPicture,
  groups: Map<number, GroupForecast>,
): ShardForecast & { untold: boolean } {
  const truth = newest(before.slots);
  const left = newest(after.slots);
  if (truth === null) throw new Error("a life left a shard without a checkpoint");
  const whole = chainFrom(before, truth.lsn + 1);
  const end = truth.lsn + whole.length;
  const fromLsn = left === null ? 0 : left.lsn + 1;
  const needed = Math.max(fromLsn, after.oldestLsn);
  const sound = (lsn: number): boolean =>
    after.writes.get(lsn)?.digest === before.writes.get(lsn)?.digest;
  const broken: number[] = [];
  const kept: PictureWrite[] = [];
  for (const write of [...before.writes.values()].sort((a, b) => a.lsn - b.lsn)) {
    if (write.lsn < needed || write.lsn > end) continue;
    if (sound(write.lsn)) kept.push(write);
    else broken.push(write.lsn);
  }
  // The rows themselves prove that there was more.
  const foundLsn = Math.max(0, ...after.blocks.map(({ lsn }) => lsn));
  const shortened = fromLsn > before.manifest.firstLsn && foundLsn < fromLsn - 1;
  const stale = left !== null && fromLsn < after.oldestLsn;
  const named = [
    ...(broken.length > 0 || shortened ? before.manifest.extents : []),
    ...(left === null || stale ? before.manifest.checkpoints : []),
  ];
  foretellGroups({ truth, whole, left, kept, disk }, groups);
  return {
    // What a device does not give back may have been the newest write.
    hurt: named.length > 0 || before.manifest.extents.some((path) => disk.withheld.has(path)),
    named,
    untold: !shortened && broken.some((lsn) => lsn > after.stableLsn),
  };
}

interface Remains {
  readonly truth: PictureSlot;
  readonly whole: readonly PictureWrite[];
  readonly left: PictureSlot | null;
  readonly kept: readonly PictureWrite[];
  readonly disk: DiskPicture;
}

function foretellGroups(remains: Remains, groups: Map<number, GroupForecast>): void {
  const { truth, whole, left, kept, disk } = remains;
  const ids = new Set(truth.rows.keys());
  for (const { records } of whole) for (const { groupId } of records) ids.add(groupId);
  const records = byGroup(whole);
  const keptRecords = byGroup(kept);
  for (const groupId of ids) {
    const row = truth.rows.get(groupId);
    const was = walk(row, records.get(groupId) ?? []);
    if (was === null) continue;
    const is = walk(left?.rows.get(groupId), keptRecords.get(groupId) ?? []);
    const salvaged = is === null;
    // No log was reported before its directory was durable.
    if (salvaged && !disk.directories.has(groupId)) continue;
    const { incarnation } = was;
    const isSame = is?.incarnation === incarnation;
    const rowEnd = row?.incarnation === incarnation ? row.endOffset : 0;
    let lossFrom = Infinity;
    if (salvaged) lossFrom = disk.segments.has(groupId) ? rowEnd : 0;
    else if (!isSame) lossFrom = 0;
    else if (is.sequence < was.sequence) lossFrom = is.endOffset;
    const reached = isSame ? is.sequence : 0;
    const startLost = reached < (row?.sequence ?? 0) ||
      (records.get(groupId) ?? []).some(({ type, sequence }) =>
        type === JournalRecordType.PREFIX && sequence > reached
      );
    const endBefore = was.endOffset;
    groups.set(groupId, { incarnation, lossFrom, endBefore, salvaged, startLost });
  }
}

/** Where the log of a group stands. */
interface Standing {
  readonly incarnation: number;
  readonly sequence: number;
  readonly endOffset: number;
}

/** A group from its row and the records after it, up to the first missing one; null: there is none. */
function walk(
  row: PictureRow | undefined,
  records: readonly PictureRecord[],
): Standing | null {
  let state: Standing | null = row ?? null;
  let isBroken = false;
  for (const { type, incarnation, sequence, endOffset } of records) {
    if (type === JournalRecordType.CREATE) {
      const isNewer = state === null || incarnation > state.incarnation ||
        (incarnation === state.incarnation && sequence > state.sequence);
      if (isNewer) {
        state = { incarnation, sequence, endOffset };
        isBroken = false;
      }
      continue;
    }
    if (state === null || incarnation !== state.incarnation) continue;
    if (sequence <= state.sequence) continue;
    if (type === JournalRecordType.DELETE) {
      state = null;
      continue;
    }
    isBroken ||= sequence !== state.sequence + 1;
    if (isBroken) continue;
    state = { incarnation, sequence, endOffset: endOffset < 0 ? state.endOffset : endOffset };
  }
  return state;
}

function newest(slots: readonly (PictureSlot | null)[]): PictureSlot | null {
  let found: PictureSlot | null = null;
  for (const slot of slots) {
    if (slot !== null && (found === null || slot.sequence > found.sequence)) found = slot;
  }
  return found;
}

/** Whole writes from an LSN on, up to the first one that is not there. */
function chainFrom({ writes }: PictureShard, fromLsn: number): PictureWrite[] {
  const chain: PictureWrite[] = [];
  for (let write = writes.get(fromLsn); write !== undefined; write = writes.get(write.lsn + 1)) {
    chain.push(write);
  }
  return chain;
}

function byGroup(writes: readonly PictureWrite[]): Map<number, PictureRecord[]> {
  const groups = new Map<number, PictureRecord[]>();
  for (const { records } of writes) {
    for (const record of records) {
      if (record.type === JournalRecordType.SEAL) continue;
      const known = groups.get(record.groupId);
      if (known === undefined) groups.set(record.groupId, [record]);
      else known.push(record);
    }
  }
  return groups;
}
