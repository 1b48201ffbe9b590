/**
 * Who keeps the metadata log: every registered node has a copy, and some of them vote.
 *
 * There are one, three or five voters, as many as the nodes allow; a cluster that was founded by two or four nodes has
 * as many until it grows. Voters stay as long as they are registered in the same life. A voter that cannot be reached is
 * not replaced by itself: it may come back, and a cluster that changes its voters with every cut network is soon without
 * a majority.
 *
 * @module
 */

import type { Member } from "../raft/configuration.ts";
import type { WantedMembers } from "../raft/next_members.ts";
import type { Uuid } from "../wire/uuid.ts";
import { CONTROLLER_VOTERS_MAX, memberIncarnation, nodesMax } from "./members.ts";
import type { NodeRecord } from "./records.ts";

/** Votes for a number of nodes. */
const VOTERS_FEW = 3;

export interface ControllerMembersOptions {
  /** Registered, by id. */
  readonly nodes: ReadonlyMap<number, NodeRecord>;
  /** Nodes that left. Founders that are neither have not registered yet. */
  readonly removedNodes: ReadonlySet<number>;
  readonly founders: readonly { readonly nodeId: number; readonly incarnation: Uuid }[];
  /** The present voters. */
  readonly voters: readonly Member[];
  readonly isAlive: (nodeId: number) => boolean;
  /** Of the cluster. */
  readonly logicalVersion: number;
  /** Nodes that are to hold nothing. */
  readonly isLeaving: (nodeId: number) => boolean;
  /**
   * Lives that were given up. One that returns ends as soon as it hears of that, and with its vote the majority would be lost
   * once more.
   */
  readonly isGivenUp: (node: NodeRecord) => boolean;
}

/** Who should belong to the metadata log's group. */
export function wantedControllerMembers(options: ControllerMembersOptions): WantedMembers {
  const { nodes, removedNodes, isAlive, isLeaving, isGivenUp } = options;
  const present = [...nodes.keys()].sort((a, b) => a - b);
  const staying = present.filter((nodeId) => !isLeaving(nodeId));
  const mayBelong = (nodeId: number): boolean => !isGivenUp(nodes.get(nodeId)!);
  const kept = options.voters.filter(({ node, incarnation }) =>
    nodes.has(node)
      ? staying.includes(node) && mayBelong(node) &&
        memberOfNode(options, node).incarnation === incarnation
      : !removedNodes.has(node)
  );
  const voters = [...kept];
  const racks = new Set(kept.map(({ node }) => nodes.get(node)?.rack));
  const isNewRack = (nodeId: number): boolean => !racks.has(nodes.get(nodeId)!.rack);
  const candidates = staying.filter((nodeId) =>
    isAlive(nodeId) && mayBelong(nodeId) && !kept.some(({ node }) => node === nodeId)
  );
  while (voters.length < votersFor(staying.length) && candidates.length > 0) {
    const at = Math.max(0, candidates.findIndex(isNewRack));
    const [nodeId] = candidates.splice(at, 1);
    racks.add(nodes.get(nodeId!)!.rack);
    voters.push(memberOfNode(options, nodeId!));
  }
  // Whoever is left would have to take all others' places: the group stays with those that it has.
  if (voters.length === 0) voters.push(...options.voters);
  // They are learners before they vote, beside the others.
  const becoming = voters.filter(({ node }) => !options.voters.some((now) => now.node === node));
  const learners = present
    .filter((nodeId) => mayBelong(nodeId) && !voters.some(({ node }) => node === nodeId))
    .slice(0, nodesMax(options.logicalVersion) - CONTROLLER_VOTERS_MAX - becoming.length)
    .map((nodeId) => memberOfNode(options, nodeId));
  return { voters, learners };
}

/** The only founder of a cluster is a member without an incarnation, as long as it lives its first life. */
function memberOfNode(
  { nodes, founders }: Pick<ControllerMembersOptions, "nodes" | "founders">,
  node: number,
): Member {
  const { incarnation } = nodes.get(node)!;
  const [first] = founders;
  const isAny = founders.length === 1 && first!.nodeId === node &&
    first!.incarnation === incarnation;
  return { node, incarnation: isAny ? 0 : memberIncarnation(incarnation) };
}

/** How many of so many nodes vote on the metadata. */
export function votersFor(nodes: number): number {
  if (nodes >= CONTROLLER_VOTERS_MAX) return CONTROLLER_VOTERS_MAX;
  return nodes >= VOTERS_FEW ? VOTERS_FEW : 1;
}
