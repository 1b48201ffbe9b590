/**
 * Who is there of the metadata's group, and who is lost, when it is recovered on this node: lives count, not nodes.
 *
 * @module
 */

import type { Founder, RpcAddress } from "../cluster/founding.ts";
import { isSameLife, lifeOfMember } from "../cluster/lives.ts";
import type { CountedVoter } from "../cluster/lost_majority.ts";
import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import type { Configuration, Member } from "../raft/configuration.ts";
import type { Replica } from "../replication/replica.ts";
import type { Shard } from "./shard.ts";
import { rpcAddressOf } from "./shard_peers.ts";

const ANY_INCARNATION = 0;

type Seen = Pick<Shard, "image" | "live" | "peers" | "replication" | "options">;

/** What the manifest says of nodes. */
export interface Remembered {
  readonly founders: readonly Founder[];
  readonly keepers: readonly Founder[];
}

/** Who a member of the metadata's group is, and where (`lifeOfMember`). */
export function lifeOf(
  { image }: Pick<Seen, "image">,
  { founders, keepers }: Remembered,
  member: Member,
): Founder {
  const node = image.nodes.get(member.node);
  const address = node === undefined ? null : rpcAddressOf(node);
  const registered = node === undefined || address === null ? [] : [{
    nodeId: node.nodeId,
    incarnation: node.incarnation,
    host: address.host,
    port: address.port,
  }];
  // A member without an incarnation is the one that founded the cluster alone, in its first life.
  const known = member.incarnation === ANY_INCARNATION
    ? [...founders, ...keepers, ...registered]
    : [...registered, ...founders, ...keepers];
  return lifeOfMember(member, known);
}

/**
 * Whether a member of the metadata's group can be reached, in the life in which it is one. A node that lost its disk is
 * there as another one; one that nothing was heard of counts as there.
 */
export function isMemberThere(shard: Seen, memory: Remembered, member: Member): boolean {
  const { links } = shard.peers.nodeLinks;
  if (!shard.live.isAlive(member.node)) return false;
  const isHeard = links.isUp(member.node) && links.identityOf(member.node) !== null;
  return !isHeard || isMemberConnected(shard, memory, member);
}

/** Whether this node is connected to a member of the metadata's group, in the life in which it is one. */
export function isMemberConnected(shard: Seen, memory: Remembered, member: Member): boolean {
  const { links } = shard.peers.nodeLinks;
  const said = links.isUp(member.node) ? links.identityOf(member.node)?.incarnation : undefined;
  if (said === undefined) return false;
  const { incarnation } = lifeOf(shard, memory, member);
  return incarnation === "" || isSameLife(incarnation, said);
}

/** The voters of the metadata's group, as this node's replica has them. */
export function countedVoters(
  nodeId: number,
  replica: Replica,
  isThere: (member: Member) => boolean,
): CountedVoter[] {
  return replica.status().members.map((member) => ({
    isVoter: member.part === "voter",
    wasVoter: member.wasVoter,
    isThere: member.node === nodeId ? member.part !== "none" : isThere(member),
  }));
}

/** Who votes besides this node, by a configuration: each member once. */
export function otherVoters({ voters, outgoing }: Configuration, nodeId: number): Member[] {
  const former = outgoing.filter(({ node }) => voters.every((voter) => voter.node !== node));
  return [...voters, ...former].filter(({ node }) => node !== nodeId);
}

/** Who votes on the metadata besides this node and cannot be reached, in the lives that voted. */
export function lostVoters(shard: Seen, memory: Remembered): Founder[] {
  const { replication, options: { nodeId } } = shard;
  const now = replication.replicaOf(CONTROLLER_GROUP_ID)?.raft.configuration;
  if (now === undefined) return [];
  return otherVoters(now, nodeId)
    .filter((voter) => !isMemberConnected(shard, memory, voter))
    .map((voter) => lifeOf(shard, memory, voter))
    .filter(({ incarnation }) => incarnation !== "");
}

/** Nodes that are registered and can be reached. */
export function reachableNodes({ image, peers, options }: Seen): RpcAddress[] {
  const { links } = peers.nodeLinks;
  return [...image.nodes.values()].flatMap((node) => {
    const address = rpcAddressOf(node);
    const isThere = node.nodeId !== options.nodeId && links.isUp(node.nodeId);
    return address === null || !isThere ? [] : [{ host: address.host, port: address.port }];
  });
}
