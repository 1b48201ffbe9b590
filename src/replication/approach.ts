/**
 * A leader's step towards the members that its group should have.
 *
 * @module
 */

import { isAstray, isAsWanted, nextMembers, type WantedMembers } from "../raft/next_members.ts";
import type { RaftGroup } from "../raft/raft_group.ts";

/**
 * Proposes the next configuration, or takes back one that leads elsewhere.
 *
 * @param nodeId this node, which leads
 * @returns whether the members are there
 */
export function stepTowards(
  raft: RaftGroup,
  wanted: WantedMembers,
  nodeId: number,
  nowMs: number,
): boolean {
  const now = raft.configuration;
  if (!raft.isConfigurationSettled) {
    if (isAstray(now, wanted)) raft.cancelConfiguration(nowMs);
    return false;
  }
  if (isAsWanted(now, wanted)) return true;
  const isReachable = (node: number): boolean =>
    node === nodeId || raft.peers.some((peer) => peer.node === node && peer.isUp);
  const next = nextMembers(now, wanted, (node) => isReachable(node) && raft.isCaughtUp(node));
  if (next !== null) raft.proposeConfiguration(next.voters, next.learners, nowMs);
  return false;
}
