/**
 * A whole cluster in one thread: nodes with a disk, a memory, an id and a wall clock each, one monotonic clock, one
 * network for their clients and among themselves.
 *
 * @module
 */

import type { PartitionLog } from "../../src/storage/partition_log.ts";
import { SimNetwork } from "./sim_network.ts";
import { SimNode, type SimNodeOptions } from "./sim_node.ts";
import { SimTrace } from "./sim_trace.ts";
import { simRpcAddress, type SimWorld, START_MS, STEP_MS } from "./sim_world.ts";

/** What makes the seeds of the nodes and of the network differ. */
const NODE_SEEDS = 0x9e3779b9;
const NETWORK_SEED = 0x7f4a7c15;
const REST_STEP_MS = 2;

export interface SimClusterOptions {
  readonly seed: number;
  readonly nodes: number;
  /** For every node. */
  readonly node: Omit<SimNodeOptions, "seed" | "world" | "nodeId" | "wallSkewMs">;
  /** How far the wall clock of each node is ahead (ms); not at all where it is absent. */
  readonly wallSkewsMs?: readonly number[];
  /** The nodes found one cluster together; else each is a cluster of its own. */
  readonly founds?: boolean;
  /** How many of them found it, the first ones; the others join it. All when absent. */
  readonly founders?: number;
  /** Virtual time of one step (ms); more happens in a longer one. */
  readonly stepMs?: number;
  /** Takes the lines of a trace; null: there is none. */
  readonly print?: ((line: string) => void) | null;
}

export class SimCluster implements SimWorld {
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly trace: SimTrace | null;
  readonly stepMs: number;
  readonly pace: number;
  nowMs = START_MS;

  constructor(options: SimClusterOptions) {
    const { seed, nodes, node, wallSkewsMs = [], founds = false, print = null } = options;
    const { founders = nodes } = options;
    this.stepMs = options.stepMs ?? STEP_MS;
    this.pace = Math.round(this.stepMs / STEP_MS);
    this.network = new SimNetwork(seed ^ NETWORK_SEED);
    this.trace = print === null ? null : new SimTrace(() => this.nowMs, print);
    const seeds = Array.from({ length: founders }, (_, nodeId) => simRpcAddress(nodeId));
    this.nodes = Array.from({ length: nodes }, (_, nodeId) =>
      new SimNode({
        ...node,
        ...(founds ? { seeds } : {}),
        // The first node is that of a cluster of one.
        seed: (seed + nodeId * NODE_SEEDS) | 0,
        nodeId,
        world: this,
        wallSkewMs: wallSkewsMs[nodeId] ?? 0,
      }));
  }

  /** Nodes that clients find. */
  get accepting(): readonly SimNode[] {
    return this.nodes.filter((node) => node.accepting);
  }

  /** One step of everything. */
  step(ms = this.stepMs): void {
    this.nowMs += ms;
    this.network.step(this.nowMs);
    for (const node of this.nodes) node.turn();
  }

  /** Lets time pass, in larger steps, while nothing is expected but timers. */
  rest(ms: number): void {
    const until = this.nowMs + ms;
    while (this.nowMs < until) this.step(REST_STEP_MS);
  }

  /** The node that leads a group; where nobody does, the first that has its log. */
  holderOf(groupId: number): SimNode | undefined {
    const holders = this.nodes.filter((node) => node.logOf(groupId) !== undefined);
    return holders.find((node) => node.leads(groupId)) ?? holders[0];
  }

  /** A group's log, where it is led. */
  logOf(groupId: number): PartitionLog | undefined {
    return this.holderOf(groupId)?.logOf(groupId);
  }

  /** The group of a topic's partition, or -1. */
  groupOf(topicId: string, index: number): number {
    for (const node of this.nodes) {
      const groupId = node.groupOf(topicId, index);
      if (groupId >= 0) return groupId;
    }
    return -1;
  }
}
