/**
 * What the nodes of a simulation share: one clock, one network.
 *
 * @module
 */

import type { RpcAddress } from "../../src/cluster/founding.ts";
import { SimNetwork } from "./sim_network.ts";
import type { SimTrace } from "./sim_trace.ts";

/** Virtual time of the first step, and of each (ms). */
export const START_MS = 1000;
export const STEP_MS = 0.25;
export const RPC_PORT = 33145;

export interface SimWorld {
  /** Monotonic virtual time (ms). */
  nowMs: number;
  /** Operations of a disk in one step; a shard's sockets carry out four times as many. */
  readonly pace: number;
  readonly network: SimNetwork;
  readonly trace: SimTrace | null;
}

/** Where a node listens for others. */
export function simRpcAddress(nodeId: number): RpcAddress {
  return { host: `10.0.0.${nodeId + 1}`, port: RPC_PORT };
}

/** A world of one node. */
export function newWorld(seed: number): SimWorld {
  return { nowMs: START_MS, pace: 1, network: new SimNetwork(seed), trace: null };
}
