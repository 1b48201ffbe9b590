/**
 * The members of Raft groups: a node, and which life of it.
 *
 * A node that lost its disk has forgotten its votes and what it acknowledged. It returns with another incarnation, and
 * so as another member, which the groups of its former life do not count. The metadata says for each partition which
 * life of each node is meant; as a member it has a number instead of the whole uuid.
 *
 * A group on one node has nothing to protect from forgetting: whoever has that id is the member.
 *
 * @module
 */

import type { Uuid } from "../wire/uuid.ts";
import { LEARNERS_MAX } from "../raft/limits.ts";
import type { ClusterImage } from "./image.ts";
import { FEW_LEARNERS_MAX, MANY_LEARNERS_SINCE_VERSION } from "./logical_version.ts";

/** Voters of the metadata log's group at its founding: the first of the founders. */
export const CONTROLLER_VOTERS_MAX = 5;

/** Nodes of a cluster: all are members of the metadata log's group. Before many learners were known, it had fewer. */
export const NODES_MAX = LEARNERS_MAX;
const NODES_FEW_MAX = CONTROLLER_VOTERS_MAX + FEW_LEARNERS_MAX;

/** Nodes that a cluster may have at a logical version. */
export function nodesMax(logicalVersion: number): number {
  return logicalVersion >= MANY_LEARNERS_SINCE_VERSION ? NODES_MAX : NODES_FEW_MAX;
}

/** A member of a Raft group. */
export interface GroupMember {
  readonly node: number;
  /** {@linkcode memberIncarnation}; 0: any. */
  readonly incarnation: number;
}

/** A node's incarnation as a member of groups: from 1 to 2^31 - 1. */
export function memberIncarnation(incarnation: Uuid): number {
  return Math.max(1, Number.parseInt(incarnation.slice(0, 8), 16) & 0x7fffffff);
}

/** Changes of a partition that are told apart in a member's incarnation. */
const CHANGES_TOLD = 256;

/**
 * The incarnation of a node as a member of a partition's group that it came to by a change, after it may have been one
 * before.
 *
 * @param life of the node ({@linkcode memberIncarnation})
 * @param since the change's number, from 1
 */
export function replicaIncarnation(life: number, since: number): number {
  const low = life % CHANGES_TOLD;
  return Math.max(1, life - low + (low + since) % CHANGES_TOLD);
}

/** Of nodes that are registered. */
export function memberIncarnations(image: ClusterImage, nodes: readonly number[]): number[] {
  return nodes.map((nodeId) => memberIncarnation(image.nodes.get(nodeId)!.incarnation));
}

/** The first voters of a partition's group, in order of preference. */
export function partitionMembers(
  { replicas, incarnations }: {
    readonly replicas: readonly number[];
    readonly incarnations: readonly number[];
  },
): GroupMember[] {
  if (replicas.length === 1) return [{ node: replicas[0]!, incarnation: 0 }];
  return replicas.map((node, at) => ({ node, incarnation: incarnations[at] ?? 0 }));
}

/** The first voters of the metadata log's group: the same on every founder. */
export function controllerMembers(
  founders: readonly { readonly nodeId: number; readonly incarnation: Uuid }[],
): GroupMember[] {
  const voters = founders.slice(0, CONTROLLER_VOTERS_MAX);
  if (voters.length === 1) return [{ node: voters[0]!.nodeId, incarnation: 0 }];
  return voters.map(({ nodeId, incarnation }) => ({
    node: nodeId,
    incarnation: memberIncarnation(incarnation),
  }));
}
