/**
 * Who is there of the metadata's group, and who is lost, when it is recovered on this node.
 *
 * @module
 */

import type { Founder, RpcAddress } from "../cluster/founding.ts";
import { memberIncarnation } from "../cluster/members.ts";
import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import type { Member } from "../raft/configuration.ts";
import type { Shard } from "./shard.ts";
import { rpcAddressOf } from "./shard_peers.ts";

const ANY_INCARNATION = 0;

type Seen = Pick<Shard, "image" | "live" | "peers" | "replication" | "options">;

/**
 * Whether a member of the metadata's group can be reached, in the life in which it is one. A node that lost its disk is
 * there as another one.
 */
export function isMemberThere(
  { image, live, peers }: Pick<Seen, "image" | "live" | "peers">,
  { node, incarnation }: Member,
): boolean {
  if (!live.isAlive(node)) return false;
  const { links } = peers.nodeLinks;
  const said = links.isUp(node) ? links.identityOf(node)?.incarnation : undefined;
  if (said === undefined) return true;
  if (incarnation !== ANY_INCARNATION) return memberIncarnation(said) === incarnation;
  return (image.nodes.get(node)?.incarnation ?? said) === said;
}

/** Who votes on the metadata besides this node and cannot be reached, in the lives that voted. */
export function lostVoters(shard: Seen, founders: readonly Founder[]): Founder[] {
  const { image, peers, replication, options: { nodeId } } = shard;
  const now = replication.replicaOf(CONTROLLER_GROUP_ID)?.raft.configuration;
  const voters = new Map<number, Member>();
  for (const member of [...now?.voters ?? [], ...now?.outgoing ?? []]) {
    if (member.node !== nodeId) voters.set(member.node, member);
  }
  const { links } = peers.nodeLinks;
  return [...voters.values()].flatMap((voter) => {
    const isThere = links.isUp(voter.node) && isMemberThere(shard, voter);
    const known = isThere ? null : placeOf(image, voter.node, founders);
    return known === null ? [] : [known];
  });
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

/** As registered; a founder that has not come to that, as it was at the founding. */
function placeOf(
  image: Shard["image"],
  nodeId: number,
  founders: readonly Founder[],
): Founder | null {
  const known = image.nodes.get(nodeId);
  const address = known === undefined ? null : rpcAddressOf(known);
  if (known === undefined || address === null) {
    return founders.find((founder) => founder.nodeId === nodeId) ?? null;
  }
  return { nodeId, incarnation: known.incarnation, host: address.host, port: address.port };
}
