/**
 * What happens to nodes that live: a disk stands still while the network does not, a process does nothing for a while, a
 * wall clock jumps, a partition is handed to another of its replicas.
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import type { ClusterPlan } from "./cluster_plan.ts";
import type { SimCluster } from "./sim_cluster.ts";

/** Pause between two troubles, and how long one lasts, at most (virtual ms). */
const PAUSE_MS_MAX = 8_000;
const SHORT_MS_MAX = 300;
const LONG_MS_MAX = 6_000;
/** A wall clock jumps by at most this, in either direction (ms). */
const JUMP_MS_MAX = 120_000;

export class NodeTroubles {
  readonly #cluster: SimCluster;
  readonly #random: Random;
  readonly #kinds: readonly (() => void)[];
  #nextMs = 0;

  constructor(cluster: SimCluster, plan: ClusterPlan, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
    this.#kinds = [
      ...(plan.freezes ? [() => this.#freeze()] : []),
      ...(plan.pauses ? [() => this.#pause()] : []),
      ...(plan.clockJumps ? [() => this.#jump()] : []),
      ...(plan.transfers ? [() => this.#transfer()] : []),
    ];
  }

  /** Begins something now and then. */
  tick(): void {
    const { nowMs } = this.#cluster;
    if (this.#kinds.length === 0 || nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + 1 + this.#random.nextBelow(PAUSE_MS_MAX);
    this.#kinds[this.#random.nextBelow(this.#kinds.length)]!();
  }

  /** Nothing more goes wrong. */
  end(): void {
    this.#nextMs = Infinity;
    for (const node of this.#cluster.nodes) node.frozenUntilMs = node.pausedUntilMs = 0;
  }

  #freeze(): void {
    const node = this.#node();
    const lastsMs = this.#lastsMs();
    node.frozenUntilMs = node.nowMs + lastsMs;
    this.#note(`the disk of ${node.name} stands still for ${lastsMs} ms`);
  }

  #pause(): void {
    const node = this.#node();
    const lastsMs = this.#lastsMs();
    node.pausedUntilMs = node.nowMs + lastsMs;
    this.#note(`${node.name} does nothing for ${lastsMs} ms`);
  }

  #jump(): void {
    const node = this.#node();
    const byMs = this.#random.nextBelow(2 * JUMP_MS_MAX) - JUMP_MS_MAX;
    node.jumpWall(byMs);
    this.#note(`the clock of ${node.name} jumps by ${byMs} ms`);
  }

  #transfer(): void {
    const node = this.#node();
    if (!node.serving) return;
    const { shard } = node.shards[this.#random.nextBelow(node.shards.length)]!;
    const led = [...shard.partitions.all()].filter(({ leading }) => leading);
    if (led.length === 0) return;
    const { replica, image } = led[this.#random.nextBelow(led.length)]!;
    const { nodeId, name } = this.#node();
    this.#note(`${node.name} hands ${image.topic.name}-${image.index} to ${name}`);
    // Refused where that is no voter.
    replica.transfer(nodeId);
  }

  #node() {
    const { nodes } = this.#cluster;
    return nodes[this.#random.nextBelow(nodes.length)]!;
  }

  #lastsMs(): number {
    return 1 + this.#random.nextBelow(this.#random.nextBelow(2) === 0 ? SHORT_MS_MAX : LONG_MS_MAX);
  }

  #note(what: string): void {
    this.#cluster.trace?.note("trouble", what);
  }
}
