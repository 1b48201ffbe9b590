/**
 * One seed, one run: groups on two to five nodes, with kills, power cuts, cut and one-way links, links on which nothing
 * arrives though they stand, disks that hang or are full, and trims; then everything heals.
 *
 * Checked all the time: what a leader reported as committed is never lost or changed, commits never go back within a
 * life, two replicas never lead in one term. Checked at the end: every group has a leader again, all logs are
 * equal, and they hold all that was committed.
 *
 * @module
 */

import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import { ENOSPC } from "../../src/io/errno.ts";
import { batchBaseOffset, batchCrc, batchSize } from "../../src/wire/record_batch.ts";
import { ReplicaCluster, type ReplicaNode } from "./replica_cluster.ts";
import { expect } from "./sim_failure.ts";

/** Steps (ms) of disturbance, and of rest at the end. */
const DISTURBED_MS = 3_000;
const CALM_MS = 60_000;
const GROUPS_MAX = 4;
/** Idempotent ones, in a group. */
const PRODUCERS = 4;

export interface ReplicationResult {
  readonly hash: number;
  readonly committed: number;
  readonly kills: number;
  readonly elections: number;
}

/** What is known of a group. */
class GroupBook {
  /** CRC of the batch that begins at an offset, of all that was seen committed. */
  readonly batches = new Map<number, number>();
  /** End of what was seen committed. */
  committed = 0;
  /** Who led in a term. */
  readonly leaders = new Map<number, number>();
}

export class ReplicationSimulation {
  readonly #random: Random;
  readonly #cluster: ReplicaCluster;
  readonly #groups: number[];
  readonly #books = new Map<number, GroupBook>();
  /** The commit that a life of a replica reported last. */
  readonly #commits = new Map<string, number>();
  readonly #kills: boolean;
  readonly #cuts: boolean;
  readonly #oneWay: boolean;
  readonly #trims: boolean;
  readonly #freezes: boolean;
  readonly #mutes: boolean;
  readonly #fills: boolean;
  readonly #producers: boolean;
  #killed = 0;
  #hash = 7;

  constructor(seed: number) {
    this.#random = new Xoshiro128(seed ^ 0x1f83d9ab);
    const nodes = this.#chance(70) ? 3 : this.#chance(50) ? 5 : 2;
    this.#cluster = new ReplicaCluster(nodes, seed);
    this.#groups = Array.from({ length: 1 + this.#random.nextBelow(GROUPS_MAX) }, (_, i) => 1 + i);
    for (const groupId of this.#groups) {
      this.#cluster.openAll(groupId);
      this.#books.set(groupId, new GroupBook());
    }
    this.#kills = this.#chance(50);
    this.#cuts = this.#chance(50);
    this.#oneWay = this.#chance(50);
    this.#trims = this.#chance(50);
    this.#producers = this.#chance(50);
    this.#freezes = this.#chance(40);
    this.#mutes = this.#chance(40);
    this.#fills = this.#chance(30);
  }

  run(): ReplicationResult {
    for (let ms = 0; ms < DISTURBED_MS; ms++) {
      this.#disturb();
      this.#work();
      this.#cluster.step();
      this.#look();
    }
    this.#heal();
    this.#finish();
    let committed = 0;
    let elections = 0;
    for (const book of this.#books.values()) {
      committed += book.committed;
      elections += book.leaders.size;
    }
    return { hash: this.#hash >>> 0, committed, kills: this.#killed, elections };
  }

  #chance(percent: number): boolean {
    return this.#random.nextBelow(100) < percent;
  }

  /** Once in so many ms. */
  #oneIn(count: number): boolean {
    return this.#random.nextBelow(count) === 0;
  }

  #disturb(): void {
    const { nodes } = this.#cluster;
    if (this.#kills) {
      for (const node of nodes) {
        if (node.alive && this.#oneIn(1500)) {
          this.#cluster.kill(node);
          this.#killed++;
          for (const groupId of this.#groups) this.#commits.delete(`${node.id} ${groupId}`);
        } else if (!node.alive && this.#oneIn(400)) this.#cluster.start(node);
      }
    }
    if (this.#freezes) {
      for (const node of nodes) {
        if (this.#cluster.frozen.has(node)) {
          if (this.#oneIn(1200)) this.#cluster.frozen.delete(node);
        } else if (this.#oneIn(2500)) this.#cluster.frozen.add(node);
      }
    }
    if (this.#fills && this.#oneIn(400)) {
      const { disk } = nodes[this.#random.nextBelow(nodes.length)]!.storage;
      if (this.#chance(50)) disk.clearFaults();
      else {
        const fault = { kind: "error", errno: ENOSPC } as const;
        disk.inject({ operation: "allocate", path: /^logs/, nth: 1, count: Infinity, fault });
      }
    }
    if (this.#mutes) {
      if (this.#oneIn(700)) this.#cluster.mute.clear();
      if (this.#oneIn(700)) {
        this.#cluster.mute.add(
          this.#random.nextBelow(nodes.length) * 100 + this.#random.nextBelow(nodes.length),
        );
      }
    }
    if (this.#cuts && this.#oneIn(500)) {
      const from = this.#random.nextBelow(nodes.length);
      const to = this.#random.nextBelow(nodes.length);
      if (from === to) return;
      this.#cluster.cut(from, to);
      if (!this.#oneWay) this.#cluster.cut(to, from);
    }
    if (this.#cuts && this.#oneIn(300)) {
      for (const { id: from } of nodes) {
        for (const { id: to } of nodes) if (from !== to) this.#cluster.mend(from, to);
      }
    }
  }

  #work(): void {
    for (const groupId of this.#groups) {
      if (!this.#chance(30)) continue;
      for (const node of this.#cluster.nodes) {
        if (!node.alive || !this.#cluster.replica(node, groupId).leading) continue;
        const large = this.#oneIn(60);
        const records = 1 + this.#random.nextBelow(3);
        const valueBytes = large ? 30_000 : this.#random.nextBelow(900);
        const producer = this.#producers ? this.#nextOf(node, groupId) : {};
        this.#cluster.append(node, groupId, records, valueBytes, producer);
        if (this.#trims && this.#oneIn(150)) this.#trim(node, groupId);
      }
    }
  }

  /** The next batch of some idempotent producer, as its leader knows it. */
  #nextOf(node: ReplicaNode, groupId: number) {
    const producerId = 1 + this.#random.nextBelow(PRODUCERS);
    const { producers } = this.#cluster.replica(node, groupId).log;
    let baseSequence = 0;
    for (const known of producers.summaries()) {
      if (known.producerId === producerId) baseSequence = known.lastSequence + 1;
    }
    return { producerId, producerEpoch: 0, baseSequence };
  }

  /** To the commit, or near it: within a batch, too. */
  #trim(node: ReplicaNode, groupId: number): void {
    const replica = this.#cluster.replica(node, groupId);
    const { commitOffset, log } = replica;
    const offset = Math.max(log.startOffset, commitOffset - this.#random.nextBelow(40));
    replica.proposeTrim(offset);
  }

  #look(): void {
    for (const node of this.#cluster.nodes) {
      if (!node.alive) continue;
      for (const groupId of this.#groups) this.#lookAt(node, groupId);
    }
  }

  #lookAt(node: ReplicaNode, groupId: number): void {
    const replica = this.#cluster.replica(node, groupId);
    const book = this.#books.get(groupId)!;
    const key = `${node.id} ${groupId}`;
    const before = this.#commits.get(key) ?? 0;
    const { commitOffset } = replica;
    expect(
      commitOffset >= before,
      () => `${key}: the commit went back from ${before} to ${commitOffset}`,
    );
    if (replica.leading) {
      const known = book.leaders.get(replica.term) ?? node.id;
      expect(
        known === node.id,
        () => `nodes ${known} and ${node.id} lead ${groupId} in ${replica.term}`,
      );
      book.leaders.set(replica.term, node.id);
    }
    if (commitOffset === before) return;
    this.#commits.set(key, commitOffset);
    // Read once per thousand: the end compares all of it.
    book.committed = Math.max(book.committed, commitOffset);
    this.#observe(node.id, groupId, commitOffset);
  }

  #observe(...values: number[]): void {
    for (const value of values) this.#hash = Math.imul(this.#hash ^ value, 0x01000193);
  }

  #heal(): void {
    const { nodes } = this.#cluster;
    this.#cluster.frozen.clear();
    this.#cluster.mute.clear();
    for (const { storage } of nodes) storage.disk.clearFaults();
    for (const { id: from } of nodes) {
      for (const { id: to } of nodes) if (from !== to) this.#cluster.mend(from, to);
    }
    for (const node of nodes) if (!node.alive) this.#cluster.start(node);
  }

  #finish(): void {
    const cluster = this.#cluster;
    const isCalm = (): boolean =>
      this.#groups.every((groupId) => {
        const leader = cluster.leaderOf(groupId);
        if (leader === null) return false;
        const { lastIndex } = cluster.replica(leader, groupId).log;
        return cluster.nodes.every((node) => {
          const { commitIndex, log } = cluster.replica(node, groupId);
          return log.lastIndex === lastIndex && commitIndex === lastIndex;
        });
      });
    cluster.until("rest", isCalm, CALM_MS);
    for (const groupId of this.#groups) {
      const append = (): boolean => {
        const leader = cluster.leaderOf(groupId);
        return leader !== null && cluster.append(leader, groupId, 2, 100) > 0;
      };
      cluster.until("an append in peace", append, CALM_MS);
    }
    cluster.until("rest again", isCalm, CALM_MS);
    this.#look();
    for (const groupId of this.#groups) this.#compare(groupId);
    expect(cluster.wrong.length === 0, () => cluster.wrong.join("\n"));
  }

  #compare(groupId: number): void {
    const cluster = this.#cluster;
    const book = this.#books.get(groupId)!;
    let first: Uint8Array | null = null;
    let known: string | null = null;
    for (const node of cluster.nodes) {
      const { log } = cluster.replica(node, groupId);
      expect(
        log.endOffset >= book.committed,
        () =>
          `node ${node.id} group ${groupId} ends at ${log.endOffset}, ${book.committed} was committed`,
      );
      const producers = [...log.producers.summaries()]
        .map(({ producerId, epoch, lastSequence }) => `${producerId}/${epoch}: ${lastSequence}`)
        .sort().join(", ");
      known ??= producers;
      expect(
        known === producers,
        () => `the producers of group ${groupId} differ: ${known} and ${producers}`,
      );
      const bytes = node.storage.readAll(log, log.startOffset);
      expect(bytes !== null, () => `node ${node.id} cannot read group ${groupId}`);
      if (first === null) first = bytes;
      else {
        const same = first.length === bytes!.length &&
          first.every((byte, at) => byte === bytes![at]);
        expect(same, () => `the logs of group ${groupId} differ`);
      }
    }
    const view = new DataView(first!.buffer, first!.byteOffset, first!.length);
    for (let at = 0; at < first!.length; at += batchSize(view, at)) {
      this.#observe(batchBaseOffset(view, at), batchCrc(view, at));
    }
  }
}
