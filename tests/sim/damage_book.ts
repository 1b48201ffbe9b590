/**
 * Keeps account of the damage done to the disk of a simulated node, and holds against it what the node says and serves.
 *
 * Every acknowledged record is served unchanged, or its loss was named and lies within what was named:
 *
 * - A log that lost records is suspect, and so read-only; it holds at least what the pictures of the disk
 *   show to be left, and what is missing begins where they say.
 * - KAFKA_STORAGE_ERROR or CORRUPT_MESSAGE is an answer for an extent that touches a damaged block and was reported.
 * - A start that refuses names a damaged file.
 * - Nothing is suspect, and no file is named, that no damage explains. So a power cut alone names nothing.
 * - A log that is suspect stays so, until its node is another member of the group: that one's log has a later incarnation.
 *
 * @module
 */

import { BLOCK_SIZE } from "../../src/io/disk.ts";
import { CONTROLLER_GROUP_ID } from "../../src/cluster/records.ts";
import { MANIFEST_PATH } from "../../src/storage/manifest.ts";
import type { PartitionLog } from "../../src/storage/partition_log.ts";
import { parseLogDirectory, parseSegmentName } from "../../src/storage/salvage.ts";
import { SHARDS_DIRECTORY } from "../../src/storage/recovery_rings.ts";
import type { Segment } from "../../src/storage/segment.ts";
import type { Damage } from "../../src/storage/shard_storage.ts";
import type { GroupForecast, ShardForecast } from "./damage_forecast.ts";
import type { Strike } from "./damager.ts";
import { expect } from "./sim_failure.ts";
import type { SimNode } from "./sim_node.ts";

const SEGMENT_SUFFIX = ".log";
const INDEX_SUFFIX = ".index";
/** Where damage may be as well, at the end of a journal's extent. */
const OTHER_FILE = /there or in ([^:]+):/;
const UNHURT: GroupForecast = {
  incarnation: 0,
  lossFrom: Infinity,
  endBefore: 0,
  salvaged: false,
  startLost: false,
};

export class DamageBook {
  /** Blocks that were hit, by file. */
  readonly #hits = new Map<string, Set<number>>();
  /** Files that were there when damage was last done. */
  #files: ReadonlySet<string> = new Set();
  readonly #losses = new Map<number, GroupForecast>();
  readonly #shards: (readonly ShardForecast[])[] = [];
  /** Files that must be named by the next start that goes through; each list by one of its own. */
  #unnamed: (readonly string[])[] = [];
  /** Where in {@linkcode SimNode.damages} the last strike's account begins. */
  #namedFrom = 0;
  /** A loss was accepted: what is lost is not suspect any more. */
  accepted = false;
  /** The disk fails to read what is sound, now and then. */
  isFickle = false;
  /** The device withholds something, or did and has given it back. */
  #withholds = false;
  #hasReturned = false;
  /** All logs may be what their files show, because what names them is lost. */
  #isSalvaged = false;

  /** Something was damaged in this run. */
  get any(): boolean {
    return this.#hits.size > 0;
  }

  note({ hits, forecast, before }: Strike, node: SimNode): void {
    this.#files = before.files;
    for (const { path, block, kind } of hits) {
      this.noteHit(path, block);
      this.#withholds ||= kind === "lost";
    }
    this.#shards.push(forecast.shards);
    this.#unnamed = forecast.shards.map(({ named }) => named).filter(({ length }) => length > 0);
    this.#namedFrom = node.damages.length;
    for (const [groupId, loss] of forecast.groups) {
      const known = this.#lossOf(groupId, loss.incarnation);
      const segments = loss.salvaged ? this.#salvagedTo(groupId) : Infinity;
      this.#losses.set(groupId, {
        ...loss,
        lossFrom: Math.min(known.lossFrom, loss.lossFrom, segments),
        salvaged: known.salvaged || loss.salvaged,
        startLost: known.startLost || loss.startLost,
      });
    }
  }

  /** A block of a file was damaged. */
  noteHit(path: string, block: number): void {
    const blocks = this.#hits.get(path);
    if (blocks === undefined) this.#hits.set(path, new Set([block]));
    else blocks.add(block);
  }

  /** The device gives back what it withheld: a log that waited for it may be whole again. */
  noteReturn(): void {
    this.#hasReturned ||= this.#withholds;
    this.#unnamed = [];
  }

  /** With its manifest the node may have forgotten everything. */
  get mayForget(): boolean {
    return this.#hits.has(MANIFEST_PATH);
  }

  /** A start may accept the loss, of a node of several. */
  noteAcceptance(): void {
    this.#isSalvaged ||= this.mayForget;
  }

  /** The disk was replaced by an empty one. */
  forget(): void {
    this.#withholds = this.#hasReturned = this.#isSalvaged = false;
    this.#hits.clear();
    this.#files = new Set();
    this.#losses.clear();
    this.#shards.length = 0;
    this.#unnamed = [];
    this.#namedFrom = 0;
  }

  /** What a group may have lost. */
  lossOf(groupId: number): GroupForecast {
    return this.#losses.get(groupId) ?? UNHURT;
  }

  /** The same, of the log that a node has now. */
  #lossOfLog({ groupId, incarnation }: PartitionLog): GroupForecast {
    return this.#lossOf(groupId, incarnation);
  }

  #lossOf(groupId: number, incarnation: number): GroupForecast {
    const loss = this.lossOf(groupId);
    return loss.incarnation === incarnation ? loss : UNHURT;
  }

  /** A start refused: rightly, and saying which file? */
  checkRefusal(node: SimNode): void {
    const refusal = node.refusal!;
    expect(this.any, () => `recovery refused: ${refusal}`);
    // Where other nodes have what may be lost, it says so.
    const isTold = refusal.startsWith("damaged: ") || refusal.startsWith("elsewhere: ") ||
      (this.#withholds && refusal.startsWith("error: "));
    expect(isTold, () => `damage is taken for something else: ${refusal}`);
    const hitFiles = [...this.#hits.keys()];
    const named = hitFiles.some((path) => refusal.toLowerCase().includes(path)) ||
      node.damages.some((damage) => this.#explains(damage));
    expect(named, () => `a start refuses and names no damaged file: ${refusal}`);
    const cause = this.mayBeSuspect(CONTROLLER_GROUP_ID) || this.#withholds;
    expect(
      cause,
      () => `a start refuses, and neither manifest nor metadata log is hurt: ${refusal}`,
    );
  }

  /** A start serves the metadata as it is: rightly? */
  checkFrozen(): void {
    const isHurt = this.any && this.mayBeSuspect(CONTROLLER_GROUP_ID);
    expect(isHurt, () => "the metadata log takes no commands, and it is not hurt");
  }

  /** Without the metadata log there is nothing to compare with: it was hit itself, not only its shard. */
  get metadataLost(): boolean {
    return this.#hits.has(MANIFEST_PATH) || this.lossOf(CONTROLLER_GROUP_ID).lossFrom < Infinity ||
      this.#segmentsHit(CONTROLLER_GROUP_ID).length > 0;
  }

  /** The node has started. */
  checkMount(node: SimNode): void {
    this.checkNamed(node);
    const { damages } = node;
    for (const files of this.#unnamed) {
      expect(
        damages.slice(this.#namedFrom).some(({ file, lost }) =>
          files.includes(file) || files.some((other) => lost.includes(other))
        ),
        () => `none is named of ${files}: ${JSON.stringify(damages)}`,
      );
    }
    this.#unnamed = [];
    for (const { shard } of node.shards) {
      for (const log of shard.storage.logs.values()) this.#checkLog(log as PartitionLog);
    }
  }

  /** Every damage that was named is there. */
  checkNamed(node: SimNode): void {
    for (const damage of node.damages) {
      expect(
        this.#explains(damage),
        () => `named damage without any: ${JSON.stringify(damage)}`,
      );
    }
  }

  /** Is KAFKA_STORAGE_ERROR the right answer to a read at `offset`? */
  checkUnreadable(node: SimNode, groupId: number, offset: number): void {
    const log = node.logOf(groupId);
    const segment = log?.segmentList.findLast(({ baseOffset }) => baseOffset <= offset);
    if (log === undefined || segment === undefined || offset < log.startOffset) return;
    const about = (): string => `${log.directory} at ${offset}`;
    const { path } = segment.file;
    const named = node.damages.filter(({ file }) => file === path);
    expect(named.length > 0, () => `${about()} is unreadable and nobody was told`);
    if (this.isFickle || this.#isBehindLostStart(path, groupId)) return;
    const hits = this.#hits.get(path);
    expect(hits !== undefined, () => `${about()} is unreadable, and its segment is sound`);
    expect(
      named.some((damage) => this.#covers(damage, segment, offset, hits)),
      () => `${about()} is unreadable, beyond what was named: ${JSON.stringify(named)}`,
    );
  }

  /** Whether a group's log cannot serve what it held: suspect, or with extents that are damaged. */
  isHurt(node: SimNode, groupId: number): boolean {
    return this.isCut(node, groupId) || this.#segmentsHit(groupId).length > 0;
  }

  /** Whether a log takes part in nothing, because it may lack records; damage in its segments is mended. */
  isCut(node: SimNode, groupId: number): boolean {
    const log = node.logOf(groupId)!;
    return log.suspect || this.#lossOfLog(log).lossFrom < Infinity;
  }

  mayBeSuspect(groupId: number): boolean {
    return this.#segmentsHit(groupId).length > 0 || this.#isSalvaged ||
      this.#shards.some((shards) => shards[groupId % shards.length]?.hurt === true);
  }

  #checkLog(log: PartitionLog): void {
    const { lossFrom, endBefore } = this.#lossOfLog(log);
    const isBack = this.#hasReturned && log.endOffset >= endBefore;
    expect(
      !log.suspect || this.mayBeSuspect(log.groupId),
      () => `${log.directory} is suspect without any damage`,
    );
    expect(
      log.suspect || lossFrom === Infinity || this.accepted || isBack,
      () => `${log.directory} lost what came from ${lossFrom} on, and is not suspect`,
    );
    expect(
      lossFrom === Infinity || log.endOffset >= lossFrom,
      () => `${log.directory} ends at ${log.endOffset}, and should hold all up to ${lossFrom}`,
    );
  }

  /** Whether a damage that was named holds the offset, and a block that was hit. */
  #covers(damage: Damage, segment: Segment, offset: number, hits: Set<number>): boolean {
    const { index } = segment;
    const extent = index.findOffset(offset);
    if (!segment.indexLoaded || extent < 0) return false;
    const from = index.positions[extent]!;
    const end = from + index.lengths[extent]!;
    if (damage.position !== from) return false;
    return [...hits].some((block) => block * BLOCK_SIZE < end && (block + 1) * BLOCK_SIZE > from);
  }

  #explains({ file, lost, harmless }: Damage): boolean {
    if (this.isFickle && parseLogDirectory(file.split("/")[1] ?? "") !== null) return true;
    // Of kept files the first one is named.
    if (this.#withholds && file.startsWith(`${SHARDS_DIRECTORY}/`)) return true;
    const [, otherFile] = OTHER_FILE.exec(lost) ?? [];
    if (otherFile !== undefined && this.#hits.has(otherFile)) return true;
    if (this.#hits.has(file) || this.#hits.has(file.replace(/\.log$/, INDEX_SUFFIX))) return true;
    // Whoever mends a segment writes its index, which a power cut may tear.
    const segment = file.replace(INDEX_SUFFIX, SEGMENT_SUFFIX);
    if (harmless === true && segment !== file && this.#hits.has(segment)) return true;
    const [, directory] = file.split("/");
    const identity = parseLogDirectory(directory ?? "");
    if (identity === null) return false;
    const { groupId } = identity;
    if (file.endsWith(SEGMENT_SUFFIX)) return this.#isBehindLostStart(file, groupId);
    return this.#shards.some((shards) => shards[groupId % shards.length]?.hurt === true);
  }

  /** A segment that was deleted, and came back into the log because its deletion is lost. */
  #isBehindLostStart(path: string, groupId: number): boolean {
    return this.lossOf(groupId).startLost && !this.#files.has(path);
  }

  #segmentsHit(groupId: number): string[] {
    return [...this.#hits.keys()].filter((path) => {
      const [, directory] = path.split("/");
      return path.startsWith("logs/") && parseLogDirectory(directory!)?.groupId === groupId;
    });
  }

  /** The offset up to which a group's segments show its batches. */
  #salvagedTo(groupId: number): number {
    let offset = Infinity;
    for (const path of this.#segmentsHit(groupId)) {
      const fields = parseSegmentName(path.slice(path.lastIndexOf("/") + 1));
      if (fields !== null) offset = Math.min(offset, fields[0]);
    }
    return offset;
  }
}
