/**
 * What the controller changes about replicas by itself:
 *
 * - a node that came back without its disk holds its partitions as another life of itself;
 * - a node that is being decommissioned hands its replicas over to others;
 * - internal topics that were made when there were fewer nodes get the replicas that they should have;
 * - a node that was added takes its share over from those that have most.
 *
 * A plan is a list of partitions and the nodes that they should be on. It is made from the image alone, so whoever is the
 * controller goes on where the last one stopped. Replicas go to the nodes that hold least, on racks that have none of the
 * partition; few moves are under way at once, because each copies a log.
 *
 * @module
 */

import { type ClusterImage, NodeState } from "./image.ts";
import { internalTopic } from "./internal_topics.ts";
import type { PartitionImage } from "./partition_image.ts";
import { lifeOf } from "./reassign.ts";

/** Partitions on their way at once, of those that the controller moves by itself. */
export const MOVES_MAX = 16;
/** Partitions of one plan. */
export const PLAN_MAX = 500;
/** Replicas of internal topics are raised when there are as many nodes. */
const RAISED_TO = 3;

export interface PlannedChange {
  readonly partition: PartitionImage;
  /** The nodes that it should be on, the preferred leader first. */
  readonly target: readonly number[];
}

/** What is to be changed now; empty when nothing is, or enough is under way. */
export function planChanges(
  image: ClusterImage,
  isAlive: (nodeId: number) => boolean,
): PlannedChange[] {
  const plan: PlannedChange[] = [];
  const spread = new Spread(image, isAlive);
  let room = MOVES_MAX;
  for (const topic of image.topics.values()) {
    for (const partition of topic.partitions) if (partition.isChanging) room--;
  }
  for (const topic of image.topics.values()) {
    const wantedCount = topic.internal ? internalCount(image, topic.name) : 0;
    for (const partition of topic.partitions) {
      if (plan.length >= PLAN_MAX) return plan;
      if (hasPastLife(image, partition)) plan.push({ partition, target: partition.target });
      else if (partition.isChanging && spread.goesToLeaving(partition)) {
        // What has begun takes its place already.
        const target = spread.targetOf(partition, wantedCount);
        if (target !== null) plan.push({ partition, target });
      } else if (room > 0 && !partition.isChanging) {
        const target = spread.targetOf(partition, wantedCount) ?? spread.shareOf(partition);
        if (target === null) continue;
        room--;
        plan.push({ partition, target });
      }
    }
  }
  return plan;
}

/** New nodes that have their share, or cannot get more of it. Asked when nothing is planned. */
export function filledNodes(image: ClusterImage): number[] {
  const isFilling = [...image.nodes.keys()].filter((nodeId) =>
    image.stateOf(nodeId) === NodeState.FILLING
  );
  if (isFilling.length === 0) return [];
  for (const { partitions } of image.topics.values()) {
    for (const { isChanging, adding } of partitions) {
      if (isChanging && adding.some((nodeId) => isFilling.includes(nodeId))) return [];
    }
  }
  return isFilling;
}

/** A node holds it in a life that is over. */
function hasPastLife(image: ClusterImage, partition: PartitionImage): boolean {
  const { holders, change, removing } = partition;
  // Nobody else has what was on it, and whoever has that id begins again.
  if (holders.length === 1 && change === 0) return false;
  // One that leaves is wanted in no life.
  return holders.some(({ nodeId, life }) =>
    life !== 0 && image.nodes.has(nodeId) && lifeOf(image, nodeId) !== life &&
    !removing.includes(nodeId)
  );
}

/** Replicas that an internal topic should have by now; 0: no more than it has. */
function internalCount(image: ClusterImage, name: string): number {
  const wanted = internalTopic(name, image)?.replicationFactor ?? 0;
  return image.nodes.size >= RAISED_TO ? Math.min(wanted, RAISED_TO) : 0;
}

/** Replicas per node, as they would be after what is planned. */
class Spread {
  readonly #image: ClusterImage;
  readonly #candidates: readonly number[];
  readonly #replicas = new Map<number, number>();
  /** Of them, those that are preferred leaders. */
  readonly #leaders = new Map<number, number>();
  /** New nodes, and how many replicas and preferred leaders each should have at least. */
  readonly #filling: readonly number[];
  readonly #share: number;
  readonly #leaderShare: number;

  constructor(image: ClusterImage, isAlive: (nodeId: number) => boolean) {
    this.#image = image;
    this.#candidates = [...image.nodes.keys()]
      .filter((nodeId) => !this.#isLeaving(nodeId) && isAlive(nodeId))
      .sort((a, b) => a - b);
    for (const nodeId of image.nodes.keys()) {
      const { replicas, leaders } = image.loadOf(nodeId);
      this.#replicas.set(nodeId, replicas);
      this.#leaders.set(nodeId, leaders);
    }
    const staying = [...image.nodes.keys()].filter((nodeId) => !this.#isLeaving(nodeId));
    const all = staying.reduce((sum, nodeId) => sum + this.#loadOf(nodeId), 0);
    this.#share = Math.floor(all / Math.max(1, staying.length));
    this.#leaderShare = Math.floor(image.partitionCount / Math.max(1, staying.length));
    this.#filling = this.#candidates.filter((nodeId) =>
      image.stateOf(nodeId) === NodeState.FILLING
    );
  }

  /** A new node in the place of the one that has most; null when none wants more of it. */
  shareOf(partition: PartitionImage): number[] | null {
    if (this.#filling.length === 0) return null;
    const { target } = partition;
    for (const nodeId of this.#filling) {
      if (this.#loadOf(nodeId) >= this.#share || target.includes(nodeId)) continue;
      const leads = this.#leadersOf(nodeId) < this.#leaderShare;
      let from = -1;
      for (const [at, other] of target.entries()) {
        // Whoever takes the first place is the preferred leader.
        if (at === 0 && !leads && target.length > 1) continue;
        const isFuller = this.#loadOf(other) > Math.max(this.#share, this.#loadOf(nodeId) + 1);
        const others = target.filter((_, index) => index !== at);
        if (!isFuller || this.#crowds(nodeId, others) > this.#crowds(other, others)) continue;
        if (from < 0 || this.#loadOf(other) > this.#loadOf(target[from]!)) from = at;
      }
      if (from < 0) continue;
      this.#count(nodeId, 1);
      this.#count(target[from]!, -1);
      if (from === 0) {
        this.#leaders.set(nodeId, this.#leadersOf(nodeId) + 1);
        this.#leaders.set(target[0]!, this.#leadersOf(target[0]!) - 1);
      }
      return target.with(from, nodeId);
    }
    return null;
  }

  #loadOf(nodeId: number): number {
    return this.#replicas.get(nodeId) ?? 0;
  }

  #leadersOf(nodeId: number): number {
    return this.#leaders.get(nodeId) ?? 0;
  }

  /** 1 where its rack has one of the others. */
  #crowds(nodeId: number, others: readonly number[]): number {
    const rack = this.#rackOf(nodeId);
    return rack !== null && others.some((other) => this.#rackOf(other) === rack) ? 1 : 0;
  }

  /** Other nodes for a partition; null when it may stay, or there is nowhere to go. */
  targetOf(partition: PartitionImage, wantedCount: number): number[] | null {
    const { replicas } = partition;
    if (replicas.length >= wantedCount && !this.#hasLeaving(replicas)) return null;
    const target = partition.target;
    for (const [at, nodeId] of target.entries()) {
      if (!this.#isLeaving(nodeId)) continue;
      const other = this.#choose(target, nodeId);
      if (other === null) continue;
      target[at] = other;
      this.#count(other, 1);
      this.#count(nodeId, -1);
    }
    while (target.length < wantedCount) {
      const other = this.#choose(target, -1);
      if (other === null) break;
      target.push(other);
      this.#count(other, 1);
    }
    const isSame = target.length === partition.target.length &&
      target.every((nodeId, at) => nodeId === partition.target[at]);
    return isSame ? null : target;
  }

  /** A node for one more replica, beside `target` without `leaving`. */
  #choose(target: readonly number[], leaving: number): number | null {
    const racks = new Set(
      target.filter((nodeId) => nodeId !== leaving).map((nodeId) => this.#rackOf(nodeId)),
    );
    const costOf = (nodeId: number): number => {
      const rack = this.#rackOf(nodeId);
      const isCrowded = rack !== null && racks.has(rack);
      return (this.#replicas.get(nodeId) ?? 0) + (isCrowded ? Number.MAX_SAFE_INTEGER / 2 : 0);
    };
    let best: number | null = null;
    for (const nodeId of this.#candidates) {
      if (target.includes(nodeId)) continue;
      if (best === null || costOf(nodeId) < costOf(best)) best = nodeId;
    }
    return best;
  }

  /** It is on its way to a node that is to hold nothing, and which perhaps will never be there again. */
  goesToLeaving({ adding }: PartitionImage): boolean {
    return this.#hasLeaving(adding);
  }

  #hasLeaving(nodes: readonly number[]): boolean {
    for (let at = 0; at < nodes.length; at++) if (this.#isLeaving(nodes[at]!)) return true;
    return false;
  }

  #isLeaving(nodeId: number): boolean {
    return this.#image.stateOf(nodeId) === NodeState.DECOMMISSIONING;
  }

  #rackOf(nodeId: number): string | null {
    return this.#image.nodes.get(nodeId)?.rack ?? null;
  }

  #count(nodeId: number, change: number): void {
    this.#replicas.set(nodeId, (this.#replicas.get(nodeId) ?? 0) + change);
  }
}
