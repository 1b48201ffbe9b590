/**
 * What happens to the disks of nodes that live, besides standing still: calls that fail for a while for want of something that
 * comes back, and other programs that fill a disk and give its space back later, perhaps only when the node has started anew.
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import type { ClusterPlan } from "./cluster_plan.ts";
import type { SimCluster } from "./sim_cluster.ts";
import type { SimNode } from "./sim_node.ts";
import { planHiccups } from "./storage_plan.ts";

/** Pause between two troubles at most, and how long a disk is full at most, mostly and now and then (virtual ms). */
const PAUSE_MS_MAX = 10_000;
const FULL_MS_MAX = 3_000;
const LONG_FULL_MS_MAX = 25_000;
const LONG_PERCENT = 30;
/** What others leave of a disk at most (bytes); now and then nothing. */
const ROOM_BYTES_MAX = 512 * 1024;
const NO_ROOM_PERCENT = 40;

/** Others leave a node so much of its disk, in this life and in later ones (bytes); all when absent. */
export function limitDisk(node: SimNode, capacityBytes?: number): void {
  const { capacityBytes: _, ...others } = node.diskOptions;
  node.diskOptions = capacityBytes === undefined ? others : { ...others, capacityBytes };
  node.disk.resize(capacityBytes);
}

export class DiskTroubles {
  readonly #cluster: SimCluster;
  readonly #random: Random;
  readonly #kinds: readonly ((node: SimNode) => void)[];
  /** Full disks, and until when they are. */
  readonly #full = new Map<SimNode, number>();
  #nextMs = 0;

  constructor(cluster: SimCluster, plan: ClusterPlan, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
    this.#kinds = [
      ...(plan.hiccups ? [(node: SimNode) => this.#hiccup(node)] : []),
      ...(plan.fills ? [(node: SimNode) => this.#fill(node)] : []),
    ];
  }

  /** Ends what is over, begins something now and then. */
  tick(): void {
    if (this.#kinds.length === 0) return;
    const { nowMs, nodes } = this.#cluster;
    for (const [node, untilMs] of this.#full) if (untilMs <= nowMs) this.#free(node);
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + 1 + this.#random.nextBelow(PAUSE_MS_MAX);
    const node = nodes[this.#random.nextBelow(nodes.length)]!;
    if (node.shards.length > 0 && !node.disk.crashed) {
      this.#kinds[this.#random.nextBelow(this.#kinds.length)]!(node);
    }
  }

  /** Nothing more goes wrong. */
  end(): void {
    this.#nextMs = Infinity;
    for (const node of this.#full.keys()) this.#free(node);
  }

  #hiccup(node: SimNode): void {
    const plan = planHiccups(this.#random);
    node.disk.inject(plan);
    this.#note(`calls of ${node.name} fail: ${plan.operation}`);
  }

  #fill(node: SimNode): void {
    if (this.#full.has(node)) return;
    const percent = (): number => this.#random.nextBelow(100);
    const room = percent() < NO_ROOM_PERCENT ? 0 : this.#random.nextBelow(ROOM_BYTES_MAX);
    const lastsMs = this.#random.nextBelow(
      percent() < LONG_PERCENT ? LONG_FULL_MS_MAX : FULL_MS_MAX,
    );
    this.#full.set(node, node.nowMs + lastsMs);
    limitDisk(node, node.disk.usedBytes() + room);
    this.#note(`the disk of ${node.name} has room for ${room} bytes, for ${lastsMs} ms`);
  }

  #free(node: SimNode): void {
    this.#full.delete(node);
    limitDisk(node);
    this.#note(`the disk of ${node.name} has room again`);
  }

  #note(what: string): void {
    this.#cluster.trace?.note("trouble", what);
  }
}
