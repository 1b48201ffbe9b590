/**
 * Blocks of segments that go bad while their nodes live: bits flip, a block is zeros, holds what was meant for another place,
 * or cannot be read. One good copy of each record is left:
 *
 * - Of the same records only one node has a sore that is not mended.
 * - Another node, whose disk is never lost, votes in the group and has them: whole, durable, and known to be committed.
 *
 * So nobody may notice, except by a refusal for a while: nothing is lost, and in the end every log is whole.
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import { BLOCK_SIZE } from "../../src/io/disk.ts";
import type { GroupReplica } from "../../src/replication/group_replica.ts";
import type { PartitionLog } from "../../src/storage/partition_log.ts";
import type { Segment } from "../../src/storage/segment.ts";
import type { ClusterPlan } from "./cluster_plan.ts";
import type { DamageBook } from "./damage_book.ts";
import type { SimCluster } from "./sim_cluster.ts";
import type { SimNode } from "./sim_node.ts";

/** Pause between two, at most (virtual ms). */
const PAUSE_MS_MAX = 2_000;
/** Places that are looked at for one. */
const TRIES = 10;

type SoreKind = "flip" | "zero" | "foreign" | "lost";
const KINDS: readonly SoreKind[] = ["flip", "zero", "foreign", "lost"];

/** Where records lie in a segment's file, and their offsets; the ends exclusive. */
interface Place {
  readonly path: string;
  readonly block: number;
  /** Of the extents that the block touches. */
  readonly fromOffset: number;
  readonly toOffset: number;
  /** Bytes of the block that those extents have. */
  readonly from: number;
  readonly to: number;
}

interface Sore extends Place {
  readonly node: SimNode;
  readonly groupId: number;
  /** What the block held. */
  readonly before: Uint8Array;
}

/** A replica of a group on a node. */
interface Held {
  readonly node: SimNode;
  readonly log: PartitionLog;
  readonly replica: GroupReplica;
}

export class Sores {
  readonly #cluster: SimCluster;
  readonly #plan: ClusterPlan;
  readonly #books: readonly DamageBook[];
  readonly #random: Random;
  #open: Sore[] = [];
  #nextMs = 0;
  /** How many there were. */
  count = 0;

  constructor(
    cluster: SimCluster,
    plan: ClusterPlan,
    books: readonly DamageBook[],
    random: Random,
  ) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#books = books;
    this.#random = random;
  }

  /** Damages a block now and then. */
  tick(): void {
    const { nodes, nowMs } = this.#cluster;
    if (!this.#plan.sores || nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + 1 + this.#random.nextBelow(PAUSE_MS_MAX);
    for (let tried = 0; tried < TRIES; tried++) if (this.#strike(this.#pick(nodes))) return;
  }

  /** Nothing more goes wrong. */
  end(): void {
    this.#nextMs = Infinity;
  }

  #strike(node: SimNode): boolean {
    const held = heldBy(node);
    if (held.length === 0) return false;
    const { log, replica } = this.#pick(held);
    const segments = log.segmentList.filter(({ indexLoaded }) => indexLoaded);
    if (segments.length === 0) return false;
    const segment = this.#pick(segments);
    const blocks = Math.floor(segment.writtenPosition / BLOCK_SIZE);
    if (blocks === 0 || node.disk.size(segment.file.path) < blocks * BLOCK_SIZE) return false;
    const place = placeOf(segment, this.#random.nextBelow(blocks));
    if (place === null || !isSafe({ node, log, replica }, place)) return false;
    this.#open = this.#open.filter(isOpen);
    const isSore = (sore: Sore): boolean =>
      sore.groupId === log.groupId && sore.fromOffset < place.toOffset &&
      place.fromOffset < sore.toOffset;
    if (this.#open.some(isSore) || !this.#hasAnother(node, replica, place)) return false;
    const { path, block } = place;
    const before = node.disk.blockAt(path, block);
    if (before === null) return false;
    this.#open.push({ ...place, node, groupId: log.groupId, before });
    const kind = this.#pick(KINDS);
    this.#hurt(node, path, block, kind);
    this.#books[node.nodeId]!.noteHit(path, block);
    this.count++;
    const what = `block ${block} of ${path} on ${node.name} goes bad: ${kind}`;
    this.#cluster.trace?.note("trouble", what);
    return true;
  }

  /** Another voter has the records, and its disk is neither lost nor rotten. */
  #hasAnother({ nodeId }: SimNode, { groupId }: GroupReplica, place: Place): boolean {
    const { wiped, rotten } = this.#plan;
    return this.#cluster.nodes.some((node) => {
      if (node.nodeId === nodeId || node.nodeId === wiped || node.nodeId === rotten) return false;
      const held = heldBy(node).find(({ log }) => log.groupId === groupId);
      return held !== undefined && isSafe(held, place);
    });
  }

  #hurt({ disk }: SimNode, path: string, block: number, kind: SoreKind): void {
    if (kind === "lost") return disk.loseBlock(path, block);
    if (kind === "zero") return disk.replaceBlock(path, block, new Uint8Array(BLOCK_SIZE));
    if (kind === "foreign") {
      const others = disk.paths().filter((each) => each.endsWith(".log") && disk.size(each) > 0);
      const other = this.#pick(others);
      const from = this.#random.nextBelow(Math.ceil(disk.size(other) / BLOCK_SIZE));
      return disk.replaceBlock(
        path,
        block,
        disk.blockAt(other, from) ?? new Uint8Array(BLOCK_SIZE),
      );
    }
    const at = block * BLOCK_SIZE + this.#random.nextBelow(BLOCK_SIZE);
    disk.flipBit(path, at, this.#random.nextBelow(8));
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random.nextBelow(from.length)]!;
  }
}

/** Replicas of a node that serves. */
function heldBy(node: SimNode): Held[] {
  if (!node.serving || node.stopping) return [];
  return node.shards.flatMap(({ shard }) =>
    [...shard.partitions.all()].map(({ log, replica }) => ({
      node,
      log: log as PartitionLog,
      replica: replica as GroupReplica,
    }))
  );
}

/** It votes, among members that do not change, and knows of the records that they are committed. */
function isSafe({ node, log, replica }: Held, { fromOffset, toOffset }: Place): boolean {
  const { raft } = replica;
  const { voters, outgoing, learners } = raft.configuration;
  const isStill = outgoing.length === 0 && learners.length === 0;
  const votes = voters.some((voter) => voter.node === node.nodeId);
  const known = Math.min(raft.commitIndex, log.durableIndex);
  return isStill && votes && !log.suspect && log.startOffset <= fromOffset &&
    known >= log.startIndex && log.offsetAt(known + 1) >= toOffset;
}

/** What lies in a block of a segment; null: not only written records, or part of them is nobody's any more. */
function placeOf(segment: Segment, block: number): Place | null {
  const { index, writtenPosition } = segment;
  const start = block * BLOCK_SIZE;
  const end = start + BLOCK_SIZE;
  let first = -1;
  let last = -1;
  for (let extent = 0; extent < index.count; extent++) {
    const from = index.positions[extent]!;
    if (from >= end || from + index.lengths[extent]! <= start) continue;
    if (first < 0) first = extent;
    last = extent;
  }
  if (first < 0) return null;
  const to = index.positions[last]! + index.lengths[last]!;
  if (to > writtenPosition) return null;
  const toOffset = last + 1 < index.count ? index.baseOffsets[last + 1]! : segment.endOffset;
  return {
    path: segment.file.path,
    block,
    fromOffset: index.baseOffsets[first]!,
    toOffset,
    from: Math.max(start, index.positions[first]!) - start,
    to: Math.min(end, to) - start,
  };
}

/** It is not mended, and not gone with its file. */
function isOpen({ node, path, block, before, from, to }: Sore): boolean {
  const { disk } = node;
  if (disk.size(path) < 0 && !disk.crashed) return false;
  if (!disk.paths().includes(path)) return false;
  if (disk.isLost(path, block)) return true;
  const now = disk.blockAt(path, block);
  if (now === null) return true;
  for (let at = from; at < to; at++) if (now[at] !== before[at]) return true;
  return false;
}
