/**
 * A recovery's messages about damage: the file and the loss, for an operator.
 *
 * @module
 */

import { ENOENT } from "../io/errno.ts";
import type { CheckpointRead, CheckpointSlot } from "./checkpoint_file.ts";
import type { JournalDamage, UnreadableExtent } from "./journal_scan.ts";
import type { DoubtfulBatch } from "./landed_batch.ts";
import {
  KEPT_SHARDS_MAX,
  type KeptShard,
  MANIFEST_BYTES_MAX,
  type ShardManifest,
} from "./manifest.ts";
import type { Damage } from "./shard_storage.ts";

export function lostSlots({ checkpoints }: ShardManifest): Damage {
  const lost = "Both checkpoint slots: the state of every partition of this shard";
  return { file: checkpoints[0], position: 0, lost, groupId: -1 };
}

/** Slots that are missing, or that the device cannot read. */
export function unreadableSlots(
  { checkpoints }: ShardManifest,
  { slots, newest }: CheckpointRead,
): Damage[] {
  const damages: Damage[] = [];
  for (const [i, { state, errno }] of slots.entries()) {
    if (state !== "unreadable") continue;
    const cost = newest < 0
      ? "the other slot cannot be used either"
      : "nothing is lost, because the other slot is valid";
    const lost = `Checkpoint slot cannot be read (errno ${errno}): ${cost}`;
    damages.push({ file: checkpoints[i]!, position: 0, lost, groupId: -1 });
  }
  return damages;
}

/** A file that is missed, and that its device may give back later. */
export interface Withheld {
  readonly file: string;
  /** Positive. */
  readonly errno: number;
}

export function withheldExtent(unreadable: readonly UnreadableExtent[]): Withheld | null {
  const found = unreadable.find(({ errno }) => mayComeBack(errno));
  return found === undefined ? null : { file: found.path, errno: found.errno };
}

export function withheldSlot(
  { checkpoints }: ShardManifest,
  slots: readonly CheckpointSlot[],
): Withheld | null {
  const at = slots.findIndex(({ errno }) => mayComeBack(errno));
  return at < 0 ? null : { file: checkpoints[at]!, errno: slots[at]!.errno };
}

/** Not what is gone, cut short, or is given back and wrong. */
function mayComeBack(errno: number): boolean {
  return errno !== 0 && errno !== ENOENT;
}

/** Why a start stops, and changes nothing. */
export function waitsFor({ file, errno }: Withheld): string {
  return `${file} cannot be read (errno ${errno}), what it may hold is nowhere else, and the files of ` +
    `${KEPT_SHARDS_MAX} shards are kept already: nothing was changed, and only a start with ` +
    `--accept-loss goes on without it`;
}

/** The same of a start that would have to name too many groups of kept shards. */
export function tooMuchKept(kept: readonly KeptShard[]): string {
  const groups = kept.reduce((sum, shard) => sum + shard.groups.length, 0);
  const mebibytes = MANIFEST_BYTES_MAX / 2 ** 20;
  return `The files of ${kept.length} shards are kept for ${groups} partitions, more than a manifest of ` +
    `${mebibytes} MiB can name: nothing was changed, and only a start with --accept-loss goes on without them`;
}

/** Files that are missed are kept, with all that belongs to them, until the device gives them back. */
export function keptShard(
  { extents, checkpoints, groups }: KeptShard,
  withheld: Withheld | null,
): Damage {
  const because = withheld === null ? "" : ` (errno ${withheld.errno})`;
  const count = groups.length === 1 ? "1 partition is" : `${groups.length} partitions are`;
  return {
    file: withheld?.file ?? extents[0]!,
    position: 0,
    lost:
      `Nothing yet, but the disk withholds it${because}: ${count} read-only. Their journal and ` +
      `checkpoints (${checkpoints[0]}, ${
        extents[0]
      } and the others of their shard) are kept as they are. ` +
      `Once the disk gives the file back, the next start recovers all of it; ` +
      `a start with --accept-loss goes on without it, and removes the files`,
    groupId: -1,
  };
}

/** What was withheld is back. @param count its partitions that were recovered */
export function returnedShard({ extents }: KeptShard, count: number): Damage {
  const what = count === 1 ? "1 partition has" : `${count} partitions have`;
  return {
    file: extents[0]!,
    position: 0,
    lost: `Nothing: the disk gives back what it withheld, and ${what} all of it`,
    groupId: -1,
    harmless: true,
  };
}

/** Loss of what is still withheld was accepted. */
export function forsakenShard({ extents, groups }: KeptShard): Damage {
  const count = groups.length === 1 ? "1 partition" : `${groups.length} partitions`;
  return {
    file: extents[0]!,
    position: 0,
    lost:
      `What the disk withheld of ${count}: its loss is accepted, and the kept files are removed`,
    groupId: -1,
  };
}

export function unreadableRows(slot: string, count: number): Damage {
  const lost = count === 1
    ? "1 checkpoint row cannot be read: the state of its partition"
    : `${count} checkpoint rows cannot be read: the state of their partitions`;
  return { file: slot, position: 0, lost, groupId: -1 };
}

export function lostBatch(batch: DoubtfulBatch): Damage {
  const { log, segment, position, length, baseOffset } = batch;
  return {
    file: segment.file.path,
    position,
    lost: `Large batch of ${length} bytes does not match its checksum: offsets from ` +
      `${baseOffset} on`,
    groupId: log.groupId,
  };
}

/** The parts of a journal that a device cannot read. @param costs lost writes are named as well */
export function unreadableExtent(extent: UnreadableExtent, costs: boolean): Damage {
  const { path, position, blocks, blocksOfExtent, errno } = extent;
  const what = errno === ENOENT
    ? "Journal file is missing"
    : errno === 0
    ? `Journal file is cut short by ${blocks} of ${blocksOfExtent} blocks`
    : `${blocks} of ${blocksOfExtent} blocks of a journal cannot be read (errno ${errno})`;
  const lost = costs
    ? `${what}: the damage of the journal's writes lists the loss`
    : `${what}: nothing is lost, because no start needs it`;
  return { file: path, position, lost, groupId: -1 };
}

export function lostWrites(shard: number, damage: JournalDamage): Damage {
  const { path, position, orPath, firstLsn, lastLsn } = damage;
  const or = orPath === null ? "" : `, there or in ${orPath}`;
  const lost = `Journal writes ${firstLsn} to ${lastLsn}${or}: partitions of shard ${shard} ` +
    `may have lost acknowledged records`;
  return { file: path, position, lost, groupId: -1 };
}

/** Rows that end before the journal begins: the slot is an old one, put back or never overwritten. */
export function staleSlot(shard: number, slot: string, fromLsn: number, oldestLsn: number): Damage {
  const lost =
    `Checkpoint rows are stale, and no newer slot is valid: journal writes ${fromLsn} to ` +
    `${oldestLsn - 1} of partitions of shard ${shard}`;
  return { file: slot, position: 0, lost, groupId: -1 };
}
