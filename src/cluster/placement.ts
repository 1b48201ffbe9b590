/**
 * Where new partitions go: on the nodes that hold least, one replica per rack as long as racks last,
 * led by the replica that leads least; the others are next in line by turns. Nodes that cannot be reached come last, and lead only where there is no other.
 *
 * Nodes that are being decommissioned get nothing. A node is *full* when it holds as many replicas as it may. Placement is deterministic: equal loads
 * are broken by node id, so that the same image and request give the same records.
 *
 * @module
 */

import { type ClusterImage, NodeState } from "./image.ts";

/** What one node holds; counts go up as partitions are placed. */
interface NodeLoad {
  readonly nodeId: number;
  readonly rack: string | null;
  readonly isAlive: boolean;
  replicas: number;
  leaders: number;
}

export class Placement {
  readonly #loads: NodeLoad[] = [];
  readonly #replicasPerNodeMax: number;

  constructor(
    image: ClusterImage,
    replicasPerNodeMax: number,
    isAlive: (nodeId: number) => boolean,
  ) {
    this.#replicasPerNodeMax = replicasPerNodeMax;
    for (const { nodeId, rack } of image.nodes.values()) {
      if (image.stateOf(nodeId) === NodeState.DECOMMISSIONING) continue;
      this.#loads.push({ nodeId, rack, isAlive: isAlive(nodeId), ...image.loadOf(nodeId) });
    }
  }

  /** Nodes there are. */
  get nodeCount(): number {
    return this.#loads.length;
  }

  /** Whether `nodeId` may be given replicas at all. */
  hasNode(nodeId: number): boolean {
    return this.#loads.some((load) => load.nodeId === nodeId);
  }

  /**
   * Chooses the nodes of one partition and counts them.
   *
   * @returns node ids, the preferred leader first; null when fewer than `replicationFactor` nodes
   * have room
   */
  place(replicationFactor: number): number[] | null {
    const candidates = this.#loads.filter((load) => load.replicas < this.#replicasPerNodeMax);
    if (candidates.length < replicationFactor) return null;
    candidates.sort((a, b) =>
      Number(b.isAlive) - Number(a.isAlive) || a.replicas - b.replicas || a.nodeId - b.nodeId
    );
    const chosen: NodeLoad[] = [];
    const racks = new Set<string>();
    for (const load of candidates) {
      if (chosen.length === replicationFactor) break;
      if (!load.isAlive || (load.rack !== null && racks.has(load.rack))) continue;
      if (load.rack !== null) racks.add(load.rack);
      chosen.push(load);
    }
    for (const load of candidates) {
      if (chosen.length === replicationFactor) break;
      if (!chosen.includes(load)) chosen.push(load);
    }
    let leaderAt = 0;
    for (let at = 1; at < chosen.length; at++) {
      const { isAlive, leaders } = chosen[at]!;
      if (isAlive && leaders < chosen[leaderAt]!.leaders) leaderAt = at;
    }
    const [leader] = chosen.splice(leaderAt, 1);
    // The next in line is the next leader: when a node fails, its partitions go to all others alike.
    const turn = chosen.length > 0 ? leader!.leaders % chosen.length : 0;
    leader!.leaders++;
    const replicas = [leader!, ...chosen.slice(turn), ...chosen.slice(0, turn)];
    for (const load of replicas) load.replicas++;
    return replicas.map((load) => load.nodeId);
  }

  /** Forgets partitions that were counted and are not created after all. */
  release(partitions: readonly (readonly number[])[]): void {
    for (const replicas of partitions) {
      const loads = replicas.map((nodeId) => this.#loads.find((load) => load.nodeId === nodeId)!);
      for (const load of loads) load.replicas--;
      loads[0]!.leaders--;
    }
  }

  /** Counts a partition whose nodes the client chose; false when one of them is full. */
  take(replicas: readonly number[]): boolean {
    const loads = replicas.map((nodeId) => this.#loads.find((load) => load.nodeId === nodeId)!);
    if (loads.some((load) => load.replicas >= this.#replicasPerNodeMax)) return false;
    for (const load of loads) load.replicas++;
    loads[0]!.leaders++;
    return true;
  }
}
