/**
 * Damages the disk of a node that does not run: flipped bits, zeroed blocks, stale blocks put back, in
 * journals, checkpoint slots, segments, indexes, snapshots of states and the manifest. Of a disk with *bad sectors* blocks
 * cannot be read, too, and what a power cut lost may turn out to be written to another place.
 *
 * Blocks that matter are hit rather than any: live ones of a journal, both slots at once now and then, an
 * index together with its segment.
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import { BLOCK_SIZE } from "../../src/io/disk.ts";
import type { MemoryDisk } from "../../src/io/memory_disk.ts";
import { JournalRecordType } from "../../src/storage/journal_format.ts";
import { SNAPSHOTS_DIRECTORY } from "../../src/storage/state_snapshot.ts";
import { MANIFEST_PATH } from "../../src/storage/manifest.ts";
import { type Forecast, foretell } from "./damage_forecast.ts";
import {
  type DiskPicture,
  type PictureBlock,
  type PictureShard,
  takePicture,
} from "./disk_picture.ts";

/** States of the disk that stale blocks are taken from. */
const MEMORIES_MAX = 6;
const STRIKES_TRIED = 10;
const SEGMENT_SUFFIX = ".log";
const INDEX_SUFFIX = ".index";

/** What becomes of a block of any disk. */
const ROT: readonly DamageKind[] = ["flip", "flip", "zero", "stale"];

/** A block whose bytes were changed, or that cannot be read. */
export interface Hit {
  readonly path: string;
  readonly block: number;
  readonly kind: DamageKind;
}

export type DamageKind = "flip" | "zero" | "stale" | "lost" | "stray";

export interface Strike {
  readonly hits: readonly Hit[];
  readonly before: DiskPicture;
  readonly after: DiskPicture;
  readonly forecast: Forecast;
}

type Blocks = readonly (Uint8Array | null)[];

export class Damager {
  readonly #random: Random;
  readonly #kinds: readonly DamageKind[];
  #memories: ReadonlyMap<string, Blocks>[] = [];
  #disk: MemoryDisk | null = null;
  #hits: Hit[] = [];
  #undo: (() => void)[] = [];

  constructor(random: Random, hasBadSectors = false) {
    this.#random = random;
    this.#kinds = hasBadSectors ? [...ROT, "lost", "stray"] : ROT;
  }

  /** Keeps the disk's present state, to put parts of it back later. */
  remember(disk: MemoryDisk): void {
    const memory = new Map(disk.paths().map((path) => [path, blocksOf(disk, path)]));
    this.#memories.push(memory);
    if (this.#memories.length > MEMORIES_MAX) this.#memories.shift();
  }

  /** The disk was replaced: what was on the one before never comes back. */
  forget(): void {
    this.#memories = [];
  }

  /** Damages the disk somewhere; null when there was nothing to hit. */
  strike(disk: MemoryDisk): Strike | null {
    this.#disk = disk;
    const before = takePicture(disk);
    if (!before.hasManifest) return null;
    for (let tried = 0; tried < STRIKES_TRIED; tried++) {
      this.#hits = [];
      this.#undo = [];
      const places = 1 + this.#random.nextBelow(2);
      for (let i = 0; i < places; i++) this.#strikeOnce(before);
      const after = takePicture(disk);
      const forecast = foretell(before, after);
      if (this.#hits.length > 0 && !forecast.untold) {
        return { hits: this.#hits, before, after, forecast };
      }
      for (const undo of this.#undo.reverse()) undo();
    }
    return null;
  }

  #strikeOnce(before: DiskPicture): void {
    const where = this.#random.nextBelow(100);
    const shard = this.#pick(before.shards);
    if (where < 35) this.#strikeJournal(shard);
    else if (where < 60) this.#strikeSlots(shard);
    else if (where < 80) this.#strikeSegment(shard);
    else if (where < 91) this.#strikeIndex();
    else if (where < 97) this.#strikeSnapshot();
    else this.#strikeFile(MANIFEST_PATH);
  }

  #strikeJournal(shard: PictureShard): void {
    const needed = Math.min(...shard.slots.map((slot) => slot?.lsn ?? 0));
    const live = shard.blocks.filter(({ lsn }) => lsn > needed || this.#chance(5));
    if (live.length === 0) return;
    if (this.#chance(15)) return this.#strikeBeginning(shard, live);
    const { path, block } = this.#pick(live);
    if (this.#chance(10)) this.#loseRegion(live.filter((each) => each.path === path));
    else this.#hit(path, block, this.#anyKind());
  }

  /** A write that holds the first record of a group. */
  #strikeBeginning({ writes }: PictureShard, live: readonly PictureBlock[]): void {
    const first = live.filter(({ lsn }) =>
      writes.get(lsn)?.records.some(({ type }) => type === JournalRecordType.CREATE)
    );
    if (first.length === 0) return;
    const { path, block } = this.#pick(first);
    this.#hit(path, block, this.#anyKind());
  }

  /** Any segment, or one where a large batch lies whose record is in the journal. */
  #strikeSegment({ writes }: PictureShard): void {
    const records = [...writes.values()].flatMap((write) => write.records);
    const { groupId, landed } = records.findLast((record) => record.landed !== null) ?? {};
    if (landed === undefined || landed === null || this.#chance(60)) {
      return this.#strikeFile(this.#anyOf(SEGMENT_SUFFIX));
    }
    const path = this.#paths().find((each) =>
      each.includes(`.${groupId}.`) && each.endsWith(`-${landed.generation}${SEGMENT_SUFFIX}`)
    );
    if (path === undefined) return;
    const from = Math.ceil(landed.from / BLOCK_SIZE);
    const blocks = Math.max(1, Math.floor(landed.to / BLOCK_SIZE) - from);
    this.#hit(path, from + this.#random.nextBelow(blocks), "flip");
  }

  /** A region of the device is gone: live blocks of an extent, from one of them on. */
  #loseRegion(blocks: readonly { path: string; block: number }[]): void {
    const from = this.#pick(blocks).block;
    for (const { path, block } of blocks) if (block >= from) this.#hit(path, block, "zero");
  }

  #strikeSlots({ manifest }: PictureShard): void {
    const both = this.#chance(40);
    const paths = both ? manifest.checkpoints : [this.#pick(manifest.checkpoints)];
    for (const path of paths) {
      if (this.#chance(30)) this.#putBackFile(path);
      else this.#strikeFile(path);
    }
  }

  #strikeIndex(): void {
    const path = this.#anyOf(INDEX_SUFFIX);
    this.#strikeFile(path);
    const segment = path?.replace(INDEX_SUFFIX, SEGMENT_SUFFIX) ?? null;
    if (segment !== null && this.#chance(40) && this.#paths().includes(segment)) {
      this.#strikeFile(segment);
    }
  }

  /** A snapshot of a state rots, or an old one is back, or one is half of each. */
  #strikeSnapshot(): void {
    const paths = this.#paths().filter((path) => path.startsWith(`${SNAPSHOTS_DIRECTORY}/`));
    if (paths.length === 0) return;
    const path = this.#pick(paths);
    if (this.#chance(40)) this.#putBackFile(path);
    else this.#strikeFile(path);
  }

  /** Any block of a file that was ever written. */
  #strikeFile(path: string | null): void {
    if (path === null) return;
    const written = blocksOf(this.#disk!, path).flatMap((bytes, block) =>
      bytes === null ? [] : [block]
    );
    if (written.length > 0) this.#hit(path, this.#pick(written), this.#anyKind());
  }

  /** A lost write of the whole file: it is what it once was. */
  #putBackFile(path: string): void {
    const old = this.#memoryOf(path, (blocks) => blocks.some((bytes) => bytes !== null));
    if (old === null) return;
    const now = blocksOf(this.#disk!, path);
    const count = Math.max(old.length, now.length);
    for (let block = 0; block < count; block++) {
      this.#replace({ path, block, kind: "stale" }, old[block] ?? null);
    }
  }

  #hit(path: string, block: number, kind: DamageKind): void {
    const hit = { path, block, kind };
    const bytes = this.#disk!.blockAt(path, block);
    if (kind === "zero") this.#replace(hit, null);
    else if (kind === "lost") this.#lose(hit);
    else if (kind === "stray") this.#misdirect(hit);
    else if (kind === "stale") {
      const old = this.#memoryOf(path, (blocks) => (blocks[block] ?? null) !== bytes);
      if (old !== null) this.#replace(hit, old[block] ?? null);
    } else {
      const rotten = bytes?.slice() ?? new Uint8Array(BLOCK_SIZE);
      const at = this.#random.nextBelow(BLOCK_SIZE);
      rotten[at] = rotten[at]! ^ (1 << this.#random.nextBelow(8));
      this.#replace(hit, rotten);
    }
  }

  #replace(hit: Hit, bytes: Uint8Array | null): void {
    const { path, block } = hit;
    const old = this.#disk!.blockAt(path, block);
    if (sameBytes(old, bytes)) return;
    const disk = this.#disk!;
    this.#undo.push(() => disk.replaceBlock(path, block, old));
    disk.replaceBlock(path, block, bytes);
    this.#hits.push(hit);
  }

  /** The device does not give the block back. */
  #lose(hit: Hit): void {
    const { path, block } = hit;
    const disk = this.#disk!;
    if (disk.isLost(path, block)) return;
    this.#undo.push(() => disk.giveBack(path, block));
    disk.loseBlock(path, block);
    this.#hits.push(hit);
  }

  /** A write that the power cut lost went there: of the same file, or of one of its kind. */
  #misdirect(hit: Hit): void {
    const disk = this.#disk!;
    const kin = this.#chance(70) ? [hit.path] : this.#kinOf(hit.path);
    const strays = kin.flatMap((path) =>
      disk.straysOf(path).filter(({ block }) => path !== hit.path || block !== hit.block)
    );
    if (strays.length > 0) this.#replace(hit, this.#pick(strays).bytes);
  }

  /** Files of the same kind: what a broker would take for its own. */
  #kinOf(path: string): string[] {
    const kindOf = (each: string): string => /journal|checkpoint|[.][a-z]+$/.exec(each)?.[0] ?? "";
    return this.#paths().filter((each) => kindOf(each) === kindOf(path));
  }

  /** An earlier state of a file, of those that will do. */
  #memoryOf(path: string, willDo: (blocks: Blocks) => boolean): Blocks | null {
    const states = this.#memories.map((memory) => memory.get(path) ?? [])
      .filter((blocks) => blocks.length > 0 && willDo(blocks));
    return states.length === 0 ? null : this.#pick(states);
  }

  #anyOf(suffix: string): string | null {
    const paths = this.#paths().filter((path) => path.endsWith(suffix));
    return paths.length === 0 ? null : this.#pick(paths);
  }

  #paths(): string[] {
    return this.#disk!.paths();
  }

  #anyKind(): DamageKind {
    return this.#pick(this.#kinds);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random.nextBelow(from.length)]!;
  }

  #chance(percent: number): boolean {
    return this.#random.nextBelow(100) < percent;
  }
}

function blocksOf(disk: MemoryDisk, path: string): Blocks {
  const count = Math.ceil(disk.size(path) / BLOCK_SIZE);
  return Array.from({ length: count }, (_, block) => disk.blockAt(path, block));
}

function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  for (let at = 0; at < BLOCK_SIZE; at++) if ((a?.[at] ?? 0) !== (b?.[at] ?? 0)) return false;
  return true;
}
