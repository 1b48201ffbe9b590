/**
 * Sees all nodes of a simulated cluster, and checks while it runs what no client can see:
 *
 * - In each term of a group at most one node leads.
 * - What one replica knows to be committed is what any other knows at that index: entries of the same term.
 * - The commit of a replica does not go back within a life.
 * - Two images that have applied the same metadata are equal.
 *
 * Where a group goes on by force, what was committed beyond the log that goes on is forgotten; and of replicas that have
 * such entries nothing is expected any more but that they take part in nothing.
 *
 * In the end, when all have settled ({@linkcode ClusterWatch.compare}): every log is the same on all of its replicas, byte
 * for byte, all images are equal, and of a topic that was deleted no node has anything left.
 *
 * @module
 */

import type { PartitionImage } from "../../src/cluster/image.ts";
import { CONTROLLER_GROUP_ID, encodeCommand } from "../../src/cluster/records.ts";
import { runTask } from "../../src/io/task.ts";
import type { GroupReplica } from "../../src/replication/group_replica.ts";
import type { Replica } from "../../src/replication/replica.ts";
import type { Shard } from "../../src/shard/shard.ts";
import type { PartitionLog } from "../../src/storage/partition_log.ts";
import type { SimTopic } from "./actor.ts";
import { concat } from "./memory_sockets.ts";
import { endAlike } from "./surviving_records.ts";
import type { Force } from "./quorum_watch.ts";
import { readToEnd } from "./read_to_end.ts";
import type { SimCluster } from "./sim_cluster.ts";
import { expect, SimFailure } from "./sim_failure.ts";
import type { SimNode } from "./sim_node.ts";

/** A log is read in this time, and before that what is damaged of it is mended (virtual ms). */
const READ_MS_MAX = 60_000;
/** Pause between two readings of a log that is being mended (virtual ms). */
const MENDING_PAUSE_MS = 200;

/** What is known of one group. */
class GroupBook {
  /** Who led, by term. */
  readonly leaders = new Map<number, string>();
  /** Terms of committed entries, by index, as far as anybody looked. */
  readonly committed = new Map<number, number>();
  /** How it went on by force last; null: never. */
  force: Force | null = null;
}

/** A replica, and where it is. */
interface Held {
  readonly node: SimNode;
  readonly replica: Replica;
  readonly image: PartitionImage;
  /** Its topic is compacted. */
  readonly isCompacted: boolean;
}

/** What was seen of one replica, in this life of its node. */
interface Sight {
  readonly log: PartitionLog;
  commitIndex: number;
}

export class ClusterWatch {
  readonly #cluster: SimCluster;
  readonly #books = new Map<number, GroupBook>();
  readonly #sights = new Map<string, Sight>();
  /** Contents of an image, by the number of metadata records that it has applied. */
  readonly #images = new Map<number, string>();
  readonly #imageSeen = new Map<string, number>();
  readonly #mends: boolean;
  elections = 0;

  /** @param mends disks are damaged, and in the end mended by the nodes themselves */
  constructor(cluster: SimCluster, mends = false) {
    this.#cluster = cluster;
    this.#mends = mends;
  }

  /** A group goes on by force. */
  forced(force: Force): void {
    const { groupId, keptIndex, keptOffset } = force;
    const book = this.#bookOf(groupId);
    book.force = force;
    for (const index of book.committed.keys()) if (index > keptIndex) book.committed.delete(index);
    if (groupId !== CONTROLLER_GROUP_ID) return;
    for (const applied of this.#images.keys()) {
      if (applied > keptOffset) this.#images.delete(applied);
    }
  }

  /** It has entries that its group went on without. */
  #isBeyond({ force }: GroupBook, { log, commitIndex }: Replica): boolean {
    if (force === null) return false;
    const noOp = force.lastIndex + 1;
    const isKnown = noOp > log.startIndex && noOp <= log.lastIndex;
    return commitIndex >= noOp && isKnown && log.termAt(noOp) !== force.term;
  }

  #bookOf(groupId: number): GroupBook {
    let book = this.#books.get(groupId);
    if (book === undefined) this.#books.set(groupId, book = new GroupBook());
    return book;
  }

  /** Looks at every node. */
  look(): void {
    for (const node of this.#cluster.nodes) {
      if (node.shards.length === 0 || node.disk.crashed) continue;
      for (const { steps } of node.shards) {
        const { shard } = steps;
        if (shard === null) continue;
        for (const { replica } of shard.partitions.all()) {
          this.#lookAt(node, replica);
        }
      }
    }
  }

  /** All replicas of every group are equally far, and one of them leads. */
  get isSettled(): boolean {
    return [...this.#groups().values()].every((replicas) =>
      isEven(replicas) && this.#isWhole(replicas)
    );
  }

  /** Everybody has it who should, and nobody else. */
  #isWhole(replicas: readonly Held[]): boolean {
    const { nodes } = this.#cluster;
    return replicas.every(({ image }) =>
      image.groupId === CONTROLLER_GROUP_ID
        ? replicas.length === nodes.length
        : !image.isChanging && replicas.length === image.replicas.length
    );
  }

  /** The nodes of each group, and of partitions that the most advanced image names; none: there is no cluster yet. */
  replicaSets(): (readonly number[])[] {
    const sets: (readonly number[])[] = [];
    for (const { nodeId, shards } of this.#cluster.nodes) {
      const shard = shards[0]?.steps.shard;
      if (shard === null || shard === undefined || metadataOffsetOf(shard) < 0) continue;
      sets.push(this.#cluster.nodes.map((node) => node.nodeId));
      // A topic that is being made may go to nodes that hold nothing yet.
      if (!shard.image.nodes.has(nodeId)) return [];
      for (const { partitions } of shard.image.topics.values()) {
        for (const { replicas } of partitions) sets.push(replicas);
      }
    }
    return sets;
  }

  /** Whether every group keeps a majority that remembers when a node's disk is lost, as far as the others know. */
  canLose(nodeId: number): boolean {
    const groups = this.#groups();
    const isSafe = (members: readonly { readonly node: number }[]): boolean =>
      members.length >= 3 || members.every(({ node }) => node !== nodeId);
    for (const held of groups.values()) {
      // A node that is down may have made it one of two voters.
      const areAllThere = held.every(({ image: { replicas } }) =>
        replicas.every((each) => each === nodeId || held.some(({ node }) => node.nodeId === each))
      );
      for (const { replica } of held) {
        const { voters, outgoing } = (replica as GroupReplica).raft.configuration;
        if (!isSafe(voters) || !isSafe(outgoing)) return false;
        if (!areAllThere && voters.length < 3) return false;
      }
    }
    // A topic that grows to more replicas may have none yet but on this node.
    return this.#cluster.nodes.every(({ shards }) =>
      [...shards[0]?.steps.shard?.image.topics.values() ?? []].every(({ partitions }) =>
        partitions.every(({ groupId, replicas }) =>
          !replicas.includes(nodeId) || groups.has(groupId)
        )
      )
    );
  }

  /** What nodes do, and groups whose replicas are not all equally far; for people. */
  describe(): string {
    const lines = this.#cluster.nodes.map((node) => `${node.name} ${stateOf(node)}`);
    for (const [groupId, replicas] of this.#groups()) {
      if (isEven(replicas)) continue;
      const views = replicas.map(({ node, replica }) => {
        const { log, commitIndex, term, leading, overruled } = replica;
        const { voters, outgoing } = (replica as GroupReplica).raft.configuration;
        const sets = [voters, outgoing].map((set) => set.map((each) => each.node).join(" "));
        return `${node.name} ${leading ? "leads" : "follows"} in ${term}: ${log.durableIndex} of ` +
          `${log.lastIndex}, committed ${commitIndex}, voters ${sets.join("/")}` +
          (overruled ? ", overruled" : "");
      });
      lines.push(`group ${groupId}: ${views.join("; ")}`);
    }
    return lines.join("\n");
  }

  /** All nodes serve, and nothing is under way: holds them against each other. */
  compare(topics: readonly SimTopic[]): void {
    const { nodes } = this.#cluster;
    const images = nodes.map((node) => imageOf(node));
    for (const [at, image] of images.entries()) {
      expect(image === images[0], () => `the images of node-0 and node-${at} differ`);
    }
    for (const [groupId, replicas] of this.#groups()) this.#compareLogs(groupId, replicas);
    for (const { deleted, name, id } of topics) {
      if (!deleted) continue;
      for (const node of nodes) {
        const image = node.shards[0]!.shard.image;
        expect(image.topicById(id) === undefined, () => `${name} was deleted, ${node.name} has it`);
      }
    }
    for (const node of nodes) this.#checkNoOrphans(node);
  }

  /** Every log belongs to a partition of the image. */
  #checkNoOrphans(node: SimNode): void {
    for (const { shard } of node.shards) {
      for (const [groupId, log] of shard.storage.logs) {
        const isOwned = groupId === CONTROLLER_GROUP_ID ||
          shard.image.partitionByGroup(groupId)?.replicas.includes(node.nodeId) === true;
        expect(isOwned, () => `${node.name} has the log ${log.directory} of no partition`);
      }
    }
  }

  #lookAt(node: SimNode, replica: Replica): void {
    const { commitIndex } = replica;
    const log = replica.log as PartitionLog;
    const { groupId } = log;
    const book = this.#bookOf(groupId);
    if (this.#isBeyond(book, replica)) return;
    if (replica.leading) this.#noteLeader(book, groupId, replica.term, node.name);
    const key = `${node.name} ${groupId}`;
    let sight = this.#sights.get(key);
    // Another life has another log.
    if (sight?.log !== log) this.#sights.set(key, sight = { log, commitIndex: 0 });
    if (commitIndex === sight.commitIndex) return;
    expect(
      commitIndex > sight.commitIndex,
      () => `${key}: the commit went from ${sight.commitIndex} to ${commitIndex}`,
    );
    sight.commitIndex = commitIndex;
    const term = log.termAt(commitIndex);
    if (term >= 0 && commitIndex > log.startIndex) {
      const known = book.committed.get(commitIndex);
      expect(
        known === undefined || known === term,
        () => `${key}: entry ${commitIndex} is committed in the terms ${known} and ${term}`,
      );
      book.committed.set(commitIndex, term);
    }
    if (groupId === CONTROLLER_GROUP_ID) this.#lookAtImage(node, log, book);
  }

  #noteLeader(book: GroupBook, groupId: number, term: number, name: string): void {
    const known = book.leaders.get(term);
    if (known === name) return;
    expect(
      known === undefined,
      () => `${known} and ${name} lead group ${groupId} in term ${term}`,
    );
    book.leaders.set(term, name);
    this.elections++;
  }

  /** Images of the same number of applied records are the same. A snapshot may know more than the log goes on with. */
  #lookAtImage(node: SimNode, log: PartitionLog, { force }: GroupBook): void {
    const applied = metadataOffsetOf(node.shards[0]!.shard);
    if (applied < 0 || this.#imageSeen.get(node.name) === applied) return;
    const isOfBefore = force !== null && log.termAt(force.lastIndex + 1) !== force.term;
    if (isOfBefore && applied > force.keptOffset) return;
    this.#imageSeen.set(node.name, applied);
    const image = imageOf(node);
    const known = this.#images.get(applied);
    if (known === undefined) this.#images.set(applied, image);
    else {
      expect(known === image, () => `${node.name} has another image after ${applied} records`);
    }
  }

  /** Replicas by group. */
  #groups(): Map<number, Held[]> {
    const groups = new Map<number, Held[]>();
    for (const node of this.#cluster.nodes) {
      for (const { steps } of node.shards) {
        for (const { image, limits, replica } of steps.shard?.partitions.all() ?? []) {
          const found = groups.get(image.groupId) ?? [];
          found.push({ node, replica, image, isCompacted: limits.compaction !== null });
          groups.set(image.groupId, found);
        }
      }
    }
    return groups;
  }

  #read(node: SimNode, log: PartitionLog, from: number, end: number): Uint8Array {
    const lateMs = this.#cluster.nowMs + READ_MS_MAX;
    for (;;) {
      const parts: Uint8Array[] = [];
      const take = (address: number, length: number): void => {
        parts.push(node.memory.bytes.slice(address, address + length));
      };
      let stuckAt: number | null = null;
      runTask(readToEnd(log, from, take, end), (at) => stuckAt = at);
      while (stuckAt === null && this.#cluster.nowMs < lateMs) this.#cluster.step();
      if (stuckAt === -1) return concat(parts);
      if (!this.#mends || this.#cluster.nowMs >= lateMs) {
        throw new SimFailure(
          "correctness",
          `${node.name} cannot read ${log.directory} at ${stuckAt}`,
        );
      }
      this.#cluster.rest(MENDING_PAUSE_MS);
    }
  }

  #compareLogs(
    groupId: number,
    replicas: readonly Held[],
  ): void {
    // Time passes while logs are read: a coordinator may have written, or retention have moved a log's start.
    const lateMs = this.#cluster.nowMs + READ_MS_MAX;
    while (!isEven(replicas) && this.#cluster.nowMs < lateMs) this.#cluster.step();
    const logs = replicas.map(({ replica }) => replica.log as PartitionLog);
    const from = Math.max(...logs.map(({ startOffset }) => startOffset));
    for (const [at, { node }] of replicas.entries()) {
      const { startOffset } = logs[at]!;
      expect(
        startOffset === from,
        () => `group ${groupId} starts at ${startOffset} on ${node.name}, elsewhere at ${from}`,
      );
    }
    const end = Math.min(...logs.map(({ endOffset }) => endOffset));
    // Each compacts for itself, and passes on what it has.
    const areCompacted = replicas.some(({ isCompacted }) => isCompacted);
    let first: Uint8Array | null = null;
    for (const [at, { node }] of replicas.entries()) {
      const log = logs[at]!;
      const bytes = this.#read(node, log, from, end);
      first ??= bytes;
      const isSame = bytes.length === first.length && bytes.every((byte, i) => byte === first![i]);
      expect(
        isSame || (areCompacted && endAlike(bytes, first)),
        () => `the logs of group ${groupId} differ: ${node.name} and another`,
      );
    }
  }
}

function isEven(replicas: readonly Held[]): boolean {
  const last = Math.max(...replicas.map(({ replica }) => replica.log.lastIndex));
  const leaders = replicas.filter(({ replica }) => replica.leading);
  return leaders.length === 1 &&
    replicas.every(({ replica: { log, commitIndex } }) =>
      log.lastIndex === last && commitIndex === last && log.durableIndex === last
    );
}

function stateOf(node: SimNode): string {
  if (node.disk.crashed) return "is down";
  if (node.starting) return "starts";
  if (node.stopping) return "stops";
  return node.serving ? `serves with ${node.shards.length} shards` : "does not serve";
}

/** The first offset of the metadata log that an image does not reflect; -1: none is loaded. */
function metadataOffsetOf(shard: Shard): number {
  return shard.seat.metadata?.log.appliedOffset ?? -1;
}

/** Everything that a node's image says. */
function imageOf(node: SimNode): string {
  const records = [...node.shards[0]!.shard.image.snapshotRecords()];
  return new TextDecoder("latin1").decode(encodeCommand(records));
}
